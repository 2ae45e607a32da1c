"""From an experiment to its row and back."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from experiments.domain.experiment import Experiment, Status, Variant
from experiments.domain.moves import due_at
from experiments.domain.schedule import Moment, Schedule
from experiments.store.tables import ExperimentRow

_SAME = (
    "id", "tenant", "key", "name", "description", "hypothesis", "owner_id", "unit", "flag_key",
    "started_at", "completed_at", "version", "created_at", "updated_at",
)  # fmt: skip


def columns(experiment: Experiment) -> dict[str, Any]:
    """Return the columns of an experiment's row."""
    schedule = experiment.schedule
    return {name: getattr(experiment, name) for name in _SAME} | {
        "variants": [asdict(variant) for variant in experiment.variants],
        "status": experiment.status.value,
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
        id=row.id,
        tenant=row.tenant,
        key=row.key,
        name=row.name,
        description=row.description,
        hypothesis=row.hypothesis,
        owner_id=row.owner_id,
        unit=row.unit,
        flag_key=row.flag_key,
        variants=tuple(Variant(v["key"], v["weight"]) for v in row.variants),
        status=Status(row.status),
        schedule=_schedule(row),
        started_at=row.started_at,
        completed_at=row.completed_at,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


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
