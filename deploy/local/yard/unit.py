"""One process to keep: what to run, what must be ready before it, how to tell that it is ready, how
it ends.
"""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from yard.cast import Cast
from yard.probes import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A process, or with `once` a task that is done when it exits 0.

    `env` is its whole environment. `orphan` is the signal that the kernel sends it when the
    supervisor dies: the stateless are killed, so none can outlive it by hanging; a database is
    asked to stop fast, and the next start clears what did not. `patience` and `grace` are seconds
    to become ready and to stop.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    needs: tuple[str, ...] = ()
    ready: Probe | None = None
    once: bool = False
    cast: Cast = field(default_factory=Cast)
    cwd: Path = Path("/")
    stop: signal.Signals = signal.SIGTERM
    orphan: signal.Signals = signal.SIGKILL
    patience: float = 60.0
    grace: float = 15.0
    hint: str = ""
