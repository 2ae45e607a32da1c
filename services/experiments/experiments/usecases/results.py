"""Reading results, planning sizes, and pausing what harms."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from chassis.errors import Unavailable
from chassis.facts import Actor
from experiments.domain.errors import ExperimentNotFound, UnknownDimension
from experiments.domain.experiment import Status
from experiments.domain.inference.judgement import to_pause, watched
from experiments.domain.inference.plans import Method
from experiments.domain.moves import MOVES, moved, settled
from experiments.domain.result import Breakdown, Part, Result, broken_down, concluded, over_time
from experiments.domain.trial import Frozen, Trial
from experiments.ports import OpenWork, Work
from experiments.usecases.facts import paused_by_guard
from experiments.usecases.keeping import keep
from experiments.usecases.whose import readable

log = logging.getLogger(__name__)

GUARD = Actor("service", "experiments", "guard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a guarded rollout has to know: which guardrails are harmed beyond doubt, and what the result says."""

    harmed: Sequence[tuple[str, str]]  # (variant, metric)
    sentence: str
    units: int
    watched: Sequence[str]  # the guardrails whose harm would be seen
    unwatched: Sequence[str]  # all others that the experiment names


@dataclass(frozen=True, slots=True)
class Results:
    """Reads results. The cost does not depend on the number of events: only cells are read."""

    work: OpenWork
    now: Callable[[], datetime]

    async def read(self, caller: Caller, name: str) -> Result:
        """Return the result of an experiment as it is now."""
        caller.must_for_some("experiment:read")
        async with self.work() as work:
            trial = await _trial(work, caller, name, self.now())
            return await _result(work, trial, self.now())

    async def break_down(self, caller: Caller, name: str, dimension: str) -> Breakdown:
        """Return the result by the values of a dimension; UnknownDimension if none was recorded of that name."""
        caller.must_for_some("experiment:read")
        async with self.work() as work:
            trial = await _trial(work, caller, name, self.now())
            cells = await work.trials.cells(trial.id, dimension)
            known = await work.trials.dimensions(trial.id)
            metrics = await work.trials.frozen(trial.id)
        if not cells:
            raise UnknownDimension(
                f"nothing was recorded as {dimension!r}; there is {', '.join(known) or 'nothing else'}"
            )
        return broken_down(trial, metrics, dimension, cells)

    async def follow(self, caller: Caller, name: str) -> tuple[Result, Sequence[Part]]:
        """Return the result, and for each day of exposure what is known of the units until then."""
        caller.must_for_some("experiment:read")
        async with self.work() as work:
            trial = await _trial(work, caller, name, self.now())
            result = await _result(work, trial, self.now())
            days = await work.trials.cells(trial.id, "day")
        return result, over_time(trial, result.metrics, days)

    async def dimensions(self, caller: Caller, name: str) -> Sequence[str]:
        """Return what was recorded of the units of an experiment."""
        caller.must_for_some("experiment:read")
        async with self.work() as work:
            trial = await _trial(work, caller, name, self.now())
            return await work.trials.dimensions(trial.id)


async def judged(open_work: OpenWork, tenant: UUID, name: str, now: datetime) -> Verdict:
    """Return whether an experiment harms a guardrail, for a service that asks; ExperimentNotFound if there is none.

    Of a wrong split nothing is said, neither harm nor that it would be seen.
    """
    async with open_work() as work:
        trial = (await work.trials.named(tenant, {name}, now)).get(name)
        if trial is None:
            raise ExperimentNotFound(f"there is no experiment {name!r}")
        result = await _result(work, trial, now)
    said, found = result.decision, () if result.decision.split.wrong else result.comparisons
    seen = watched(result.plan, found)
    return Verdict(
        harmed=to_pause(result.plan, found),
        sentence=said.sentence,
        units=result.observed.units,
        watched=seen,
        unwatched=[key for key in trial.guardrails if key not in seen],
    )


async def guarded(open_work: OpenWork, now: datetime) -> list[Trial]:
    """Pause every experiment that harms a guardrail beyond doubt; return those. Each in a transaction of its own."""
    async with open_work() as work:
        watched = await work.trials.guarded(now)
    return [trial for trial in watched if await _guarded(open_work, trial, now)]


async def _guarded(open_work: OpenWork, trial: Trial, now: datetime) -> bool:
    """Tell whether an experiment had to be paused. One that cannot be judged keeps nobody from judging the others."""
    try:
        return await _paused(open_work, trial, now)
    except Unavailable:
        raise
    except Exception:
        log.exception("an experiment cannot be guarded: %s", trial.id)
        return False


async def _paused(open_work: OpenWork, trial: Trial, now: datetime) -> bool:
    """Pause one experiment if it harms; False if it does not, or somebody has ended or paused it meanwhile."""
    async with open_work() as work:
        result = await _result(work, trial, now)
        harmed = to_pause(result.plan, result.comparisons)
        if not harmed or result.decision.split.wrong:
            return False
        before = await work.experiments.take(trial.tenant, str(trial.id))
        if before is None or settled(before, now).status is not Status.ACTIVE:
            return False
        after = moved(before, MOVES["pause"], now)
        names = ", ".join(f"{metric} in {variant}" for variant, metric in harmed)
        reason = f"a guardrail is harmed: {names}"
        await keep(work, before, after, GUARD.name, reason)
        work.record(paused_by_guard(GUARD, before, after, reason))
    return True


async def _trial(work: Work, caller: Caller, name: str, now: datetime) -> Trial:
    """Return the experiment that is there and that the caller may read."""
    return readable(caller, (await work.trials.named(caller.tenant, {name}, now)).get(name), name)


async def _result(work: Work, trial: Trial, now: datetime) -> Result:
    metrics: Sequence[Frozen] = await work.trials.frozen(trial.id)
    cells = await work.trials.cells(trial.id, "")
    if trial.analysis.method is Method.GROUPED:
        # The boundaries of fifty looks take a second or two to find, in which others want to be answered.
        return await asyncio.to_thread(concluded, trial, metrics, cells, now)
    return concluded(trial, metrics, cells, now)
