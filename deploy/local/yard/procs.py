"""What the kernel says about processes: who is still the one we started, who belongs to it, what
memory it takes.

A pid alone names nobody for long. A process is known by its pid and its birth (start tick and
boot), so a record that outlived its process can never make us signal a stranger.
"""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Known:
    """A process that cannot be confused with a later one of the same pid."""

    pid: int
    born: str

    def alive(self) -> bool:
        """Say whether exactly this process runs (a zombie does not)."""
        return self.born != "" and birth(self.pid) == self.born

    def signal(self, what: signal.Signals) -> None:
        """Send a signal, to nobody but this process."""
        if self.alive():
            try:
                os.kill(self.pid, what)
            except ProcessLookupError:
                return

    def gone(self, within: float) -> bool:
        """Wait until it is gone; False where it outlives `within` seconds."""
        end = time.monotonic() + within
        while self.alive():
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat from the state on; empty without such a process."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return []


def birth(pid: int) -> str:
    """Return when `pid` began, as start tick and boot; empty when nobody has that pid."""
    fields = _stat(pid)
    if not fields or fields[0] in "ZX":
        return ""
    return f"{fields[19]}@{(PROC / 'sys/kernel/random/boot_id').read_text().strip()}"


def pids() -> Iterator[int]:
    """Return all pids of the machine."""
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())


def family(pid: int) -> set[int]:
    """Return a process and all its descendants (sessions do not matter: PostgreSQL's children leave
    theirs).
    """
    children: dict[int, list[int]] = {}
    for other in pids():
        if fields := _stat(other):
            children.setdefault(int(fields[1]), []).append(other)
    found, todo = {pid}, [pid]
    while todo:
        new = children.get(todo.pop(), [])
        found.update(new)
        todo.extend(new)
    return found


def memory(pid: int, *, alone: bool = False) -> int | None:
    """Return the proportional set size (bytes) of a process and (not `alone`) its descendants; None
    if we may not look.
    """
    total = 0
    for member in {pid} if alone else family(pid):
        try:
            rollup = (PROC / str(member) / "smaps_rollup").read_text()
        except (ProcessLookupError, FileNotFoundError):  # it has ended since it was listed
            continue
        except OSError:
            return None
        if found := re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE):
            total += int(found[1]) * 1024
    return total


def holder(port: int) -> str:
    """Say who listens on a port, as far as we may see: `pid 123 (nginx -g …)`, or empty."""
    wanted = _listening_inodes(port)
    for pid in pids():
        if wanted & _open_files(pid):
            command = (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            return f"pid {pid} ({command.strip()[:80]})"
    return ""


def _open_files(pid: int) -> set[str]:
    """Return what a process has open, as far as we may see and it stays open while we look."""
    found: set[str] = set()
    with suppress(OSError):
        for entry in (PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):
                found.add(os.readlink(entry))
    return found


def _listening_inodes(port: int) -> set[str]:
    """Return the sockets that listen on a port, as /proc/<pid>/fd spells them."""
    found: set[str] = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = (PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found
