import os
import re
import signal
import socket
import stat
import subprocess
from urllib.request import urlopen

import pytest

from yard import YardError, ports, procs, record, roster, session
from yard.terms import Terms


@pytest.fixture
def port():
    return ports.draw(())


@pytest.fixture
def up(yard, site, port):
    """A platform of fakes with real stores and Envoy, taken down afterwards."""
    ran = yard("up", GATEWAY_PORT=str(port))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    yield ran
    yard("down")
    assert not session.is_locked(site)


def test_from_nothing_to_an_evaluated_flag_and_back(up, yard, site, port, eventually):
    # Up: the curl line that was printed works as it is.
    line = re.search(r"curl .*?'\{.*?\}'", up.stdout, re.DOTALL)[0].replace("\\\n", " ")
    answer = subprocess.run(["sh", "-c", line], capture_output=True, text=True)
    assert '"value": true' in answer.stdout, line

    # Up again: said, and nothing started.
    before = record.read(site.state)
    again = yard("up")
    assert again.returncode == 0
    assert "up already" in again.stdout
    assert record.read(site.state).processes == before.processes

    # Migrate and seed: again without harm; a name that is none is told.
    assert "flags is at revision 0" in yard("migrate", "flags").stdout
    assert "`hello` is there" in yard("seed").stdout
    assert "no service 'flag'" in yard("migrate", "flag").stderr

    # Status: everything healthy; a killed service and a killed Envoy come back.
    assert yard("status").returncode == 0
    for name in ("flags", "gateway"):
        old = before.processes[name].known()
        old.signal(signal.SIGKILL)
        eventually(lambda n=name, o=old: revived(site, n, o))
    table = yard("status")
    assert table.returncode == 0, table.stdout
    assert re.search(r"flags +\d+ +healthy +1 ", table.stdout), table.stdout
    assert re.search(r"total .*MiB", table.stdout)

    # Down: nothing is left; the data is.
    children = [entry.known() for entry in record.read(site.state).processes.values()]
    assert yard("down").returncode == 0
    assert not any(child.alive() for child in children)
    assert yard("status").returncode == 1
    assert (site.postgres / "PG_VERSION").exists() or os.geteuid() != 0

    # Reset: the data is not.
    assert yard("reset").returncode == 0
    assert not site.root.exists()


def revived(site, name, old):
    entry = record.read(site.state).processes[name]
    return entry.state == "ready" and entry.pid != old.pid


def test_a_frozen_service_is_seen(up, yard, site):
    frozen = record.read(site.state).processes["audit"].known()
    frozen.signal(signal.SIGSTOP)
    table = yard("status")
    frozen.signal(signal.SIGCONT)
    assert table.returncode == 1
    assert re.search(r"audit +\d+ +unready", table.stdout), table.stdout


def test_a_killed_supervisor_takes_its_children_along_and_the_next_start_is_clean(
    up, yard, site, port, eventually
):
    first = record.read(site.state)
    first.processes["audit"].known().signal(signal.SIGSTOP)
    first.supervisor.known().signal(signal.SIGKILL)
    children = [entry.known() for entry in first.processes.values()]
    eventually(lambda: not any(child.alive() for child in children))
    ran = yard("up", GATEWAY_PORT=str(port))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    second = record.read(site.state)
    assert second.ports == first.ports
    assert urlopen(f"http://127.0.0.1:{port}/health").status == 200


def test_a_service_that_does_not_start_is_named_with_its_last_words(yard, site, port):
    ran = yard("up", GATEWAY_PORT=str(port), FAKE_BROKEN="audit")
    assert ran.returncode == 1
    assert "audit exited with status 1" in ran.stderr
    assert "the fake is broken, as it was told" in ran.stderr
    assert not session.is_locked(site)
    assert not any(entry.known().alive() for entry in record.read(site.state).processes.values())


def test_a_taken_gateway_port_is_told_with_its_holder(yard, site):
    with socket.create_server(("127.0.0.1", 0)) as thief:
        ran = yard("up", GATEWAY_PORT=str(thief.getsockname()[1]))
    assert ran.returncode == 1
    assert f"pid {os.getpid()} " in ran.stderr
    assert "GATEWAY_PORT" in ran.stderr


def test_a_missing_package_is_told_before_anything_starts(site):
    given = {"DATABASE_URL": "postgresql://x", "REDIS_URL": "redis://x"}
    terms = Terms(site=site, outer=given, ports={}, secrets={}, profile="test")
    with pytest.raises(YardError, match="no package `nosuchservice`"):
        roster.units(terms, {"nosuchservice": ()})


def test_what_is_not_up_can_be_taken_down_and_looked_at(yard):
    assert "not up" in yard("down").stdout
    assert yard("status").returncode == 1
    assert yard("seed").returncode == 1
    assert yard("logs").returncode == 1


def test_stores_of_ones_own_are_used_instead(yard, site, port):
    """The fakes never connect: what counts is that none of ours is started."""
    given = {
        "DATABASE_URL": "postgresql://postgres:x@127.0.0.1:1/mine",
        "REDIS_URL": "redis://127.0.0.1:1",
    }
    try:
        ran = yard("up", GATEWAY_PORT=str(port), **given)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert not {"postgres", "valkey"} & record.read(site.state).processes.keys()
    finally:
        yard("down")


def test_data_is_closed_to_others(up, site):
    assert stat.S_IMODE(site.run.stat().st_mode) == 0o700
    assert stat.S_IMODE(site.log.stat().st_mode) == 0o700
    assert stat.S_IMODE(site.state.stat().st_mode) == 0o600
    assert stat.S_IMODE(site.root.stat().st_mode) in (0o700, 0o711)
    for entry in record.read(site.state).processes.values():
        assert procs.birth(entry.pid) == entry.born
