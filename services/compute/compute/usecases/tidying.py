"""What is dropped when it is old: lines of machines' logs, and operations that have ended."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from compute.ports import OpenWork

LINES = 1000  # of each machine's log, as many as can be asked for
KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Tidying:
    """Drops what is old, so that no table grows for ever."""

    work: OpenWork
    now: Callable[[], datetime]

    async def sweep(self) -> None:
        """Drop what is old, some thousand rows at most: the next round goes on."""
        async with self.work() as work:
            await work.log.trim(LINES)
        async with self.work() as work:
            await work.operations.forget(self.now() - KEPT)
