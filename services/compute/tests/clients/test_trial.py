"""Looking for QEMU, among real programs in a folder of our own."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from compute.clients import trial as trial_module
from compute.clients.images import Images
from compute.clients.trial import Trial
from compute.domain.errors import NoHypervisor, NotTriedYet

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


async def look(path, **more):
    return await Trial(Path(path), Images(()), path=path, **more).look()


async def test_before_anybody_looked_one_is_to_ask_again(tmp_path):
    with pytest.raises(NotTriedYet):
        Trial(tmp_path, Images(())).found.must_run_machines()


async def test_without_either_program_both_are_named(programs):
    found = await look(programs())
    assert (found.version, found.trouble) == (None, "not found: qemu-system-x86_64, qemu-img")


async def test_without_one_program_that_one_is_named(programs):
    found = await look(programs(qemu_system_x86_64=f"echo '{SAYS}'"))
    assert found.trouble == "not found: qemu-img"


async def test_qemu_without_a_template_to_try_it_with_runs_nothing(programs):
    found = await look(
        programs(qemu_system_x86_64=f"[ $1 = --version ] && echo '{SAYS}'", qemu_img="true")
    )
    assert (found.version, found.ran) == ("9.2.1", False)
    with pytest.raises(NoHypervisor, match="the built-in template was not made"):
        found.must_run_machines()


@pytest.mark.parametrize("script", ["echo hello", "exit 1", "kill -9 $$"])
async def test_a_program_that_does_not_tell_its_version_is_trouble(programs, script):
    found = await look(programs(qemu_system_x86_64=script, qemu_img="true"))
    with pytest.raises(NoHypervisor, match=r"does not tell its version|status"):
        found.must_run_machines()


async def test_a_program_that_cannot_be_run_is_trouble(programs, tmp_path):
    path = programs(qemu_system_x86_64="", qemu_img="true")
    (tmp_path / "qemu-system-x86_64").write_bytes(b"\x7fELF, but no more")
    assert (await look(path)).version is None


async def test_a_program_that_hangs_is_given_up_and_leaves_no_process(
    programs, tmp_path, monkeypatch
):
    monkeypatch.setattr("compute.clients.images.PATIENCE", 1.5)
    path = programs(qemu_system_x86_64=f"echo $$ > {tmp_path}/pid; exec sleep 60", qemu_img="true")
    path += f"{os.pathsep}{os.defpath}"
    assert (await look(path)).version is None
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


async def test_what_was_missing_is_found_at_the_next_look(programs, tmp_path):
    path = programs()
    trial = Trial(tmp_path, Images(()), path=path)
    assert (await trial.look()).version is None
    programs(qemu_system_x86_64=f"echo '{SAYS}'", qemu_img="true")
    assert (await trial.look()).version == "9.2.1"


@pytest.mark.parametrize(
    ("flags", "device", "wanted", "tried"),
    [
        ("fpu vmx", True, "auto", ("kvm", "tcg")),
        ("fpu svm", True, "auto", ("kvm", "tcg")),
        ("fpu", True, "auto", ("tcg",)),
        ("vmx", False, "auto", ("tcg",)),
        ("fpu", False, "kvm", ("kvm",)),
        ("vmx", True, "tcg", ("tcg",)),
    ],
)
def test_kvm_is_tried_where_the_processor_and_the_device_say_so(
    tmp_path, monkeypatch, flags, device, wanted, tried
):
    (tmp_path / "cpuinfo").write_text(f"flags\t: {flags}\n")
    monkeypatch.setattr(trial_module, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(trial_module, "KVM", tmp_path / ("cpuinfo" if device else "none"))
    assert trial_module.accelerators(wanted) == tried


async def test_why_no_guest_ran_stays_said_while_another_is_tried(tmp_path):
    images = Images((Path(__file__).parents[4] / ".images",))
    trial = Trial(tmp_path, images, "no-such-accelerator")
    first = await trial.look()
    if first.version is None or not images.all():
        pytest.skip(f"there is nothing to try: {first.trouble}")
    assert first.trouble.startswith("no-such-accelerator: ")
    again = asyncio.create_task(trial.look())
    while not again.done():
        assert trial.found.trouble == first.trouble
        await asyncio.sleep(0)


async def test_what_was_seen_is_remembered_beside_what_another_saw(tmp_path, monkeypatch):
    images = Images((Path(__file__).parents[4] / ".images",))
    others = {"auto": {"of": ["what another wanted"], "accel": "kvm", "seconds": 1.0}}
    (tmp_path / "trial.json").write_text(json.dumps(others))
    first = await Trial(tmp_path, images, "tcg").look()
    if not first.ran:
        pytest.skip(f"no guest runs here: {first.trouble}")
    assert json.loads((tmp_path / "trial.json").read_text())["auto"] == others["auto"]
    monkeypatch.setattr(trial_module, "start", None)  # nothing is booted a second time
    assert (await Trial(tmp_path, images, "tcg").look()).ran
