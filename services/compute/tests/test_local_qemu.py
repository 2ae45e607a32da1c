"""Looking for QEMU, among real programs in a folder of our own."""

import os

import pytest

from compute.clients import FRESH, LocalQemu
from compute.domain.errors import NoDriver, NoHypervisor

SAYS = "QEMU emulator version 9.2.1 (Debian 1:9.2.1+ds-1)"


@pytest.fixture
def programs(tmp_path):
    """Install programs that say something, into a folder that is the whole PATH."""

    def install(**programs):
        for name, script in programs.items():
            place = tmp_path / name.replace("_", "-").replace("x86-64", "x86_64")
            place.write_text(f"#!/bin/sh\n{script}\n")
            place.chmod(0o755)
        return str(tmp_path)

    return install


async def test_without_either_program_both_are_named(programs):
    probe = await LocalQemu(programs()).probe()
    assert (probe.version, probe.trouble) == (None, "not found: qemu-system-x86_64, qemu-img")


async def test_without_one_program_that_one_is_named(programs):
    probe = await LocalQemu(programs(qemu_system_x86_64=f"echo '{SAYS}'")).probe()
    assert probe.trouble == "not found: qemu-img"


async def test_the_version_is_asked_of_the_program_itself(programs):
    probe = await LocalQemu(
        programs(qemu_system_x86_64=f"[ $1 = --version ] && echo '{SAYS}'", qemu_img="true")
    ).probe()
    assert (probe.version, probe.driven) == ("9.2.1", False)
    with pytest.raises(NoDriver):
        probe.must_run_machines()


@pytest.mark.parametrize("script", ["echo hello", "exit 1", "kill -9 $$"])
async def test_a_program_that_does_not_tell_its_version_is_trouble(programs, script):
    probe = await LocalQemu(programs(qemu_system_x86_64=script, qemu_img="true")).probe()
    with pytest.raises(NoHypervisor, match="does not tell its version"):
        probe.must_run_machines()


async def test_a_program_that_cannot_be_run_is_trouble(programs, tmp_path):
    path = programs(qemu_system_x86_64="", qemu_img="true")
    (tmp_path / "qemu-system-x86_64").write_bytes(b"\x7fELF, but no more")
    assert (await LocalQemu(path).probe()).version is None


async def test_a_program_that_hangs_is_given_up_and_leaves_no_process(
    programs, tmp_path, monkeypatch
):
    monkeypatch.setattr("compute.clients.PATIENCE", 1.5)
    path = programs(qemu_system_x86_64=f"echo $$ > {tmp_path}/pid; exec sleep 60", qemu_img="true")
    path += f"{os.pathsep}{os.defpath}"
    assert (await LocalQemu(path).probe()).version is None
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_a_look_counts_for_a_while_and_no_longer(programs):
    now = 0.0
    qemu = LocalQemu(programs(), clock=lambda: now)
    assert (await qemu.probe()).version is None
    programs(qemu_system_x86_64=f"echo '{SAYS}'", qemu_img="true")
    assert (await qemu.probe()).version is None
    now = FRESH + 1
    assert (await qemu.probe()).version == "9.2.1"
