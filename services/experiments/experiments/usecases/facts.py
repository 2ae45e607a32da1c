"""What is left for the audit log."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from chassis.caller import Caller
from chassis.facts import Actor, Fact, Seen, Target, changed
from experiments.domain.experiment import Experiment
from experiments.domain.layers import Slot
from experiments.domain.moves import Step
from experiments.domain.planned import digest
from experiments.domain.schedule import Moment, Schedule

SCHEDULER = Actor("service", "experiments", "scheduler")
BY_THE_CLOCK = {"completed": "its end date was reached"}


def told(
    caller: Caller,
    verbed: str,
    before: Experiment | None,
    after: Experiment | None,
    reason: str = "",
) -> Fact:
    """Return the fact that a caller did something to an experiment."""
    return _fact(Actor.of(caller), verbed, before, after, reason)


def ticked(step: Step) -> Fact:
    """Return the fact that the clock moved an experiment."""
    reason = BY_THE_CLOCK.get(step.move.past, "its start date was reached")
    return _fact(SCHEDULER, step.move.past, step.before, step.after, reason)


def paused_by_guard(actor: Actor, before: Experiment, after: Experiment, reason: str) -> Fact:
    """Return the fact that an experiment was paused because it does harm."""
    return _fact(actor, "paused", before, after, reason)


def _fact(
    actor: Actor, verbed: str, before: Experiment | None, after: Experiment | None, reason: str
) -> Fact:
    return changed(actor, verbed, before and _seen(before), after and _seen(after), reason)


def _seen(it: Experiment) -> Seen:
    return it.tenant, Target("experiment", str(it.id), it.key), document(it)


def document(experiment: Experiment) -> dict[str, Any]:
    """Return an experiment as the audit log keeps it."""
    return {
        "key": experiment.key,
        "name": experiment.name,
        "description": experiment.description,
        "hypothesis": experiment.hypothesis,
        "owner_id": experiment.owner_id,
        "unit": experiment.unit,
        "project": experiment.project,
        "environment": experiment.environment,
        "flag_key": experiment.flag_key,
        "variants": [
            {"key": v.key, "weight": v.weight, "serves": v.serves} for v in experiment.variants
        ],
        "traffic": experiment.traffic,
        "targeting": experiment.targeting,
        "layer": _places(experiment.slot),
        "tags": list(experiment.tags),
        "phase": experiment.phase,
        "plan": {
            "settled": experiment.plan_hash or None,
            "now": digest(experiment),
            "metrics": [asdict(metric) for metric in experiment.metrics],
            "analysis": asdict(experiment.analysis),
        },
        "status": experiment.status.value,
        "schedule": _schedule(experiment.schedule),
        "started_at": _iso(experiment.started_at),
        "completed_at": _iso(experiment.completed_at),
        "version": experiment.version,
    }


def _places(slot: Slot | None) -> dict[str, Any] | None:
    return {"id": str(slot.layer), "start": slot.start, "end": slot.end} if slot else None


def _schedule(schedule: Schedule | None) -> dict[str, Any] | None:
    if schedule is None:
        return None
    return {
        "start": _moment(schedule.start),
        "end": _moment(schedule.end),
        "time_zone": schedule.zone,
    }


def _moment(moment: Moment | None) -> dict[str, Any] | None:
    return {"at": _iso(moment.at), "local": moment.wall.isoformat()} if moment else None


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
