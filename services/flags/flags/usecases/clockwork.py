"""What the clock does to flags: scheduled changes whose time has come, and rollouts whose next stage has.

Each is done in the one transaction that holds its row, so that it is done once, however many replicas look and whenever
one dies: either all of it is kept, or nothing, and then the next one finds it due again.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from chassis.errors import Fault, Unavailable
from chassis.facts import Fact
from flags.domain.edits import Author, Spot
from flags.domain.rollout import UNFINISHED, Rollout
from flags.domain.schedule import Schedule, ScheduleStatus
from flags.ports import OpenWork, Work
from flags.ports.plans import Authors
from flags.usecases.changing import Changing
from flags.usecases.rollouts import advance, rollout_fact
from flags.usecases.schedules import make, schedule_fact

log = logging.getLogger(__name__)

Due = Schedule | Rollout


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
            await self.refused(found[0], fault)
        except Exception:
            log.exception("what is due cannot be done: %s", found and found[0].id)
            if not found:
                raise
            await self.put_off(found[0])
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

    async def refused(self, due: Due, fault: Fault) -> None:
        """Note that what was due was refused, unless somebody has dealt with it since."""
        nobody = _in_name_of(due.author, due.spot)
        async with self.work() as work:
            now = self.now()
            if isinstance(due, Schedule):
                if (before := await self._schedule_again(work, due)) is None:
                    return
                after = before.failed(fault.detail, now)
                await work.schedules.put(after)
                self._record(work, schedule_fact(nobody, "flag.change_failed", before, after))
            else:
                if (stage := await self.rollout_again(work, due)) is None:
                    return
                stopped = stage.failed(fault.detail, now)
                await work.rollouts.put(stopped)
                self._record(work, rollout_fact(nobody, "flag.rollout_failed", stage, stopped))

    async def put_off(self, due: Due) -> None:
        """Note that a bug of ours kept what was due from being done: to be tried again."""
        async with self.work() as work:
            now = self.now()
            if isinstance(due, Schedule):
                if before := await self._schedule_again(work, due):
                    await work.schedules.put(before.put_off(now))
            elif stage := await self.rollout_again(work, due):
                await work.rollouts.put(stage.put_off(now))

    async def _schedule_again(self, work: Work, due: Schedule) -> Schedule | None:
        project = await work.projects.get(due.spot.tenant, due.spot.project)
        flag = project and await work.flags.get(project, str(due.spot.flag_id))
        found = flag and await work.schedules.get(flag, due.id, lock=True)
        return found if found and found.status is ScheduleStatus.PENDING else None

    async def rollout_again(self, work: Work, due: Rollout) -> Rollout | None:
        """Return a rollout, locked, unless it has moved since it was found due."""
        project = await work.projects.get(due.spot.tenant, due.spot.project)
        flag = project and await work.flags.get(project, str(due.spot.flag_id))
        found = flag and await work.rollouts.get(flag, due.id, lock=True)
        same = found and found.version == due.version and found.status in UNFINISHED
        return found if same else None

    def _record(self, work: Work, fact: Fact) -> None:
        work.record(fact)


def _in_name_of(author: Author, spot: Spot) -> Caller:
    """Return whoever asked, as an actor only: they may nothing."""
    kind = "api_key" if author.type == "api_key" else "user"
    return Caller(
        subject=author.id, tenant=spot.tenant, kind=kind, name=author.name, account=author.account
    )
