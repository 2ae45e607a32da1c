"""The folder of one guest, and the fence before it.

guests/<id>/   disk.qcow2  seed.iso  medium.iso  definition.json  boot.json  ended  serial.log  qemu.log
               pid  monitor  console
fences/<id>    the highest fence that was heard; it stays a day longer than the guest, so late work finds it
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

from compute.domain.guest import Key
from compute.ports.hypervisor import HostTrouble, StaleFence

CLEARED = (
    "its ISO image was cleared away before it was needed: delete the machine and order it again"
)
KEPT = 24 * 3600.0
DISK, SEED, BOOT, ENDED = "disk.qcow2", "seed.iso", "boot.json", "ended"
MEDIUM = "medium.iso"
DEFINITION, SERIAL, MONITOR, CONSOLE = "definition.json", "serial.log", "monitor", "console"
_OF_A_RUN = (MONITOR, CONSOLE, "pid")
V = TypeVar("V", bound=Callable[..., Coroutine[Any, Any, Any]])


@dataclass(frozen=True, slots=True)
class Homes:
    """Where the guests of this host live."""

    root: Path

    @property
    def guests(self) -> Path:
        """A folder for each guest."""
        return self.root / "guests"

    @property
    def fences(self) -> Path:
        """A file for each guest."""
        return self.root / "fences"

    @property
    def fetched(self) -> Path:
        """Where the depot keeps what was fetched."""
        return self.root / "fetched"

    def medium(self, sha256: str) -> Path:
        """Return where an ISO image lies that guests are installed from; it may be cleared away and come again."""
        return self.fetched / "blobs" / f"{sha256}.iso"

    def make(self) -> None:
        """Create the folders, closed to others. HostTrouble where the host does not let us."""
        try:
            for folder in (self.root, self.guests, self.fences):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _trouble(error) from error

    def of(self, vm: UUID) -> Path:
        """Return the home of a guest, there or not."""
        return self.guests / str(vm)

    def furnish(self, vm: UUID, medium: str | None) -> Path:
        """Make the home of a guest, and link its ISO image (by SHA-256) there: it stays for as long as the guest."""
        home = self.of(vm)
        home.mkdir(mode=0o700, exist_ok=True)
        if medium and not (home / MEDIUM).exists():
            try:
                os.link(self.medium(medium), home / MEDIUM)
            except FileNotFoundError:
                raise HostTrouble(CLEARED) from None
        return home

    def all(self) -> Iterator[Path]:
        """Yield the homes that there are."""
        for entry in os.scandir(self.guests):
            with suppress(ValueError):
                UUID(entry.name)
                yield Path(entry.path)

    def admit(self, key: Key) -> None:
        """Refuse whoever comes with an older fence than one that was heard; remember this one.

        The lock is held for this comparison only: one that is frozen while it holds it would keep all others out.
        """
        with _locked(self.fences / str(key.vm)) as file:
            heard = int(file.read() or b"0")
            if key.fence < heard:
                raise StaleFence(f"fence {key.fence} is older than {heard}")
            if key.fence > heard:
                file.seek(0)
                file.write(b"%020d" % key.fence)
                file.flush()
                os.fsync(file.fileno())

    def forget_old_fences(self) -> None:
        """Drop the fences of guests that have been gone for a day."""
        for entry in os.scandir(self.fences):
            old = time.time() - entry.stat().st_mtime > KEPT
            if old and not (self.guests / entry.name).exists():
                Path(entry.path).unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Generator[Any]:
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def write(path: Path, said: Mapping[str, Any]) -> None:
    """Write a small document such that it is there whole or not at all."""
    half = path.with_suffix(".half")
    with half.open("w") as file:
        json.dump(said, file)
        file.flush()
        os.fsync(file.fileno())
    half.rename(path)
    settle(path.parent)


def in_words(verb: V) -> V:
    """Say HostTrouble where its disk is full, shut or ailing: one machine waits then, and no other."""

    @wraps(verb)
    async def worded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what the verb takes and gives
        try:
            return await verb(*args, **kwargs)
        except OSError as error:
            raise _trouble(error) from error

    return cast("V", worded)


def _trouble(error: OSError) -> HostTrouble:
    """Say what ails without naming the host's folders: tenants read it."""
    return HostTrouble(f"the host's folder for guests: {error.strerror or 'no answer'}")


def read(path: Path) -> dict[str, Any]:
    """Return a small document; empty if there is none."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}


def settle(folder: Path) -> None:
    """Make what was renamed in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def clear_run(home: Path) -> None:
    """Remove what belongs to a run that is over: sockets and pid file."""
    for name in _OF_A_RUN:
        (home / name).unlink(missing_ok=True)


def demolish(home: Path) -> None:
    """Remove a guest's home. Cut off in the middle, what is left is still its home: it is seen, and removed again."""
    with suppress(FileNotFoundError):
        shutil.rmtree(home)
    settle(home.parent)
