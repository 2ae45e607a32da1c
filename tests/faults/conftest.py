"""A platform that may be hurt: run by `make check` in a run of its own, so that no other test stands on it."""

import json
import os
import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.faults import table

FINDINGS = pytest.StashKey()


class Platform:
    """The processes of a throw-away platform, by name."""

    def __init__(self, state):
        self._state = Path(state)
        self.url = os.environ["SWITCHYARD_URL"]

    def pid(self, name):
        return json.loads(self._state.read_text())["pids"][name]

    @property
    def data(self):
        """The data folder."""
        return self._state.parents[1]

    def kill(self, name):
        """Kill a process without warning."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def is_back(self, name, killed):
        """Whether another process has taken the place of the one that was killed."""
        try:
            return self.pid(name) != killed
        except (KeyError, ValueError):
            return False

    def listens(self, store):
        """Whether anybody is at the port of a store."""
        with socket.socket() as door:
            port = json.loads(self._state.read_text())["ports"][store]["tcp"]
            return door.connect_ex(("127.0.0.1", port)) == 0

    def http(self, service):
        """The address of a service itself, behind the gate."""
        return f"http://127.0.0.1:{json.loads(self._state.read_text())['ports'][service]['http']}"

    async def healthy(self):
        """Whether the whole platform answers."""
        try:
            async with httpx.AsyncClient(base_url=self.url, timeout=2) as web:
                gate = await web.get("/health")
            ports = json.loads(self._state.read_text())["ports"]
            async with httpx.AsyncClient(timeout=2) as web:
                answers = [
                    await web.get(f"http://127.0.0.1:{ports[s]['http']}/readyz")
                    for s in ("iam", "flags", "experiments", "audit", "compute")
                ]
        except httpx.HTTPError:
            return False
        return all(a.status_code == 200 for a in [gate, *answers])


@pytest.fixture(scope="session")
def platform():
    if not (state := os.environ.get("SWITCHYARD_STATE")):
        pytest.skip("SWITCHYARD_STATE is not set: `make faults` starts a platform and sets it")
    return Platform(state)


@pytest.fixture
def finding(request):
    """Tell what was done about a row of the table, and the figure; `partly` says what of the row is left out."""
    told = request.config.stash.setdefault(FINDINGS, [])

    def tell(row, done, figure, partly=""):
        print(f"{row}: {done}: {figure}")
        told.append(table.Finding(row, done, figure, partly))

    return tell


def pytest_sessionfinish(session, exitstatus):
    """Keep what was found, or write docs/reliability.md, where `make faults` asked for it and all tests held."""
    found = session.config.stash.get(FINDINGS, [])
    if exitstatus == 0 and (kept := os.environ.get("SWITCHYARD_FINDINGS")):
        table.keep(Path(kept), found)
    if exitstatus == 0 and (page := os.environ.get("SWITCHYARD_RELIABILITY")):
        table.write(Path(page), found)
