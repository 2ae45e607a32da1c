"""What flags has to know of an experiment: a state, not a story, so that only the newest one counts.

It is written with every change that matters, in the same transaction, and told until flags has taken it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from experiments.domain.experiment import WHOLE, Experiment, Status
from experiments.domain.layers import Held
from experiments.domain.moves import due_at

SLOWEST = timedelta(seconds=60)


class Told(StrEnum):
    """How far flags knows."""

    NOTHING = "nothing_to_tell"
    PENDING = "pending"
    PUBLISHED = "published"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What is to be told (`document`), at which version of the experiment, and how that went so far.

    `sent` is the newest version that flags has taken; `next_at` when to try (again), None if there is nothing to tell.
    """

    experiment_id: UUID
    tenant: UUID
    version: int
    document: Mapping[str, Any]
    sent: int = 0
    sent_at: datetime | None = None
    next_at: datetime | None = None
    attempts: int = 0
    trouble: str = ""

    @property
    def state(self) -> Told:
        """How far flags knows."""
        if self.sent >= self.version:
            return Told.PUBLISHED
        return Told.REFUSED if self.trouble else Told.PENDING


def wish(experiment: Experiment, holdouts: tuple[Held, ...], reason: str = "") -> dict[str, Any]:
    """Return what flags has to know of an experiment, as JSON has it."""
    return {
        "project": experiment.project,
        "environment": experiment.environment,
        "flag": experiment.flag_key,
        "experiment": experiment.key,
        "owner_id": experiment.owner_id,
        "reason": reason,
        "allocation": _allocation(experiment, holdouts) if wants(experiment) else None,
    }


def wants(experiment: Experiment) -> bool:
    """Tell whether flags has to assign units now, or will have to at a date."""
    return experiment.status is Status.ACTIVE or _waits(experiment)


def differs(before: Experiment | None, after: Experiment) -> bool:
    """Tell whether a change of an experiment is one that flags has to know."""
    if before is None:
        return wants(after)
    return (wants(before) or wants(after)) and _matter(before) != _matter(after)


def again_at(now: datetime, attempts: int) -> datetime:
    """Return when to try again after so many failures: soon at first, then once a minute."""
    return now + min(timedelta(seconds=2 ** min(attempts, 10)) / 2, SLOWEST)


def _matter(it: Experiment) -> tuple[object, ...]:
    where = (it.project, it.environment, it.flag_key, it.unit)
    return it.status, it.phase, it.schedule, it.allocation, *where


def _waits(experiment: Experiment) -> bool:
    schedule = experiment.schedule
    may_begin = experiment.status in (Status.DRAFT, Status.PAUSED)
    return may_begin and schedule is not None and schedule.start is not None and not schedule.begun


def _allocation(it: Experiment, holdouts: tuple[Held, ...]) -> dict[str, Any]:
    waits = _waits(it)
    start = due_at(it) if waits else None
    end = it.schedule.end if it.schedule else None
    return {
        "phase": it.phase + waits,
        "unit": it.unit,
        "salt": f"experiment:{it.id}",
        "arms": [{"key": v.key, "weight": v.weight, "serves": v.serves} for v in it.variants],
        "gates": _gates(it, holdouts),
        "targeting": it.targeting,
        "starts_at": start.isoformat() if start else None,
        "ends_at": end.at.isoformat() if end else None,
    }


def _gates(it: Experiment, holdouts: tuple[Held, ...]) -> list[dict[str, Any]]:
    """Return what a unit has to pass: those held back are the first places of a holdout."""
    gates = [_gate("holdout", held.salt, held.share, WHOLE) for held in holdouts]
    if it.slot is not None:
        gates.append(_gate("layer", f"layer:{it.slot.layer}", it.slot.start, it.slot.end))
    if it.traffic < WHOLE:
        gates.append(_gate("traffic", f"traffic:{it.id}", 0, it.traffic))
    return gates


def _gate(name: str, salt: str, start: int, end: int) -> dict[str, Any]:
    return {"name": name, "salt": salt, "start": start, "end": end}
