"""`state.json`: what runs where. Written by the supervisor only, whole and by renaming, so readers
never see half.

Fields: `ports` {owner: {door: port}} · `paths` {keylog, log, data, graph} · `urls` {name: url} (no
password in any) · `pids` {name: pid} · `processes` {name: {pid, born, state, restarts}} in starting
order · `supervisor` {pid, born} · `healthy` (all of it was ready at the end of the start).
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from yard.procs import Known, birth


@dataclass(slots=True, kw_only=True)
class Entry:
    """One process as the record knows it. State: waiting, starting, ready, done, restarting,
    stopped.
    """

    pid: int = 0
    born: str = ""
    state: str = "waiting"
    restarts: int = 0

    def known(self) -> Known:
        """Return the process behind the entry."""
        return Known(self.pid, self.born)


@dataclass(slots=True, kw_only=True)
class Record:
    """Everything in state.json."""

    ports: dict[str, dict[str, int]] = field(default_factory=dict[str, dict[str, int]])
    paths: dict[str, str] = field(default_factory=dict[str, str])
    urls: dict[str, str] = field(default_factory=dict[str, str])
    processes: dict[str, Entry] = field(default_factory=dict[str, Entry])
    supervisor: Entry = field(default_factory=Entry)
    healthy: bool = False

    def write(self, path: Path) -> None:
        """Replace the file at once."""
        running = {name: entry.pid for name, entry in self.processes.items() if entry.pid}
        text = json.dumps({**asdict(self), "pids": running}, indent=1)
        fresh = path.with_suffix(".new")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        fresh.replace(path)


def read(path: Path) -> Record:
    """Return the record; an empty one where there is none or it cannot be read (it is only ever a
    memory).
    """
    try:
        raw = json.loads(path.read_text())
        return Record(
            ports=raw["ports"],
            paths=raw["paths"],
            urls=raw["urls"],
            processes={name: Entry(**entry) for name, entry in raw["processes"].items()},
            supervisor=Entry(**raw["supervisor"]),
            healthy=raw["healthy"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Record()


def myself() -> Entry:
    """Return the entry of the process that asks."""
    return Entry(pid=os.getpid(), born=birth(os.getpid()), state="ready")
