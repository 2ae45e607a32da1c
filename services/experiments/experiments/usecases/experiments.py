"""Managing experiments, setting their dates, and writing down what the clock has done to them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from chassis.pages import Slice
from experiments.domain.analysis import Analysis, MetricUse
from experiments.domain.errors import LayerNotFound
from experiments.domain.experiment import (
    EVEN,
    WHOLE,
    Changes,
    Experiment,
    Status,
    Targeting,
    Variant,
    check_key,
)
from experiments.domain.layers import Slot
from experiments.domain.moves import MOVES, START, Step, moved, scheduled, settle, settled
from experiments.domain.schedule import Plan
from experiments.ports import FlagsDoor, OpenWork, Wanted, Work
from experiments.usecases.facts import SCHEDULER, ticked, told
from experiments.usecases.keeping import agree, check_measurable, forget, keep
from experiments.usecases.whose import allowed, listed, must_be_there

MOST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Places:
    """Places of a layer (id or key), from `start` up to but not with `end`."""

    layer: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a new experiment is to be. Without `flag_key` it runs on the flag of its own key."""

    key: str
    name: str
    description: str = ""
    hypothesis: str = ""
    unit: str = "targetingKey"
    project: str = "default"
    environment: str = "production"
    flag_key: str = ""
    variants: tuple[Variant, ...] = EVEN
    traffic: int = WHOLE
    targeting: Targeting | None = None
    places: Places | None = None
    metrics: tuple[MetricUse, ...] = ()
    analysis: Analysis = field(default_factory=Analysis)
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Which experiment a change is meant for (id or key), in which version (None: any), and why."""

    experiment: str
    version: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """An experiment after a move, and what keeps it from being seen, as flags said when it was asked to serve it."""

    experiment: Experiment
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Experiments:
    """Everything one can do to an experiment, save its schedule."""

    work: OpenWork
    flags: FlagsDoor
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def create(self, caller: Caller, draft: Draft) -> Experiment:
        """Make an experiment in DRAFT, owned by the caller; KeyTaken if there is one of its key."""
        caller.must_for_some("experiment:create")
        made = self._made(caller, draft)
        must_be_there(caller, "experiment:create", made)
        check_key(draft.key)
        async with self.work() as work:
            made = replace(made, slot=await slot_of(work, caller.tenant, draft.places))
            await keep(work, None, made, caller.subject)
            work.record(told(caller, "created", None, made))
        return made

    async def read(self, caller: Caller, name: str) -> Experiment:
        """Return the experiment with this id or key, as it is now."""
        caller.must_for_some("experiment:read")
        async with self.work() as work:
            found = await work.experiments.find(caller.tenant, name)
        return settled(allowed(caller, "experiment:read", found, name), self.now())

    async def list(self, caller: Caller, wanted: Wanted) -> Slice[Experiment]:
        """Return a part of the tenant's experiments, each as it is at `wanted.now`; of one's own if not of all."""
        caller.must_for_some("experiment:read")
        async with self.work() as work:
            found = await work.experiments.list(caller.tenant, listed(caller, wanted))
        return found.map(lambda experiment: settled(experiment, wanted.now))

    async def update(self, caller: Caller, intent: Intent, changes: Changes) -> Experiment:
        """Change what `changes` says; unit, flag and variants' keys only in DRAFT. An ACTIVE one may begin a phase."""
        caller.must_for_some("experiment:update")
        now = self.now()
        await self._agree(caller, intent, lambda before: before.changed(changes, now))
        async with self.work() as work:
            before = await _taken(work, caller, "experiment:update", intent, now)
            after = before.changed(changes, now)
            if (after.project, after.environment) != (before.project, before.environment):
                must_be_there(caller, "experiment:create", after)
            if after is not before:
                await keep(work, before, after, caller.subject, intent.reason)
                work.record(told(caller, "updated", before, after, intent.reason))
        return after

    async def place(self, caller: Caller, places: Places | None) -> Slot | None:
        """Return the places of a layer that are meant; LayerNotFound if there is no such layer."""
        caller.must_for_some("experiment:read")
        async with self.work() as work:
            return await slot_of(work, caller.tenant, places)

    async def move(self, caller: Caller, intent: Intent, name: str) -> Moved:
        """Start, pause, resume, complete or archive; WrongState where that is not possible now."""
        caller.must_for_some("experiment:update")
        now, move = self.now(), MOVES[name]
        warnings = await self._agree(caller, intent, lambda before: moved(before, move, now))
        async with self.work() as work:
            before = await _taken(work, caller, "experiment:update", intent, now)
            after = moved(before, move, now)
            if move is START:
                await check_measurable(work, after)
            await keep(work, before, after, caller.subject, intent.reason)
            work.record(told(caller, move.past, before, after, intent.reason))
        return Moved(after, warnings)

    async def delete(self, caller: Caller, intent: Intent) -> None:
        """Forget an experiment that is in DRAFT or ARCHIVED. Its key is free again."""
        caller.must_for_some("experiment:delete")
        async with self.work() as work:
            before = await _taken(work, caller, "experiment:delete", intent, self.now())
            before.check_removable()
            await forget(work, before, self.now())
            work.record(told(caller, "deleted", before, None, intent.reason))

    async def _agree(
        self, caller: Caller, intent: Intent, change: Callable[[Experiment], Experiment]
    ) -> Sequence[str]:
        """Ask flags about a change while nothing is locked, and return what it warns of."""
        before = await _seen(self.work, caller, "experiment:update", intent, self.now())
        return await agree(self.work, self.flags, before, change)

    def _made(self, caller: Caller, draft: Draft) -> Experiment:
        now = self.now()
        return Experiment(
            id=self.new_id(),
            tenant=caller.tenant,
            key=draft.key,
            name=draft.name,
            owner_id=caller.owner,
            description=draft.description,
            hypothesis=draft.hypothesis,
            unit=draft.unit,
            project=draft.project,
            environment=draft.environment,
            flag_key=draft.flag_key or draft.key,
            variants=draft.variants,
            traffic=draft.traffic,
            targeting=draft.targeting,
            metrics=draft.metrics,
            analysis=draft.analysis,
            tags=draft.tags,
            created_at=now,
            updated_at=now,
        )


