# Switchyard: every verb of the project. `make` alone lists them.
#   s=flags   one service (logs, migrate, test)        T=path   one test file or folder (test)
#   FULL=1    every fault as long and as strong as the design says (faults: about half an hour)
#   GATEWAY_PORT=8081   another port for the gateway   SWITCHYARD_DATA=dir   another data folder than .data

.DEFAULT_GOAL := help
.SUFFIXES:
SHELL := /bin/sh
PYTHON ?= python3
PY := .venv/bin/python
YARD := $(PY) -m yard
BOOTSTRAP = $(PYTHON) -I deploy/local/yard/bootstrap.py
# Lines are counted where 90 % of them is asked for (in which tests: conftest.py).
COVER := $(foreach s,iam flags experiments audit compute,--cov=services/$(s)/$(s)/domain --cov=services/$(s)/$(s)/usecases) \
	--cov-report=term:skip-covered --cov-fail-under=90
s ?=
T ?=
# What `make test` runs: one path, one service, or everything.
TESTS = $(or $(T),$(if $(s),services/$(s)/tests))
# Faults have a platform of their own, whose traces go to a port where a test may listen.
FREE_PORT = $(PY) -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
FAULTS = SWITCHYARD_OTLP_ENDPOINT=127.0.0.1:$$($(FREE_PORT)) $(YARD) with -- $(PY) -m pytest tests/faults --ignore tests/faults/machines
# Machines need only a PostgreSQL, but one that is not killed under them.
MACHINES = $(YARD) with --database-only -- $(PY) -m pytest tests/faults/machines
# At full length iam is silent for a quarter of an hour: on a platform of its own, beside the others.
SILENT = tests/faults/test_cut_off.py
FOUND = $(CURDIR)/.data/findings
FULL_FAULTS = rm -rf $(FOUND); mkdir -p $(FOUND); export SWITCHYARD_FULL=1 SWITCHYARD_FINDINGS=$(FOUND); \
	SWITCHYARD_OTLP_ENDPOINT=127.0.0.1:1 $(YARD) with -- $(PY) -m pytest $(SILENT) >$(FOUND)/silent.log 2>&1 & silent=$$!; \
	$(FAULTS) --ignore=$(SILENT); held=$$?; wait $$silent || { held=1; cat $(FOUND)/silent.log; }; \
	test $$held = 0 && $(PY) -m tests.faults.table docs/reliability.md $(FOUND)/*.json
# What only looks or stops installs nothing.
here = @test -x $(PY) || { echo "make $@: there is no .venv, so nothing was ever started here: make up" >&2; exit 1; }
# A target whose part is missing says so and fails.
need = @test -e $(1) || { echo "make $@: $(1) is not in this checkout, so there is nothing to run" >&2; exit 1; }

.PHONY: help setup ready up down logs status reset migrate seed backup restore test check protos openapi docs derive k8s-check pins fmt lint types contracts calibrate load hostile faults checked-tests checked-faults checked-machines

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## make .venv with everything for developing
	@$(BOOTSTRAP) dev

# What running needs; made by `up` and its like, nothing to do when it is there.
ready:
	@$(BOOTSTRAP) run

up: ready ## start the platform in the background; returns when all is healthy
	@$(YARD) up

down: ## stop the platform; its data stays
	$(here)
	@$(YARD) down

logs: ## follow the logs (s=flags for one process)
	$(here)
	@$(YARD) logs $(s)

status: ## what runs: pid, health, restarts, memory; fails unless all is healthy
	$(here)
	@$(YARD) status

reset: ## stop the platform and delete its data
	$(here)
	@$(YARD) reset

migrate: ready ## bring the schemas of the running platform up to date (s=flags for one)
	@$(YARD) migrate $(s)

seed: ready ## load demonstration data into the running platform
	@$(YARD) seed

backup: ready ## write everything that cannot be made anew into FILE=…
	@$(if $(FILE),,echo "make backup FILE=switchyard.tar" >&2; exit 2)
	@$(YARD) backup "$(FILE)"

restore: ready ## fill an empty data folder from FILE=… (then: make up)
	@$(if $(FILE),,echo "make restore FILE=switchyard.tar" >&2; exit 2)
	@$(YARD) restore "$(FILE)"

test: setup ## run tests on a throw-away platform (s=flags, T=path)
	@$(YARD) with -- $(PY) -m pytest $(if $(T),,-n 2 --dist worksteal) $(TESTS)

# What leaves a core idle runs beside what waits (docs/adr/0085).
check: setup ## what CI runs: everything that can be checked
	@$(MAKE) --no-print-directory -j 2 lint contracts
	@$(MAKE) --no-print-directory -j 2 types checked-tests
	@$(MAKE) --no-print-directory -j 2 checked-faults checked-machines

checked-tests:
	@$(YARD) with -- $(PY) -m pytest -n 2 --dist worksteal $(COVER)

checked-faults:
	@$(FAULTS)

checked-machines:
	@$(MACHINES)

protos: setup ## generate the code of protos/**/*.proto
	@$(PY) protos/generate.py

