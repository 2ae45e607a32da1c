"""The append-only log of API-key hashes that `lua/apikey.lua` reads (its format is described there).

A log is only ever appended to, a whole line in one write, so that a reader never sees half a change. The file `epoch`
names the current one and is replaced atomically.
"""

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

# Rewrite the log once it has this many lines more than it has keys.
SPARE_LINES = 100_000
_HASH = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[A-Za-z0-9._:@-]{1,128}")


@dataclass(frozen=True, slots=True)
class Key:
    """What the gate knows of an API key; `expires` in unix milliseconds, 0 for never."""

    hash: str
    id: str
    tenant: str
    expires: int = 0
    scopes: tuple[str, ...] = ()

    def line(self) -> str:
        """Return the log line; `ValueError` for what would not survive being one."""
        words = (self.id, self.tenant, *self.scopes)
        if not _HASH.fullmatch(self.hash) or not all(map(_WORD.fullmatch, words)):
            raise ValueError(f"key {self.id!r} does not fit into a log line")
        return (
            f"+{self.hash} {self.id} {self.tenant} {self.expires} {','.join(self.scopes) or '-'}\n"
        )


class KeyLog:
    """The one writer of a folder of logs."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._clock = clock
        self._lines: dict[str, str] = {}
        self._file = -1
        self._name = ""
        self._written = 0

    def replace(self, keys: Mapping[str, Key]) -> None:
        """Make the log say exactly these keys (by hash), appending only what differs."""
        lines = {h: k.line() for h, k in keys.items()}
        if self._file < 0:
            self._lines = lines
            self._begin()
            return
        gone = [f"-{h}\n" for h in self._lines.keys() - lines.keys()]
        new = [line for h, line in lines.items() if self._lines.get(h) != line]
        self._lines = lines
        self._append([*gone, *new])
        self.beat()

    def put(self, key: Key) -> None:
        """Add or change one key."""
        self._lines[key.hash] = key.line()
        self._append([self._lines[key.hash]])

    def drop(self, hash_: str) -> None:
        """Remove one key."""
        if self._lines.pop(hash_, None):
            self._append([f"-{hash_}\n"])

    def beat(self) -> None:
        """Say that iam was heard of just now."""
        self._append([self._now()])

    def close(self) -> None:
        """Forget the file; the next `replace` begins a new log (after a failed write, too)."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1

    def _now(self) -> str:
        return f"@{int(self._clock() * 1000)}\n"

    def _append(self, lines: list[str]) -> None:
        if self._written - len(self._lines) > SPARE_LINES:
            self._begin()
            return
        _write_all(self._file, "".join(lines))
        self._written += len(lines)

    def _begin(self) -> None:
        """Write a log of the current state under a new name, and switch to it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"log.{time.time_ns()}"
        file = os.open(
            self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640
        )
        try:
            _write_all(file, "".join([*self._lines.values(), self._now()]))
            self._switch(name)
        except OSError:
            os.close(file)
            raise
        self.close()
        self._file, self._name, self._written = file, name, len(self._lines) + 1
        self._sweep()

    def _switch(self, name: str) -> None:
        fresh = self._folder / "epoch.new"
        fresh.write_text(name + "\n")
        fresh.rename(self._folder / "epoch")

    def _sweep(self) -> None:
        """Remove older logs: readers open the current one by name each time."""
        for old in self._folder.glob("log.*"):
            if old.name != self._name:
                old.unlink(missing_ok=True)


def _write_all(file: int, text: str) -> None:
    rest = memoryview(text.encode())
    while rest:
        rest = rest[os.write(file, rest) :]
