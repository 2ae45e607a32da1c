"""QEMU's command line for one guest, and its start. Paths are relative to its home: none is too long for a socket."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from compute.clients.home import CONSOLE, DISK, MEDIUM, MONITOR, SEED, SERIAL
from compute.clients.images import Image, run
from compute.clients.monitor import Silent, ask
from compute.clients.processes import PID_FILE, running
from compute.ports.hypervisor import HostTrouble

EMULATOR = "qemu-system-x86_64"
COMPLAINTS = "qemu.log"
PATIENCE = 15.0
# The guest's QEMU can start no program and gain no right. (`-daemonize` would need the first: see `start`.)
CONFINED = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The hardware of one guest. Memory in MiB."""

    vm: UUID
    home: Path
    cpu: int
    memory_mb: int
    accel: str
    image: Image | None


def command(machine: Machine) -> tuple[str, ...]:
    """Return the command that starts it.

    `-no-shutdown`: a guest that switched itself off can be asked about it, so it is not taken for one that died.
    """
    return (
        EMULATOR,
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-shutdown"),
        *("-sandbox", CONFINED),
        *("-uuid", str(machine.vm), "-name", f"guest={machine.vm}"),
        *("-pidfile", str(machine.home / PID_FILE)),
        *("-machine", f"q35,accel={machine.accel}"),
        *("-cpu", "host" if machine.accel == "kvm" else "max"),
        *("-smp", str(machine.cpu), "-m", f"{machine.memory_mb}M"),
        *_sockets(),
        *_disks(machine.home),
        *_disk("seed", f"driver=raw,read-only=on,file.driver=file,file.filename={SEED}"),
        *_kernel(machine.image),
    )


def _sockets() -> Iterator[str]:
    yield from ("-chardev", f"socket,id=monitor,path={MONITOR},server=on,wait=off")
    yield from ("-mon", "chardev=monitor,mode=control")
    log = f"logfile={SERIAL},logappend=on"
    yield from ("-chardev", f"socket,id=console,path={CONSOLE},server=on,wait=off,{log}")
    yield from ("-serial", "chardev:console")


def _disks(home: Path) -> Iterator[str]:
    """Yield the disk and the medium that it is installed from.

    The disk is asked first: while it is empty the medium boots, and once something was installed, that does.
    """
    medium = (home / MEDIUM).exists()
    disk = f"driver=qcow2,file.driver=file,file.filename={DISK}"
    yield from _disk("disk", disk, ",bootindex=0" if medium else "")
    if medium:
        what = f"driver=raw,read-only=on,file.driver=file,file.filename={MEDIUM}"
        yield from ("-blockdev", f"node-name=medium,{what}")
        yield from ("-device", "ide-cd,drive=medium,id=medium,bootindex=1")


def _disk(name: str, what: str, more: str = "") -> Iterator[str]:
    yield from ("-blockdev", f"node-name={name},{what}")
    yield from ("-device", f"virtio-blk-pci,drive={name},id={name}{more}")


def _kernel(image: Image | None) -> Iterator[str]:
    """Yield what boots a kernel of ours; a disk with a boot loader of its own needs nothing."""
    kernel = image.file("vmlinuz") if image else None
    if image is None or kernel is None:
        return
    yield from ("-kernel", str(kernel))
    if initrd := image.file("initrd"):
        yield from ("-initrd", str(initrd))
    yield from ("-append", image.append)


async def start(machine: Machine) -> None:
    """Start it in its home, in a session of its own and nobody's child; return when its monitor answers.

    HostTrouble with QEMU's own words where it does not start.
    """
    home, end = machine.home, time.monotonic() + PATIENCE
    with (home / COMPLAINTS).open("wb") as complaints:
        await run("setsid", "--fork", *command(machine), cwd=home, complaints=complaints)
    while not await _answers(home):
        if running(home) is None:
            said = (home / COMPLAINTS).read_text(errors="replace").strip().splitlines()
            raise HostTrouble(said[-1] if said else f"{EMULATOR} ended at once")
        if time.monotonic() > end:
            raise HostTrouble(f"{EMULATOR} did not answer within {PATIENCE:.0f} s")
        await asyncio.sleep(0.02)


async def _answers(home: Path) -> bool:
    try:
        await ask(home, "query-status")
    except Silent:
        return False
    return True
