"""Which processes there are, in what order they start, and what each is told.

Who runs and who asks whom comes from `deploy/service-graph.yaml`. A service is given its own
database role and nobody else's (law 7); the administrator's address goes to its migration only.
What a person sets in their own environment (log level, tracing endpoint, a store of their own) wins
over what is chosen here, addresses and ports apart.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from yard import YardError, probes, stores
from yard.probes import Probe
from yard.site import CHECKOUT, Site
from yard.unit import Unit

GRAPH = CHECKOUT / "deploy" / "service-graph.yaml"
LOOPBACK = "127.0.0.1"
MIGRATE = "migrate-"
# Of make's own variables none is for our children: a jobserver that is gone, flags of another make.
NOT_PASSED_ON = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKE_TERMOUT", "MAKE_TERMERR")

Ports = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one run is made from. `careless` stores are for throw-away runs: fast, and not safe from
    a power cut.
    """

    site: Site
    outer: Mapping[str, str]
    ports: Ports
    secrets: Mapping[str, str]
    profile: str
    careless: bool = False
    database_only: bool = False


def asks() -> dict[str, tuple[str, ...]]:
    """Return each service with the services that it asks while a request waits, from the service
    graph.
    """
    import yaml  # the one part that is not in the standard library; only a start needs it

    graph: dict[str, Any] = yaml.safe_load(GRAPH.read_text())
    return {name: tuple(entry["may_ask"]) for name, entry in graph["services"].items()}


def doors(services: Mapping[str, object]) -> list[tuple[str, str]]:
    """Return everything that needs an internal port (the gateway's public one is the person's
    choice).
    """
    inner = [(name, door) for name in services for door in ("http", "grpc")]
    return [
        *inner,
        ("gateway", "admin"),
        ("gateway", "metrics"),
        ("postgres", "tcp"),
        ("valkey", "tcp"),
    ]


def urls(terms: Terms, services: Mapping[str, object]) -> dict[str, str]:
    """Return where people and tests find things (no passwords)."""
    found = {name: f"http://{LOOPBACK}:{terms.ports[name]['http']}" for name in services}
    gateway = terms.ports["gateway"]
    found |= {
        "gateway": f"http://{LOOPBACK}:{gateway['public']}",
        "gateway_admin": f"http://{LOOPBACK}:{gateway['admin']}",
    }
    return found


def database_url(terms: Terms, database: str = stores.DATABASE) -> str:
    """Return the administrator's address: the person's DATABASE_URL, else our own server's."""
    own = f"postgresql://postgres:{terms.secrets['postgres']}@{LOOPBACK}:{terms.ports['postgres']['tcp']}/{database}"
    return terms.outer.get("DATABASE_URL") or own


def redis_url(terms: Terms, number: int = 0) -> str:
    """Return the person's REDIS_URL, else our own server's."""
    own = f"redis://:{terms.secrets['valkey']}@{LOOPBACK}:{terms.ports['valkey']['tcp']}/{number}"
    return terms.outer.get("REDIS_URL") or own


def role_url(admin: str, role: str, password: str) -> str:
    """Return an address with another role and password in it."""
    parts = urlsplit(admin)
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{role}:{quote(password, safe='')}@{place}").geturl()


def probe(terms: Terms, name: str) -> Probe | None:
    """Return how to ask a process by name whether it is ready; None for what cannot be asked."""
    ports = terms.ports
    if name == "postgres":
        return probes.postgres(ports[name]["tcp"])
    if name == "valkey":
        return probes.valkey(ports[name]["tcp"], terms.secrets["valkey"])
    if name == "gateway":
        return probes.http(ports[name]["admin"], "/ready")
    if name == "key-agent":
        return probes.file(terms.site.keylog / "epoch")
    return probes.http(ports[name]["http"], "/readyz") if "http" in ports.get(name, {}) else None


def units(terms: Terms, services: Mapping[str, tuple[str, ...]]) -> list[Unit]:
    """Return all units of a run."""
    env = base_env(terms.outer)
    found = _stores(terms, env)
    if terms.database_only:
        return found
    present = {unit.name for unit in found}
    _all_there(services)
    for name, needs in services.items():
        found.append(migration(terms, name, tuple({"postgres"} & present)))
        found.append(
            _service(terms, name, (f"{MIGRATE}{name}", *sorted({"valkey"} & present), *needs))
        )
    return [*found, *_gateway(terms, env, tuple(services))]


