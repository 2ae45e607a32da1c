"""Telling flags what experiments want of it, until it knows.

What is due is claimed in one transaction and told outside of any; who dies in between leaves it to be told again, which
does no harm: flags keeps the newest version of each experiment.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.errors import Fault, Unavailable
from experiments.domain.publication import Publication, again_at
from experiments.ports import FlagsDoor, OpenWork

PATIENCE = timedelta(seconds=10)
MOST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Publishing:
    """The way from an experiment to flags."""

    work: OpenWork
    flags: FlagsDoor
    now: Callable[[], datetime]

    async def round(self) -> int:
        """Tell flags everything that is due, one after the other; return how much it took."""
        taken = 0
        for _ in range(MOST_AT_ONCE):
            now = self.now()
            async with self.work() as work:
                due = await work.publications.claim(now, now + PATIENCE)
            if due is None:
                break
            taken += await self._told(due)
        return taken

    async def _told(self, due: Publication) -> bool:
        try:
            await self.flags.put(due)
        except Fault as fault:
            await self._failed(due, fault)
            return False
        async with self.work() as work:
            await work.publications.sent(due, self.now())
        return True

    async def _failed(self, due: Publication, fault: Fault) -> None:
        """Note what flags says; that it is away is no trouble of the experiment's."""
        trouble = "" if isinstance(fault, Unavailable) else fault.detail
        async with self.work() as work:
            again = again_at(self.now(), due.attempts)
            await work.publications.failed(due, trouble, again)
