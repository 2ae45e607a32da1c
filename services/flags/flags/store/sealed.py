"""Files that are whole or refused: a line that says what they are and their digest, then the content.

Written beside their name, synced, then renamed; what had the name before is kept as the one before it (`.last`). Only
the owner may read them.
"""

import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import Counter

FORMAT, VERSION = "switchyard-flags", 1
LAST = ".last"
LARGEST = 1 << 30

log = logging.getLogger(__name__)

POISONED = Counter("flags_snapshots_refused", "Snapshots on disk that were damaged or strange")


class Poisoned(Exception):
    """A file is not what was written, or not what this version can read."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """The content of a file, and when (seconds since 1970) it was in force."""

    content: Any
    at: float


def write(path: Path, kind: str, content: object, at: float) -> None:
    """Write a file in one step: whoever reads it sees all of it or what was there before. OSError if that fails."""
    body = orjson.dumps(content)
    head = {"format": FORMAT, "version": VERSION, "kind": kind, "at": at, "sha256": _digest(body)}
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps(head) + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            path.replace(_last(path))
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file and the one before it."""
    for one in (path, _last(path)):
        one.unlink(missing_ok=True)


def candidates(path: Path, kind: str) -> Iterator[Sealed]:
    """Yield what can be read of a file, the newest first; what cannot is logged, counted and passed over."""
    for one in (path, _last(path)):
        try:
            yield read(one, kind)
        except FileNotFoundError:
            continue
        except (Poisoned, OSError) as why:
            refused(one, str(why))


def refused(path: Path, why: str) -> None:
    """Raise the alarm about a file."""
    POISONED.inc()
    log.error("the snapshot %s is refused: %s", path.name, why)


def read(path: Path, kind: str) -> Sealed:
    """Return what a file holds. Poisoned if it is damaged, of another kind or of a version that is not known."""
    if path.stat().st_size > LARGEST:
        raise Poisoned("it is too large")
    line, _, body = path.read_bytes().partition(b"\n")
    try:
        head: Any = orjson.loads(line)
        said = {name: head[name] for name in ("format", "version", "kind", "sha256")}
        at = float(head["at"])
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError) as wrong:
        raise Poisoned("its first line is damaged") from wrong
    wanted = {"format": FORMAT, "version": VERSION, "kind": kind, "sha256": _digest(body)}
    for name, value in wanted.items():
        if said[name] != value:
            raise Poisoned(f"its {name} is {str(said[name])[:70]!r}, not {value!r}")
    return Sealed(orjson.loads(body), at)


def _last(path: Path) -> Path:
    return path.with_name(path.name + LAST)


def _digest(body: bytes) -> str:
    return sha256(body).hexdigest()


def _sync(folder: Path) -> None:
    """Make the renaming itself last through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