@dataclass(frozen=True, slots=True)
class Schedules:
    """Everything one can do to a schedule."""

    work: OpenWork
    flags: FlagsDoor
    now: Callable[[], datetime]

    async def set(self, caller: Caller, intent: Intent, plan: Plan) -> Experiment:
        """Set or replace the dates of an experiment that is in DRAFT or PAUSED; return it as the clock has it then."""
        caller.must_for_some("experiment:schedule")
        now = self.now()
        schedule = plan.scheduled(now)
        seen = await _seen(self.work, caller, "experiment:schedule", intent, now)
        await agree(self.work, self.flags, seen, lambda before: scheduled(before, schedule, now))
        async with self.work() as work:
            before = await _taken(work, caller, "experiment:schedule", intent, now)
            after = scheduled(before, schedule, now)
            if schedule.start and before.status is Status.DRAFT:
                await check_measurable(work, after)
            await keep(work, before, after, caller.subject, intent.reason)
            work.record(told(caller, "scheduled", before, after, intent.reason))
        return settled(after, now)

    async def remove(self, caller: Caller, intent: Intent) -> Experiment:
        """Take the dates off an experiment that is in DRAFT or PAUSED; nothing happens where there are none."""
        caller.must_for_some("experiment:schedule")
        now = self.now()
        async with self.work() as work:
            before = await _taken(work, caller, "experiment:schedule", intent, now)
            if before.schedule is None:
                return before
            after = scheduled(before, None, now)
            await keep(work, before, after, caller.subject, intent.reason)
            work.record(told(caller, "unscheduled", before, after, intent.reason))
        return after

    async def process(self, caller: Caller) -> Sequence[Step]:
        """Write down what the clock has done in the caller's tenant; for the platform's own people, in all."""
        caller.must("experiment:process")
        tenant = None if caller.may_everywhere("experiment:process") else caller.tenant
        return await overdue(self.work, self.now(), tenant)


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
            await _written(work, experiment, now)
        done += steps
    return done


async def _taken(
    work: Work, caller: Caller, permission: str, intent: Intent, now: datetime
) -> Experiment:
    """Return the experiment that a change is meant for, locked, and with what the clock did written down."""
    found = await work.experiments.take(caller.tenant, intent.experiment)
    there = allowed(caller, permission, found, intent.experiment)
    experiment = await _written(work, there, now)
    experiment.expect(intent.version)
    return experiment


async def _seen(
    open_work: OpenWork, caller: Caller, permission: str, intent: Intent, now: datetime
) -> Experiment:
    """Return the experiment that a change is meant for, as it is now, without locking it."""
    async with open_work() as work:
        found = await work.experiments.find(caller.tenant, intent.experiment)
    experiment = settled(allowed(caller, permission, found, intent.experiment), now)
    experiment.expect(intent.version)
    return experiment


async def slot_of(work: Work, tenant: UUID, places: Places | None) -> Slot | None:
    """Return places with the layer's id; LayerNotFound if there is no such layer."""
    if places is None:
        return None
    layer = await work.layers.find(tenant, places.layer)
    if layer is None:
        raise LayerNotFound(f"there is no layer {places.layer!r}")
    return Slot(layer.id, places.start, places.end)


async def _written(work: Work, experiment: Experiment, now: datetime) -> Experiment:
    """Write down what the clock has done to a locked experiment; one fact for each move."""
    for step in settle(experiment, now):
        fact = ticked(step)
        await keep(work, step.before, step.after, SCHEDULER.name, fact.reason)
        work.record(fact)
        experiment = step.after
    return experiment
