"""Log files: a file per process, cut by size, followed together.

A child writes straight into its file (opened for appending), so the supervisor costs nothing per
line and its death loses none. When a file has grown too large it is copied aside and emptied in
place; the child goes on appending.
"""

import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO

LARGEST = 10 * 1024 * 1024
KEPT = 3


def open_log(folder: Path, name: str) -> BinaryIO:
    """Open the log of a process for appending."""
    path = folder / f"{name}.log"
    path.touch(mode=0o600)
    return path.open("ab", buffering=0)


def rotate(folder: Path, largest: int = LARGEST, kept: int = KEPT) -> None:
    """Set aside every log beyond `largest` bytes: x.log → x.log.1 → … → x.log.<kept>."""
    for path in folder.glob("*.log"):
        if path.stat().st_size <= largest:
            continue
        for number in range(kept - 1, 0, -1):
            older = Path(f"{path}.{number}")
            if older.exists():
                older.replace(f"{path}.{number + 1}")
        shutil.copyfile(path, f"{path}.1")
        with path.open("r+b") as file:
            file.truncate(0)


def tail(path: Path, lines: int = 20, since: int = 0) -> list[str]:
    """Return the last lines of a log, none from before byte `since`."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(since if since <= size else 0, size - 64 * 1024))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []


def follow(files: Callable[[], Iterable[Path]], lines: int = 10, pause: float = 0.2) -> None:
    """Print the end of each log and then what is added, each line with a name, for ever."""
    places: dict[Path, int] = {}
    rest: dict[Path, bytes] = {}
    while True:
        for path in sorted(files()):
            if path not in places:
                places[path] = path.stat().st_size
                _show(path, tail(path, lines))
                continue
            data, places[path] = _read_on(path, places[path])
            *whole, rest[path] = (rest.get(path, b"") + data).split(b"\n")
            _show(path, [line.decode(errors="replace") for line in whole])
        sys.stdout.flush()
        time.sleep(pause)


def _read_on(path: Path, place: int) -> tuple[bytes, int]:
    """Return what came since `place`, and the new place; a file that shrank was cut."""
    with path.open("rb") as file:
        file.seek(place if place <= file.seek(0, 2) else 0)
        return file.read(), file.tell()


def _show(path: Path, lines: Iterable[str]) -> None:
    for line in lines:
        print(f"{path.stem:<20} | {line}")
