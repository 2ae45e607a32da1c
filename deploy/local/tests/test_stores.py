import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from yard import procs, record, stores

PROBE = """
import json, os, sys
names = ("DATABASE_URL", "TEST_DATABASE_URL", "REDIS_URL", "SWITCHYARD_STATE")
print(json.dumps({name: os.environ[name] for name in names}), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def trial():
    """PostgreSQL and Valkey, around a command that waits for the end of its input."""
    import json

    command = [
        sys.executable,
        "-m",
        "yard",
        "with",
        "--database-only",
        "--",
        sys.executable,
        "-c",
        PROBE,
    ]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield json.loads(process.stdout.readline())
        process.stdin.close()
        assert process.wait(30) == 0


def psql(url, query):
    command = [str(stores.postgres_binaries() / "psql"), "-At", url, "-c", query]
    return subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})


def ask(port, question):
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(question)
        return connection.recv(100)


def test_there_are_two_databases_and_the_second_is_empty(trial):
    assert psql(trial["DATABASE_URL"], "SELECT current_database()").stdout == "switchyard\n"
    tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    empty = f"SELECT current_database(), ({tables})"
    assert psql(trial["TEST_DATABASE_URL"], empty).stdout == "switchyard_test|0\n"


def test_postgres_wants_the_password_and_listens_on_loopback_only(trial):
    parts = urlsplit(trial["DATABASE_URL"])
    wrong = trial["DATABASE_URL"].replace(parts.password, "wrong")
    assert "password authentication failed" in psql(wrong, "SELECT 1").stderr
    assert psql(trial["DATABASE_URL"], "SHOW listen_addresses").stdout == "127.0.0.1\n"
    kinds = "SELECT DISTINCT auth_method FROM pg_hba_file_rules"
    assert psql(trial["DATABASE_URL"], kinds).stdout == "scram-sha-256\n"


def test_postgres_is_not_run_by_root(trial):
    pid = record.read(Path(trial["SWITCHYARD_STATE"])).processes["postgres"].pid
    uids = next(
        line
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("Uid")
    )
    inside = Path(f"/proc/{pid}/uid_map").read_text().split()
    assert uids.split()[1] != "0" or inside[0] == "65534"


def test_valkey_wants_the_password_and_keeps_what_it_is_told(trial):
    url = urlsplit(trial["REDIS_URL"])
    assert ask(url.port, b"PING\r\n").startswith(b"-NOAUTH")
    assert b"yes" in ask(url.port, f"AUTH {url.password}\r\nCONFIG GET appendonly\r\n".encode())


def test_a_killed_database_comes_back(trial, eventually):
    state = Path(trial["SWITCHYARD_STATE"])
    old = record.read(state).processes["valkey"]
    old.known().signal(signal.SIGKILL)
    eventually(lambda: record.read(state).processes["valkey"].pid not in (0, old.pid))
    eventually(lambda: record.read(state).processes["valkey"].state == "ready")
    assert record.read(state).processes["valkey"].restarts == old.restarts + 1


@pytest.mark.parametrize("pid", [1, 2**22 - 1])
def test_a_pid_file_of_a_database_that_is_no_more_is_forgotten(tmp_path, pid):
    (tmp_path / "postmaster.pid").write_text(f"{pid}\n{tmp_path}\n")
    stores.forget_stale_pid(tmp_path)
    assert not (tmp_path / "postmaster.pid").exists()


def test_a_pid_file_of_a_database_that_lives_is_left(tmp_path):
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path) as child:
        (tmp_path / "postmaster.pid").write_text(f"{child.pid}\n")
        stores.forget_stale_pid(tmp_path)
        assert (tmp_path / "postmaster.pid").exists()
        child.kill()


def test_birth_of_nobody_is_empty():
    assert procs.birth(2**22 - 1) == ""