def base_env(outer: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that every child starts from."""
    env = {key: value for key, value in outer.items() if key not in NOT_PASSED_ON}
    return {"PYTHONUNBUFFERED": "1", "MALLOC_ARENA_MAX": "2"} | env


def service_env(terms: Terms, name: str) -> dict[str, str]:
    """Return everything that a service is told."""
    prefix = name.upper()
    own, ports = terms.ports[name], terms.ports
    addresses = {
        f"SWITCHYARD_{s.upper()}_ADDRESS": f"{LOOPBACK}:{ports[s]['grpc']}"
        for s in ports
        if "grpc" in ports[s]
    }
    chosen = {
        f"{prefix}_DATABASE_URL": role_url(
            database_url(terms), name, terms.secrets[f"role_{name}"]
        ),
        "SWITCHYARD_REDIS_URL": redis_url(terms),
        "SWITCHYARD_HTTP_HOST": LOOPBACK,
        "SWITCHYARD_GRPC_HOST": LOOPBACK,
        "SWITCHYARD_PROFILE": terms.profile,
        "SWITCHYARD_ISSUER": f"http://{LOOPBACK}:{ports['gateway']['public']}",
        "SWITCHYARD_AUDIENCE": "switchyard",
        "SWITCHYARD_MESH_SECRET": terms.secrets["mesh"],
        "SWITCHYARD_BUILD_ID": build_id(),
        "SWITCHYARD_SHUTDOWN_DELAY": "0",
        **addresses,
        **(_first_keys(terms) if name == "iam" else {}),
    }
    doors = {f"{prefix}_HTTP_PORT": str(own["http"]), f"{prefix}_GRPC_PORT": str(own["grpc"])}
    return chosen | base_env(terms.outer) | doors


def _first_keys(terms: Terms) -> dict[str, str]:
    """Return the first administrator and key: development credentials, which production refuses."""
    return {
        "IAM_BOOTSTRAP_ADMIN_PASSWORD": "changeme",
        "IAM_BOOTSTRAP_API_KEY": terms.secrets["api_key"],
        "IAM_PASSWORD_PROFILE": "test" if terms.profile == "test" else "compat",
    }


def build_id() -> str:
    """Return the commit that runs, where git can say."""
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "local"
    return asked.stdout.strip() or "local"


def _stores(terms: Terms, env: Mapping[str, str]) -> list[Unit]:
    """Return the stores that the person did not bring."""
    found: list[Unit] = []
    for name, outer, make in (
        ("postgres", "DATABASE_URL", stores.postgres),
        ("valkey", "REDIS_URL", stores.valkey),
    ):
        if not terms.outer.get(outer):
            port = terms.ports[name]["tcp"]
            found.append(make(terms.site, port, env, terms.secrets[name], careless=terms.careless))
    return found


def _all_there(services: Mapping[str, object]) -> None:
    for name in (*services, "gate"):
        if importlib.util.find_spec(name) is None:
            raise YardError(
                f"{name} cannot be started: there is no package `{name}` here (was `make setup` done?)"
            )


def migration(terms: Terms, name: str, needs: tuple[str, ...]) -> Unit:
    """Return the task that brings a service's role and schema up to date (it alone is told the
    administrator's address).
    """
    env = service_env(terms, name) | {f"{name.upper()}_ADMIN_DATABASE_URL": database_url(terms)}
    return Unit(
        name=f"{MIGRATE}{name}",
        command=(sys.executable, "-m", name, "migrate"),
        env=env,
        needs=needs,
        once=True,
        cwd=CHECKOUT,
        hint="The schema is not up to date. `make reset` begins with an empty database.",
    )


def _service(terms: Terms, name: str, needs: tuple[str, ...]) -> Unit:
    return Unit(
        name=name,
        command=(sys.executable, "-m", name, "serve"),
        env=service_env(terms, name),
        needs=needs,
        ready=probe(terms, name),
        cwd=CHECKOUT,
    )


def _gateway(terms: Terms, env: Mapping[str, str], services: tuple[str, ...]) -> list[Unit]:
    """Return the parts of the gate: its configuration, the agent that replicates keys, Envoy."""
    site = terms.site
    render = ("render", "--graph", str(GRAPH), "--state", str(site.state), "--out", str(site.gate))
    told = {
        "GATE_IAM_ADDRESS": f"{LOOPBACK}:{terms.ports['iam']['grpc']}",
        "GATE_KEYLOG_DIR": str(site.keylog),
        "SWITCHYARD_MESH_SECRET": terms.secrets["mesh"],
    }
    gate, own = (sys.executable, "-m", "gate"), {**told, **env}
    envoy = (str(stores.envoy_binary()), "-c", str(site.gate / "envoy.yaml"))
    return [
        Unit(name="render", command=(*gate, *render), env=own, once=True, cwd=CHECKOUT),
        Unit(
            name="key-agent",
            command=(*gate, "agent"),
            env=own,
            needs=("iam",),
            ready=probe(terms, "key-agent"),
            cwd=CHECKOUT,
        ),
        Unit(
            name="gateway",
            command=(*envoy, "--disable-hot-restart", "--concurrency", "2", "-l", "warn"),
            env=env,
            needs=("render", "key-agent", *services),
            ready=probe(terms, "gateway"),
            cwd=CHECKOUT,
        ),
    ]


def outer_for_trial(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return an environment without what would tie a throw-away run to something real."""
    ties = (
        "DATABASE_URL",
        "REDIS_URL",
        "_ADDRESS",
        "_PORT",
        "_HOST",
        "_ISSUER",
        "_PROFILE",
        "_SECRET",
        "_STATE",
        "_DATA",
    )
    ours = (
        "SWITCHYARD_",
        "IAM_",
        "FLAGS_",
        "EXPERIMENTS_",
        "AUDIT_",
        "COMPUTE_",
        "GATE",
        "TEST_",
        "DATABASE_URL",
        "REDIS_URL",
    )
    return {
        key: value
        for key, value in environ.items()
        if not (key.startswith(ours) and key.endswith(ties))
    }


def data_paths(site: Site) -> dict[str, str]:
    """Return the folders that others look into."""
    named: dict[str, Path] = {
        "keylog": site.keylog,
        "log": site.log,
        "gate": site.gate,
        "data": site.root,
    }
    return {name: str(path) for name, path in named.items()} | {"graph": str(GRAPH)}
