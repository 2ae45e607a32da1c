"""From an experiment and its phases to their rows and back."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from experiments.domain.analysis import Analysis, MetricRole, MetricUse
from experiments.domain.experiment import Experiment, Status, Variant
from experiments.domain.inference.grouped import Spending
from experiments.domain.inference.plans import Adjustment, Correction, Method
from experiments.domain.layers import Held, Slot
from experiments.domain.moves import due_at
from experiments.domain.phases import Phase
from experiments.domain.schedule import Moment, Schedule
from experiments.store.tables import ExperimentRow, PhaseRow

_SAME = (
    "id", "tenant", "key", "name", "description", "hypothesis", "owner_id", "unit", "flag_key",
    "project", "environment", "traffic", "targeting", "phase", "plan_hash",
    "started_at", "completed_at", "version", "created_at", "updated_at",
)  # fmt: skip
_PHASE = ("experiment_id", "number", "started_at", "ended_at", "unit", "traffic", "targeting")


def columns(experiment: Experiment) -> dict[str, Any]:
    """Return the columns of an experiment's row."""
    schedule = experiment.schedule
    return {name: getattr(experiment, name) for name in _SAME} | {
        "variants": [asdict(variant) for variant in experiment.variants],
        "metrics": [asdict(metric) for metric in experiment.metrics],
        "analysis": asdict(experiment.analysis),
        "tags": list(experiment.tags),
        "status": experiment.status.value,
        **_slot_columns(experiment.slot),
        "due_at": due_at(experiment),
        "time_zone": schedule.zone if schedule else None,
        "schedule_set_at": schedule.set_at if schedule else None,
        "schedule_begun": schedule.begun if schedule else False,
        **_moment_columns("start", schedule.start if schedule else None),
        **_moment_columns("end", schedule.end if schedule else None),
    }


def experiment_of(row: ExperimentRow) -> Experiment:
    """Return the experiment that a row keeps."""
    return Experiment(
        **{name: getattr(row, name) for name in _SAME},
        variants=_variants(row.variants),
        slot=_slot(row),
        metrics=tuple(_metric(said) for said in row.metrics),
        analysis=_analysis(row.analysis),
        tags=tuple(row.tags),
        status=Status(row.status),
        schedule=_schedule(row),
    )


def phase_columns(phase: Phase) -> dict[str, Any]:
    """Return the columns of a phase's row."""
    return {name: getattr(phase, name) for name in _PHASE} | {
        "control": phase.control,
        "variants": [asdict(variant) for variant in phase.variants],
        "holdouts": [{"holdout": str(h.holdout), "share": h.share} for h in phase.holdouts],
        **_slot_columns(phase.slot),
    }


def phase_of(row: PhaseRow) -> Phase:
    """Return the phase that a row keeps."""
    return Phase(
        **{name: getattr(row, name) for name in _PHASE},
        variants=_variants(row.variants),
        slot=_slot(row),
        holdouts=tuple(Held(UUID(h["holdout"]), h["share"]) for h in row.holdouts),
    )


def _variants(said: Sequence[Mapping[str, Any]]) -> tuple[Variant, ...]:
    return tuple(Variant(v["key"], v["weight"], v.get("serves", "")) for v in said)


def _metric(said: Mapping[str, Any]) -> MetricUse:
    words: dict[str, Any] = {
        **said,
        "role": MetricRole(said["role"]),
        "adjustment": Adjustment(said["adjustment"]),
    }
    return MetricUse(**words)


def _analysis(said: Mapping[str, Any]) -> Analysis:
    """Return the analysis that a row keeps; that of a row from before there was one is the usual."""
    if not said:
        return Analysis()
    words: dict[str, Any] = {
        **said,
        "method": Method(said["method"]),
        "correction": Correction(said["correction"]),
        "spending": Spending(said["spending"]),
        "looks": tuple(said["looks"]),
    }
    return Analysis(**words)


def _slot_columns(slot: Slot | None) -> dict[str, Any]:
    return {
        "layer_id": slot.layer if slot else None,
        "slot_start": slot.start if slot else None,
        "slot_end": slot.end if slot else None,
    }


def _slot(row: ExperimentRow | PhaseRow) -> Slot | None:
    if row.layer_id is None or row.slot_start is None or row.slot_end is None:
        return None
    return Slot(row.layer_id, row.slot_start, row.slot_end)


def _moment_columns(name: str, moment: Moment | None) -> dict[str, datetime | None]:
    return {
        f"{name}_at": moment.at if moment else None,
        f"{name}_wall": moment.wall if moment else None,
    }


def _schedule(row: ExperimentRow) -> Schedule | None:
    if row.time_zone is None or row.schedule_set_at is None:
        return None
    return Schedule(
        start=_moment(row.start_at, row.start_wall),
        end=_moment(row.end_at, row.end_wall),
        zone=row.time_zone,
        set_at=row.schedule_set_at,
        begun=row.schedule_begun,
    )


def _moment(at: datetime | None, wall: datetime | None) -> Moment | None:
    return Moment(at=at.astimezone(UTC), wall=wall) if at and wall else None
