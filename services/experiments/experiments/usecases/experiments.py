"""Managing experiments."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from chassis.pages import Slice
from experiments.domain.errors import ExperimentNotFound
from experiments.domain.experiment import EVEN, Changes, Experiment, Variant, check_key
from experiments.domain.moves import MOVES, moved, settle, settled
from experiments.ports import OpenWork, Wanted, Work
from experiments.usecases.facts import ticked, told


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What a new experiment is to be. Without `flag_key` it runs on the flag of its own key."""

    key: str
    name: str
    description: str = ""
    hypothesis: str = ""
    unit: str = "targetingKey"
    flag_key: str = ""
    variants: tuple[Variant, ...] = EVEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Which experiment a change is meant for (id or key), in which version (None: any), and why."""

    experiment: str
    version: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Experiments:
    """Everything one can do to an experiment, save its schedule."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def create(self, caller: Caller, draft: Draft) -> Experiment:
        """Make an experiment in DRAFT, owned by the caller; KeyTaken if there is one of its key."""
        caller.must("experiment:create")
        check_key(draft.key)
        made = self._made(caller, draft)
        async with self.work() as work:
            await work.experiments.add(made)
            work.record(told(caller, "created", None, made))
        return made

    async def read(self, caller: Caller, name: str) -> Experiment:
        """Return the experiment with this id or key, as it is now."""
        caller.must("experiment:read")
        async with self.work() as work:
            found = await work.experiments.find(caller.tenant, name)
        return settled(_there(found, name), self.now())

    async def list(self, caller: Caller, wanted: Wanted) -> Slice[Experiment]:
        """Return a part of the tenant's experiments, each as it is at `wanted.now`."""
        caller.must("experiment:read")
        async with self.work() as work:
            found = await work.experiments.list(caller.tenant, wanted)
        return found.map(lambda experiment: settled(experiment, wanted.now))

    async def update(self, caller: Caller, intent: Intent, changes: Changes) -> Experiment:
        """Change what `changes` says; unit, flag and variants only in DRAFT."""
        caller.must("experiment:update")
        now = self.now()
        async with self.work() as work:
            before = await taken(work, caller, intent, now)
            after = before.changed(changes, now)
            if after is not before:
                await work.experiments.put(before, after)
                work.record(told(caller, "updated", before, after, intent.reason))
        return after

    async def move(self, caller: Caller, intent: Intent, name: str) -> Experiment:
        """Start, pause, resume, complete or archive; WrongState where that is not possible now."""
        caller.must("experiment:update")
        now, move = self.now(), MOVES[name]
        async with self.work() as work:
            before = await taken(work, caller, intent, now)
            after = moved(before, move, now)
            await work.experiments.put(before, after)
            work.record(told(caller, move.past, before, after, intent.reason))
        return after

    async def delete(self, caller: Caller, intent: Intent) -> None:
        """Forget an experiment that is in DRAFT or ARCHIVED. Its key is free again."""
        caller.must("experiment:delete")
        async with self.work() as work:
            before = await taken(work, caller, intent, self.now())
            before.check_removable()
            await work.experiments.remove(before)
            work.record(told(caller, "deleted", before, None, intent.reason))

    def _made(self, caller: Caller, draft: Draft) -> Experiment:
        now = self.now()
        return Experiment(
            id=self.new_id(),
            tenant=caller.tenant,
            key=draft.key,
            name=draft.name,
            owner_id=caller.subject,
            description=draft.description,
            hypothesis=draft.hypothesis,
            unit=draft.unit,
            flag_key=draft.flag_key or draft.key,
            variants=draft.variants,
            created_at=now,
            updated_at=now,
        )


async def taken(work: Work, caller: Caller, intent: Intent, now: datetime) -> Experiment:
    """Return the experiment that a change is meant for, locked, and with what the clock did written down."""
    found = await work.experiments.take(caller.tenant, intent.experiment)
    experiment = await written(work, _there(found, intent.experiment), now)
    experiment.expect(intent.version)
    return experiment


async def written(work: Work, experiment: Experiment, now: datetime) -> Experiment:
    """Write down what the clock has done to a locked experiment; one fact for each move."""
    for step in settle(experiment, now):
        await work.experiments.put(step.before, step.after)
        work.record(ticked(step))
        experiment = step.after
    return experiment


def _there(found: Experiment | None, name: str) -> Experiment:
    if found is None:
        raise ExperimentNotFound(f"there is no experiment {name!r}")
    return found
