"""QEMU's processes. A pid alone names nobody for long: a guest's process is one whose command line names its pid file.

Guests are in sessions of their own, so they outlive who started them; who comes after finds them here by their uuid.
"""

import asyncio
import os
import select
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import UUID

from compute.ports.hypervisor import HostTrouble

PROC = Path("/proc")
PID_FILE = "pid"
PATIENCE = 10.0


def guests(homes: Path) -> Mapping[UUID, int]:
    """Return the guests whose homes are in a folder and whose process runs, each with its pid."""
    return {vm: pid for pid in _pids() if (vm := _guest_of(pid, homes)) is not None}


def running(home: Path) -> int | None:
    """Return the pid of the guest with this home; None if no process is its own."""
    pid = _written(home / PID_FILE)
    if pid is not None and _guest_of(pid, home.parent) == UUID(home.name):
        return pid
    return guests(home.parent).get(UUID(home.name))


async def end(home: Path) -> None:
    """Kill a guest's process, if it runs, and return when it is gone; HostTrouble if it will not go."""
    while (pid := running(home)) is not None:
        if not await asyncio.to_thread(_kill, pid, home):
            raise HostTrouble(f"the guest's process {pid} does not end")


def _kill(pid: int, home: Path) -> bool:
    """Kill exactly this process; tell whether it is gone."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:  # what the handle names cannot be another any more: look once again whether it is the guest
        if _guest_of(pid, home.parent) != UUID(home.name):
            return True
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        waiting = select.poll()
        waiting.register(handle, select.POLLIN)
        return bool(waiting.poll(PATIENCE * 1000))
    except ProcessLookupError:
        return True
    finally:
        os.close(handle)


def _guest_of(pid: int, homes: Path) -> UUID | None:
    """Return whose process this is: the guest whose pid file, in one of these homes, its command line names."""
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
        file = Path(os.fsdecode(words[words.index(b"-pidfile") + 1]))
        if file.parent.parent != homes or _is_zombie(pid):
            return None
        return UUID(file.parent.name)
    except (OSError, ValueError, IndexError):
        return None


def _is_zombie(pid: int) -> bool:
    """Tell whether a process is dead and only not collected yet: it still answers to signals."""
    return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"


def _pids() -> Iterator[int]:
    return (int(entry) for entry in os.listdir(PROC) if entry.isdigit())


def _written(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return None
