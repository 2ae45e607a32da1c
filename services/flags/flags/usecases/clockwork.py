"""What the clock does to flags: scheduled changes whose time has come, and rollouts whose next stage has.

Each is done in the one transaction that holds its row, so that it is done once, however many replicas look and whenever
one dies: either all of it is kept, or nothing, and then the next one finds it due again.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.errors import Fault, Unavailable
from flags.ports import OpenWork, Work
from flags.ports.plans import Authors
from flags.usecases.changing import Changing
from flags.usecases.rollouts import advance
from flags.usecases.schedules import make
from flags.usecases.setbacks import Due, put_off, refused

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clockwork:
    """Does what is due."""

    work: OpenWork
    authors: Authors
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def process_due(self) -> int:
        """Do everything that is due, one at a time; return how many. Unavailable if that cannot be decided now."""
        done = 0
        while await self._next(self._schedule) or await self._next(self._rollout):
            done += 1
        return done

    async def _next(self, kind: Callable[[Work, list[Due]], Awaitable[None]]) -> bool:
        """Do the next of a kind; tell whether there was one. What is refused is noted, a bug of ours tried again."""
        found: list[Due] = []
        try:
            async with self.work() as work:
                await kind(work, found)
        except Unavailable:
            raise
        except Fault as fault:
            if not found:
                raise
            await refused(self.work, self.now(), found[0], fault)
        except Exception:
            log.exception("what is due cannot be done: %s", found and found[0].id)
            if not found:
                raise
            await put_off(self.work, self.now(), found[0])
        return bool(found)

    async def _schedule(self, work: Work, found: list[Due]) -> None:
        if schedule := await work.schedules.claim(self.now()):
            found.append(schedule)
            caller = self.authors.caller(schedule.author, schedule.spot)
            await make(work, Changing(self.now, self.new_id), caller, schedule)

    async def _rollout(self, work: Work, found: list[Due]) -> None:
        if rollout := await work.rollouts.claim(self.now()):
            found.append(rollout)
            caller = self.authors.caller(rollout.author, rollout.spot)
            await advance(work, Changing(self.now, self.new_id), caller, rollout)
