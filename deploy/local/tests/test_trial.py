import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from yard import record


@pytest.fixture
def started(environment, tmp_path):
    """Start `yard with` around a command that writes where its state is, and then sleeps."""
    told = tmp_path / "told"
    script = f"echo $SWITCHYARD_STATE > {told}.new; mv {told}.new {told}; exec sleep 60"
    command = [sys.executable, "-m", "yard", "with", "--database-only", "--", "sh", "-c", script]
    with subprocess.Popen(
        command,
        env={**environment, "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        yield process, told
        process.kill()


def everybody(told, eventually):
    """The processes that were started, once they are."""
    eventually(told.exists)
    state = Path(told.read_text().strip())
    return state, [entry.known() for entry in record.read(state).processes.values()]


def test_the_exit_status_is_the_commands_and_nothing_is_left(yard, tmp_path):
    (tmp_path / "tmp").mkdir()
    ran = yard("with", "--database-only", "--", "sh", "-c", "exit 7", TMPDIR=str(tmp_path / "tmp"))
    assert ran.returncode == 7, ran.stderr
    assert list((tmp_path / "tmp").iterdir()) == []


def test_when_interrupted_it_takes_everything_down(started, eventually):
    process, told = started
    state, children = everybody(told, eventually)
    assert len(children) == 2
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert not any(child.alive() for child in children)
    assert not state.exists()


def test_when_killed_its_children_die_with_it(started, eventually):
    process, told = started
    _, children = everybody(told, eventually)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    eventually(lambda: not any(child.alive() for child in children))


def test_a_whole_platform_tells_the_command_where_it_is(yard):
    names = ("SWITCHYARD_URL", "SWITCHYARD_API_KEY", "SWITCHYARD_ADMIN_PASSWORD")
    script = f'echo ${" $".join(names)}; test -n "$TEST_REDIS_URL"'
    ran = yard("with", "--", "sh", "-c", script)
    assert ran.returncode == 0, ran.stderr
    url, key, password = ran.stdout.split()
    assert url.startswith("http://127.0.0.1:")
    assert key.startswith("sy_srv_")
    assert password == "changeme"