openapi: setup ## merge the services' OpenAPI documents into gateway/openapi.json
	$(call need,gateway/gate)
	@$(PY) -m gate openapi

docs: setup ## make the pages of docs/ that are read off the code
	$(call need,docs/generate.py)
	@$(PY) docs/generate.py

derive: setup ## write what follows from deploy/service-graph.yaml (Dockerfiles, manifests, policies, diagram)
	@$(PY) deploy/graph.py

k8s-check: setup ## build every Kubernetes overlay and check it strictly
	@$(PY) deploy/graph.py --check
	@$(PY) -m pytest -rs deploy/tests
	@mkdir -p .data
	@if command -v checkov >/dev/null; then for o in dev prod; do \
	  kubectl kustomize deploy/k8s/overlays/$$o > .data/$$o.yaml && checkov --quiet --compact --skip-download --framework kubernetes \
	    --skip-check CKV_K8S_15,CKV_K8S_35,CKV_K8S_43 -f .data/$$o.yaml || exit 1; done; \
	  else echo "checkov is not installed: skipped"; fi
	@if kubectl cluster-info >/dev/null 2>&1; then sh deploy/k8s/dry-run.sh; \
	  else echo "no cluster is configured: no server-side dry run"; fi

pins: setup ## resolve requirements/*.in into *.txt, with hashes and without addresses
	@$(PY) -m pip install --quiet --disable-pip-version-check uv
	@for name in service gateway run dev; do \
	  $(PY) -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-annotate --custom-compile-command "make pins" \
	    $(if $(UPGRADE),--upgrade) -o requirements/$$name.txt requirements/$$name.in || exit 1; \
	done

fmt: setup ## format the code and repair what can be repaired
	@$(PY) -m ruff check --fix --quiet . ; $(PY) -m ruff format .

lint: setup ## ruff: rules and format
	@$(PY) -m ruff check . && $(PY) -m ruff format --check .

types: setup ## basedpyright, strict
	@.venv/bin/basedpyright

contracts: setup ## import-linter: who may import whom
	@grep -q '^\[tool.importlinter' pyproject.toml || { echo "make contracts: pyproject.toml has no [tool.importlinter], so there is nothing to hold" >&2; exit 1; }
	@.venv/bin/lint-imports

calibrate: setup ## count how often the inference is wrong (10 minutes at most), into docs/calibration.md
	@$(PY) benchmarks/calibrate.py $(ARGS)

load: setup ## locust against a throw-away platform
	$(call need,tests/load)
	@$(YARD) with -- $(PY) -m tests.load

hostile: setup ## schemathesis over every operation of a throw-away platform (HOSTILE_EXAMPLES=4)
	@$(YARD) with -- $(PY) -m tests.hostile

faults: setup ## kill and freeze every part of a throw-away platform, and count what was lost (writes docs/reliability.md; FULL=1 at full length)
	$(call need,tests/faults)
	@$(if $(FULL),$(FULL_FAULTS),SWITCHYARD_RELIABILITY=docs/reliability.md $(FAULTS))
	@$(MACHINES)
