"""What the yard's tests share: sites in temporary folders, fake services, running the yard."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LIBS = HERE.parents[2] / "libs"
SOURCES = (HERE.parent, *(LIBS / name for name in ("authz", "schemas", "chassis")))
SERVICES = ("iam", "flags", "experiments", "audit", "compute")
sys.path[:0] = map(str, SOURCES)


@pytest.fixture
def site(tmp_path):
    from yard.site import Site

    made = Site(tmp_path / "data")
    made.make()
    return made


@pytest.fixture(scope="session")
def fakes(tmp_path_factory):
    """A folder of importable packages, each a fake of a part of the platform."""
    folder = tmp_path_factory.mktemp("fakes")
    for name in (*SERVICES, "gate"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").touch()
        source = "gate.py" if name == "gate" else "service.py"
        shutil.copy(HERE / "fakes" / source, folder / name / "__main__.py")
    (folder / "schemas").mkdir()
    # Only the command line is a fake: the rest of the package is found further down the path.
    beside = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"
    (folder / "schemas" / "__init__.py").write_text(beside)
    shutil.copy(HERE / "fakes" / "migrate.py", folder / "schemas" / "__main__.py")
    return folder


@pytest.fixture
def environment(site, fakes):
    """A clean environment: fakes first, nothing of the platform that may be around these tests."""
    from yard.terms import OURS

    kept = {key: value for key, value in os.environ.items() if not key.startswith(OURS)}
    kept = {key: value for key, value in kept.items() if key not in ("DATABASE_URL", "REDIS_URL")}
    path = os.pathsep.join((str(fakes), *map(str, SOURCES)))
    return {**kept, "PYTHONPATH": path, "SWITCHYARD_DATA": str(site.root)}


@pytest.fixture
def yard(environment):
    """Run a verb to its end and return the finished process."""

    def run(*arguments, **more):
        return subprocess.run(
            [sys.executable, "-m", "yard", *arguments],
            env={**environment, **more},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.fixture
def eventually():
    """Wait for a condition; what never comes true fails."""

    def wait(condition, within=30.0):
        end = time.monotonic() + within
        while not condition():
            assert time.monotonic() < end, f"not true within {within} s"
            time.sleep(0.02)

    return wait


@pytest.fixture
def soon():
    """The same for a test that runs in a loop."""

    async def wait(condition, within=30.0):
        end = time.monotonic() + within
        while not condition():
            assert time.monotonic() < end, f"not true within {within} s"
            await asyncio.sleep(0.02)

    return wait
