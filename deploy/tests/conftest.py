"""What the tests of the deployment look at: the compose files, the built overlays, the service graph."""

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
OVERLAYS = ("base", "overlays/dev", "overlays/prod", "overlays/cnpg", "overlays/airgap")
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<how>:-|:\?)(?P<rest>(?:[^{}]|\$\{[^{}]*\})*))?\}")


def interpolated(value: Any, environment: dict[str, str]) -> Any:
    """Return a compose document with `${VAR:-default}` and `${VAR:?…}` put in, as compose does it."""
    if isinstance(value, dict):
        return {key: interpolated(each, environment) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolated(each, environment) for each in value]
    if not isinstance(value, str):
        return value

    def put(found: re.Match[str]) -> str:
        if given := environment.get(found["name"]):
            return given
        if found["how"] == ":-":
            return interpolated(found["rest"], environment)
        raise KeyError(found["name"])

    return _VARIABLE.sub(put, value).replace("$$", "$")


@pytest.fixture(scope="session")
def graph() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "deploy/service-graph.yaml").read_text())


@pytest.fixture(scope="session")
def deriver() -> ModuleType:
    """`deploy/graph.py`, which is a script and in nobody's package."""
    spec = importlib.util.spec_from_file_location("deploy_graph", ROOT / "deploy/graph.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    """docker-compose.yml as it is with nothing set."""
    return interpolated(yaml.safe_load((ROOT / "docker-compose.yml").read_text()), {})


@pytest.fixture(scope="session")
def overlay() -> Callable[[str], list[dict[str, Any]]]:
    """Return what builds an overlay: every object that `kubectl apply -k` would send."""
    if not (kubectl := shutil.which("kubectl")):
        pytest.skip("kubectl is not on this machine: it builds the overlays")

    @cache
    def build(name: str) -> list[dict[str, Any]]:
        command = [kubectl, "kustomize", str(ROOT / "deploy/k8s" / name)]
        built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert built.returncode == 0, built.stderr
        return [document for document in yaml.safe_load_all(built.stdout) if document]

    return build


@pytest.fixture(scope="session")
def known_variables() -> Callable[[str], set[str]]:
    """Return what says which variables a service or the gate reads."""

    def of(name: str) -> set[str]:
        if name == "gateway":
            return _gate_variables()
        settings = importlib.import_module(f"{name}.settings").Settings
        fields = [field.upper() for field in settings.model_fields]
        own = {f"{name.upper()}_{field}" for field in [*fields, "ADMIN_DATABASE_URL"]}
        return own | {f"SWITCHYARD_{field}" for field in fields}

    return of


def _gate_variables() -> set[str]:
    """The gate reads by name: `GATE_…`, `SWITCHYARD_…`, or `setting("…")` for either."""
    source = "".join(path.read_text() for path in (ROOT / "gateway/gate").glob("*.py"))
    either = re.findall(r'setting\("([A-Z_]+)"', source)
    full = set(re.findall(r'"((?:GATE|SWITCHYARD)_[A-Z_]+)"', source))
    return full | {f"{prefix}_{name}" for prefix in ("GATE", "SWITCHYARD") for name in either}
