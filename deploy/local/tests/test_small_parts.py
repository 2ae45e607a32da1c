import json
import os
import re
import signal
import socket
import subprocess

import pytest

from authz.apikeys import well_formed
from yard import YardError, logbook, ports, procs, record, session, vault
from yard.backup import unpack
from yard.procs import Known
from yard.record import Entry, Record
from yard.site import Site
from yard.terms import outer_for_trial, role_url

KEY = re.compile(r"^sy_srv_[A-Za-z0-9]{16}_[A-Za-z0-9]{32}[A-Za-z0-9]{6}$")


def test_the_api_key_is_one_that_iam_takes():
    key = vault.api_key()
    assert KEY.match(key)
    assert well_formed(key)
    assert key != vault.api_key()


def test_secrets_are_made_once_and_readable_by_the_owner_only(site):
    first = vault.load(site.secrets, ["iam"])
    assert vault.load(site.secrets, ["iam", "flags"]).items() >= first.items()
    assert site.secrets.stat().st_mode & 0o777 == 0o600
    assert len(set(first.values())) == len(first)
    assert len(first["mesh"]) >= 32


def test_a_data_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(YardError, match=r"cannot be made .*SWITCHYARD_DATA"):
        Site(tmp_path / "file" / "data").make()


def test_a_backup_that_is_not_there_is_told(tmp_path):
    with pytest.raises(YardError, match="there is no file"):
        unpack(tmp_path / "none.tar", tmp_path)


def test_ports_stay_the_same_unless_somebody_has_taken_them():
    wanted = [("a", "http"), ("a", "grpc"), ("b", "http")]
    before = ports.assign(wanted, {})
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", before["a"]["grpc"]))
        thief.listen()
        after = ports.assign(wanted, before)
    assert (after["a"]["http"], after["b"]) == (before["a"]["http"], before["b"])
    assert after["a"]["grpc"] != before["a"]["grpc"]
    assert len({port for doors in after.values() for port in doors.values()}) == 3


def test_who_holds_a_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert procs.holder(port).startswith(f"pid {os.getpid()} (")
        assert not ports.free(port)
    assert procs.holder(port) == ""


@pytest.fixture
def sleeper():
    """Start processes that do nothing, in shell, and end them whatever happened."""
    made = []

    def start(script="exec sleep 60"):
        made.append(subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE))
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_process_with_a_reused_pid_is_not_signalled(sleeper):
    child = sleeper()
    Known(child.pid, "1@another-boot").signal(signal.SIGKILL)
    assert child.poll() is None
    Known(child.pid, procs.birth(child.pid)).signal(signal.SIGKILL)
    assert child.wait(5) == -signal.SIGKILL


def test_what_a_dead_supervisor_left_is_stopped_however_deaf_and_nobody_else(sleeper):
    left, stranger = sleeper("trap '' TERM; echo deaf; while :; do sleep 0.05; done"), sleeper()
    left.stdout.readline()
    before = Record()
    before.processes["flags"] = Entry(pid=left.pid, born=procs.birth(left.pid), state="ready")
    before.processes["iam"] = Entry(pid=stranger.pid, born="1@before", state="ready")
    assert session.clear(before, patience=0.2) == ["flags"]
    assert left.wait(5) == -signal.SIGKILL
    assert stranger.poll() is None


def test_the_record_is_read_as_it_was_written_and_rubbish_is_no_record(site):
    written = Record(ports={"iam": {"http": 1}}, urls={"gateway": "http://x"}, healthy=True)
    written.processes["iam"] = Entry(pid=7, born="x", state="ready", restarts=2)
    written.write(site.state)
    assert record.read(site.state) == written
    assert json.loads(site.state.read_text())["pids"] == {"iam": 7}
    site.state.write_text('{"ports": ')
    assert record.read(site.state) == Record()


def test_only_one_supervisor_per_site(site):
    assert not session.is_locked(site)
    with session.locked(site):
        assert session.is_locked(site)
    assert not session.is_locked(site)


def test_memory_counts_descendants(sleeper):
    parent = sleeper("sleep 5 & echo started; wait")
    parent.stdout.readline()
    assert len(procs.family(parent.pid)) == 2
    assert procs.memory(parent.pid) > procs.memory(parent.pid, alone=True) > 0


def test_a_large_log_is_set_aside_and_its_writer_goes_on(tmp_path):
    with logbook.open_log(tmp_path, "a") as log:
        for round_ in range(5):
            log.write(f"round {round_}\n".encode() + b"x" * 100)
            logbook.rotate(tmp_path, largest=50, kept=2)
        log.write(b"now\n")
    assert (tmp_path / "a.log").read_bytes() == b"now\n"
    assert (tmp_path / "a.log.1").read_text().startswith("round 4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.log", "a.log.1", "a.log.2"]


def test_the_tail_of_a_log_begins_where_it_is_told(tmp_path):
    path = tmp_path / "a.log"
    path.write_text("old\nnew 1\nnew 2\n")
    assert logbook.tail(path, since=4) == ["new 1", "new 2"]
    assert logbook.tail(path, lines=1) == ["new 2"]
    assert logbook.tail(path, since=1000) == ["old", "new 1", "new 2"]  # it was cut meanwhile
    assert logbook.tail(tmp_path / "none.log") == []


def test_a_role_gets_an_address_of_its_own():
    admin = "postgresql://me:secret@db.example:5433/main?sslmode=require"
    assert (
        role_url(admin, "iam", "a/b")
        == "postgresql://iam:a%2Fb@db.example:5433/main?sslmode=require"
    )


def test_a_trial_does_not_see_what_leads_to_real_data():
    ties = {
        "DATABASE_URL": "x",
        "REDIS_URL": "x",
        "IAM_DATABASE_URL": "x",
        "SWITCHYARD_IAM_ADDRESS": "x",
    }
    assert outer_for_trial({**ties, "PATH": "p", "SWITCHYARD_LOG_LEVEL": "debug"}) == {
        "PATH": "p",
        "SWITCHYARD_LOG_LEVEL": "debug",
    }
