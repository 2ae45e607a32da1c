"""What tests of every room share: paths, and a migrated schema of each service on a real PostgreSQL.

The servers themselves are started by whoever runs the tests (`make check`, `make test`): see deploy/local/yard.
"""

import asyncio
import functools
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx._transports.default as httpx_transports
import pytest
from hypothesis import HealthCheck, settings

# The same examples in every run, so that it tells of the change; HYPOTHESIS_PROFILE=explore looks further.
# How long an example takes says how busy the machine is, not whether the code is right.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", patient, derandomize=True)
settings.register_profile("explore", patient, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

# A client reads every certificate that the machine trusts, 25 ms, when it is made: here they share it.
httpx_transports.create_ssl_context = functools.cache(httpx_transports.create_ssl_context)  # type: ignore[assignment]

ROOT = Path(__file__).parent
# Lines are counted in these tests; no other runs any of the domain or the use-cases in its own process.
COUNTED = ROOT / "services"
SERVICES = ("iam", "flags", "experiments", "audit", "compute")
SOURCES = [
    ROOT / "libs/authz",
    ROOT / "libs/egress",
    ROOT / "libs/schemas",
    ROOT / "libs/chassis",
    ROOT / "protos",
    *(ROOT / "services" / name for name in SERVICES),
    ROOT / "gateway",
    ROOT / "deploy/local",
]
sys.path[:0] = [str(path) for path in SOURCES if str(path) not in sys.path]


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of each collection of garbage: a million objects that stay anyhow."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Count lines in tests that can reach them: while it counts, Python 3.11 takes 1.6 times as long for anything."""
    counter = getattr(item.config.pluginmanager.get_plugin("_cov"), "cov_controller", None)
    counted = item.path.is_relative_to(COUNTED)
    if counter is None or counter.started is counted:
        return
    if counted:
        counter.resume()
    else:
        counter.pause()
        counter.cov.get_data()  # keeps what was counted: starting again would forget it


def as_role(url: str, role: str, password: str) -> str:
    """Return the URL of the same database for another role."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{host}"))


@pytest.fixture(scope="session")
def admin_url() -> str:
    """The URL of an empty database of which we are the superuser."""
    if not (url := os.environ.get("TEST_DATABASE_URL")):
        pytest.skip("TEST_DATABASE_URL is not set: `make test` starts a PostgreSQL and sets it")
    return url


@pytest.fixture(scope="session")
def service_url(admin_url: str) -> Callable[[str], str]:
    """Return the maker of database URLs: for a service's own role, on its migrated schema."""
    from schemas.migrate import migrate

    made: dict[str, str] = {}

    def url_of(service: str) -> str:
        if service not in made:
            url = as_role(admin_url, f"test_{service}", "test-only")
            asyncio.run(migrate(service, url, admin_url))
            made[service] = url
        return made[service]

    return url_of


@pytest.fixture(scope="session")
def redis_url() -> str:
    """The URL of a Redis or Valkey that tests may write to."""
    if not (url := os.environ.get("TEST_REDIS_URL")):
        pytest.skip("TEST_REDIS_URL is not set: `make test` starts a Valkey and sets it")
    return url


@pytest.fixture
def someone() -> Callable[..., object]:
    """Return the maker of callers as a replica makes them: see `tests/callers.py`."""
    from tests.callers import caller

    return caller
