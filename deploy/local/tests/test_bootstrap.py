import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from yard import bootstrap

SCRIPT = Path(bootstrap.__file__)


@pytest.fixture
def checkout(tmp_path):
    """A checkout with the bootstrap and a requirements file that needs nothing from outside."""
    (tmp_path / "deploy/local/yard").mkdir(parents=True)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/run.txt").write_text("# nothing\n")
    shutil.copy(SCRIPT, tmp_path / "deploy/local/yard/bootstrap.py")
    return tmp_path


def run(checkout, **env):
    command = [sys.executable, "-I", str(checkout / "deploy/local/yard/bootstrap.py")]
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True)


def test_it_makes_an_environment_once_and_takes_nothing_without_its_hash(checkout):
    assert run(checkout).returncode == 0
    listing = next((checkout / ".venv/lib").glob("python3.*/site-packages/switchyard.pth"))
    assert f"{checkout}/services/flags" in listing.read_text().splitlines()

    assert run(checkout).stdout == ""

    (checkout / "pyproject.toml").touch()
    (checkout / "requirements/run.txt").write_text(f"{checkout}\n")
    refused = run(checkout)
    assert refused.returncode != 0
    assert "hash" in refused.stderr.lower()


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A machine whose commands are only what the test puts there, and a person who is not root."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    def command(name, script):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    return command


def test_without_the_right_to_install_it_says_the_line_to_type(bare):
    bare("apt-get", "exit 0")
    bare("sudo", "exit 1")
    with pytest.raises(SystemExit, match="sudo apt-get install -y python3"):
        bootstrap.get_venv()


def test_with_sudo_that_asks_nothing_it_installs(bare, tmp_path):
    bare("apt-get", f"echo $* >> {tmp_path}/asked")
    bare("sudo", 'shift; case $1 in true) exit 0;; esac; exec "$@"')
    bootstrap.get_venv()
    update, install = (tmp_path / "asked").read_text().splitlines()
    assert update == "update"
    assert install.startswith("install -y python3")
