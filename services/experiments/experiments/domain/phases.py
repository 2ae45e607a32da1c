"""Phases: the spans in which an experiment assigned its units in one and the same way.

A phase begins when an experiment becomes active, and when an active one changes whom it assigns to what; it ends with
the next phase, a pause or the end. Results are added up over phases, never across them.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from experiments.domain.experiment import Experiment, Status, Targeting, Variant
from experiments.domain.layers import Held, Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One span of one experiment, [started_at, ended_at); numbers begin at 1. The first variant is the control."""

    experiment_id: UUID
    number: int
    started_at: datetime
    ended_at: datetime | None = None
    unit: str
    variants: tuple[Variant, ...]
    traffic: int
    targeting: Targeting | None = None
    slot: Slot | None = None
    holdouts: tuple[Held, ...] = ()

    @property
    def control(self) -> str:
        """The key of the variant that the others are compared with."""
        return self.variants[0].key

    def over(self, at: datetime) -> "Phase":
        """Return the phase with its end."""
        return replace(self, ended_at=at)


def is_closed(before: Experiment | None, after: Experiment) -> bool:
    """Tell whether a change ends a phase."""
    if before is None or before.status is not Status.ACTIVE:
        return False
    return after.status is not Status.ACTIVE or before.phase != after.phase


def opened(
    before: Experiment | None, after: Experiment, holdouts: tuple[Held, ...]
) -> Phase | None:
    """Return the phase that a change begins, if it does."""
    last = before.phase if before else 0
    if after.status is not Status.ACTIVE or after.phase == last:
        return None
    return Phase(
        experiment_id=after.id,
        number=after.phase,
        started_at=after.updated_at,
        unit=after.unit,
        variants=after.variants,
        traffic=after.traffic,
        targeting=after.targeting,
        slot=after.slot,
        holdouts=holdouts,
    )
