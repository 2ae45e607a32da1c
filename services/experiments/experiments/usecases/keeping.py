"""Keeping a change of an experiment: with its phase, its plan, its places in a layer, and what flags has to know of it.

All of it is one transaction. It is the same whether somebody changes an experiment or the clock does.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from chassis.errors import Fault, FieldError
from experiments.domain.errors import PlanFrozen, UnknownMetric, WrongState
from experiments.domain.experiment import Experiment, Status
from experiments.domain.layers import Held, check_free
from experiments.domain.moves import closes_at
from experiments.domain.phases import is_closed, opened
from experiments.domain.planned import Planned, digest, plan_document
from experiments.domain.publication import Publication, differs, wants, wish
from experiments.ports import FlagsDoor, OpenWork, Work


async def keep(
    work: Work, before: Experiment | None, after: Experiment, by: str, reason: str = ""
) -> None:
    """Keep an experiment as a change left it, and all that follows from the change. `by`: who made it."""
    _check_home(before, after)
    await _check_metrics(work, before, after)
    await _check_places(work, before, after)
    if before is None:
        await work.experiments.add(after)
    else:
        await work.experiments.put(before, after)
    held = await holdouts(work, after)
    if is_closed(before, after):
        await work.phases.close(after.id, after.updated_at)
    if phase := opened(before, after, held):
        await work.phases.open(phase)
    if _replanned(before, after):
        await work.plans.add(_planned(after, by, reason))
    await _close(work, before, after)
    if differs(before, after):
        await work.publications.put(_publication(after, held, reason))


async def forget(work: Work, experiment: Experiment, now: datetime) -> None:
    """Forget an experiment; flags is told to forget it, too, if it was to know of it."""
    await work.experiments.remove(experiment)
    await work.intake.forget(experiment.id)
    if wants(experiment):
        over = {**wish(experiment, (), "deleted"), "allocation": None}
        version = experiment.version + 1
        await work.publications.put(
            Publication(
                experiment_id=experiment.id,
                tenant=experiment.tenant,
                version=version,
                document=over,
                next_at=now,
            )
        )


async def agree(
    open_work: OpenWork,
    flags: FlagsDoor,
    before: Experiment,
    change: Callable[[Experiment], Experiment],
) -> Sequence[str]:
    """Ask flags, before anything is changed or locked, whether it could serve what a change wants.

    Its fault says why not. Return what would keep the experiment from being seen, should it be ACTIVE then.
    """
    after = change(before)
    if not differs(before, after) or not wants(after):
        return ()
    async with open_work() as work:
        held = await holdouts(work, after)
    said = await flags.check(after.tenant, after.id, wish(after, held))
    if said.enabled or after.status is not Status.ACTIVE:
        return ()
    where = f"flag {after.flag_key!r} is disabled in environment {after.environment!r}"
    return (f"{where}, or archived or a draft: nobody is assigned until it is served",)


async def holdouts(work: Work, experiment: Experiment) -> tuple[Held, ...]:
    """Return what is held back from a phase that begins now, or will at a date."""
    if not wants(experiment):
        return ()
    found = await work.holdouts.all(experiment.tenant)
    return tuple(Held(holdout.id, holdout.share) for holdout in found)


async def _close(work: Work, before: Experiment | None, after: Experiment) -> None:
    """Let nothing count from the end on, where a change has moved that."""
    was, closes = before and closes_at(before), closes_at(after)
    if was != closes and (since := min(at for at in (was, closes) if at)):
        await work.intake.close(after.id, closes, since)


def _check_home(before: Experiment | None, after: Experiment) -> None:
    """Refuse to move what flags knows of already to another flag: that one would never be told to forget it."""
    if before is None or not wants(before):
        return
    where = ("project", "environment", "flag_key")
    if any(getattr(before, name) != getattr(after, name) for name in where):
        text = f"experiment {before.key!r} has a start date; take its schedule off, then move it"
        raise WrongState(text)


async def _check_metrics(work: Work, before: Experiment | None, after: Experiment) -> None:
    """Refuse metrics that do not exist, or come after the first data; what was named before may have gone since."""
    known = {metric.key for metric in before.metrics} if before else set[str]()
    new = [(place, m.key) for place, m in enumerate(after.metrics) if m.key not in known]
    measured = {it.key for it in await work.trials.frozen(after.id)} if new else set[str]()
    for place, key in new:
        if await work.metrics.find(after.tenant, key) is None:
            raise _at(place, UnknownMetric, f"there is no metric {key!r}: make it first")
        if measured and key not in measured:
            text = (
                f"experiment {after.key!r} has data, and measures what it began with; metric {key!r} "
                "cannot join it any more: make another experiment to measure it"
            )
            raise _at(place, PlanFrozen, text)


async def check_measurable(work: Work, experiment: Experiment) -> None:
    """Refuse to begin with a metric that has gone since it was named."""
    for place, use in enumerate(experiment.metrics):
        if await work.metrics.find(experiment.tenant, use.key) is None:
            text = f"there is no metric {use.key!r} any more: make it again, or take it off the experiment"
            raise _at(place, UnknownMetric, text)


def _at(place: int, fault: type[UnknownMetric | PlanFrozen], text: str) -> Fault:
    return fault(text, errors=(FieldError(f"/metrics/{place}/key", text, fault.code),))


async def _check_places(work: Work, before: Experiment | None, after: Experiment) -> None:
    """Refuse places of a layer that another experiment has. The layer is locked, so nobody is a moment faster."""
    if after.slot is None or (before is not None and before.slot == after.slot):
        return
    await work.layers.take(after.tenant, str(after.slot.layer))
    taken = await work.layers.slots(after.slot.layer, after.updated_at)
    check_free(after.slot, [one for one in taken if one[0] != after.key])


def _replanned(before: Experiment | None, after: Experiment) -> bool:
    """Tell whether a plan begins to count: at the start, and with each change since."""
    if not after.plan_hash:
        return False
    return before is None or not before.plan_hash or digest(before) != digest(after)


def _planned(experiment: Experiment, by: str, reason: str) -> Planned:
    return Planned(
        experiment_id=experiment.id,
        number=0,  # the book knows the next one
        at=experiment.updated_at,
        by=by,
        reason=reason,
        digest=digest(experiment),
        document=plan_document(experiment),
    )


def _publication(experiment: Experiment, held: tuple[Held, ...], reason: str) -> Publication:
    return Publication(
        experiment_id=experiment.id,
        tenant=experiment.tenant,
        version=experiment.version,
        document=wish(experiment, held, reason),
        next_at=experiment.updated_at,
    )
