"""Schedules: setting dates, and writing down what the clock has done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from experiments.domain.experiment import Experiment
from experiments.domain.moves import Step, scheduled, settle
from experiments.domain.schedule import Plan
from experiments.ports import OpenWork
from experiments.usecases.experiments import Intent, taken, written
from experiments.usecases.facts import told

MOST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Schedules:
    """Everything one can do to a schedule."""

    work: OpenWork
    now: Callable[[], datetime]

    async def set(self, caller: Caller, intent: Intent, plan: Plan) -> Experiment:
        """Set or replace the dates of an experiment that is in DRAFT or PAUSED."""
        caller.must("experiment:schedule")
        now = self.now()
        schedule = plan.scheduled(now)
        async with self.work() as work:
            before = await taken(work, caller, intent, now)
            after = scheduled(before, schedule, now)
            await work.experiments.put(before, after)
            work.record(told(caller, "scheduled", before, after, intent.reason))
        return after

    async def remove(self, caller: Caller, intent: Intent) -> Experiment:
        """Take the dates off an experiment that is in DRAFT or PAUSED; nothing happens where there are none."""
        caller.must("experiment:schedule")
        now = self.now()
        async with self.work() as work:
            before = await taken(work, caller, intent, now)
            if before.schedule is None:
                return before
            after = scheduled(before, None, now)
            await work.experiments.put(before, after)
            work.record(told(caller, "unscheduled", before, after, intent.reason))
        return after

    async def process(self, caller: Caller) -> Sequence[Step]:
        """Write down what the clock has done in the caller's tenant; for the platform's own people, in all."""
        caller.must("experiment:process")
        return await overdue(self.work, self.now(), None if caller.platform else caller.tenant)


async def overdue(open_work: OpenWork, now: datetime, tenant: UUID | None = None) -> list[Step]:
    """Write down every move that was due by `now`, one experiment a transaction; return them.

    Safe to run anywhere at any time: the experiment is locked, others pass it over, and a move that is written down is
    no longer due.
    """
    done: list[Step] = []
    for _ in range(MOST_AT_ONCE):
        async with open_work() as work:
            experiment = await work.experiments.take_due(now, tenant)
            if experiment is None:
                break
            steps = settle(experiment, now)
            await written(work, experiment, now)
        done += steps
    return done
