"""Experiments as their data see them, and the cells that results are read from, in PostgreSQL."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from experiments.domain.experiment import Experiment, Status
from experiments.domain.inference.moments import Moments
from experiments.domain.metric import definition_of
from experiments.domain.moves import closes_at, settled
from experiments.domain.trial import GUARDED, Cell, Frozen, Span, Trial
from experiments.store.data_tables import MeasureRow
from experiments.store.measures import frozen_of
from experiments.store.rows import experiment_of
from experiments.store.statements import NAMES
from experiments.store.tables import ExperimentRow, MetricRow, PhaseRow

_CELLS = """
SELECT metric, phase, variant, value, bucket, n, mean, co FROM cell WHERE experiment = $1 AND slice = $2
"""


class SqlTrials:
    """Trials over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def named(self, tenant: UUID, names: Collection[str], now: datetime) -> dict[str, Trial]:
        """Return the experiments of a tenant with these ids or keys, under the names they were asked by."""
        ids = [found for name in names if (found := _id_of(name))]
        wanted = or_(ExperimentRow.key.in_(names), ExperimentRow.id.in_(ids))
        rows = await self._session.scalars(
            select(ExperimentRow).where(ExperimentRow.tenant == tenant, wanted)
        )
        trials = await self._trials([experiment_of(row) for row in rows], now)
        known = {name: trial for trial in trials for name in (trial.key, str(trial.id))}
        asked = {name: known.get(name) or known.get(name.lower()) for name in names}
        return {name: trial for name, trial in asked.items() if trial}

    async def definitions(self, experiment: UUID) -> Sequence[Frozen]:
        """Return the metrics that an experiment names, as they are now, numbered from 1; those that exist."""
        row = await self._session.get(ExperimentRow, experiment)
        if row is None:
            return ()
        keys = [use["key"] for use in row.metrics]
        mine = (MetricRow.tenant == row.tenant) & MetricRow.key.in_(keys)
        found = {m.key: m for m in await self._session.scalars(select(MetricRow).where(mine))}
        return [
            Frozen(number=at, key=key, definition=definition_of(found[key].definition))
            for at, key in enumerate(keys, 1)
            if key in found
        ]

    async def frozen(self, experiment: UUID) -> Sequence[Frozen]:
        """Return the metrics that an experiment began with; nothing before its first data."""
        mine = (MeasureRow.experiment == experiment) & (MeasureRow.metric > 0)
        rows = await self._session.scalars(
            select(MeasureRow).where(mine).order_by(MeasureRow.metric)
        )
        return [frozen_of(row) for row in rows]

    async def cells(self, experiment: UUID, dimension: str) -> Sequence[Cell]:
        """Return the cells of all units (an empty dimension), or those of every value of one."""
        connection = await (await self._session.connection()).get_raw_connection()
        driver: Any = connection.driver_connection  # by the driver: its arrays need no second look
        rows = await driver.fetch(_CELLS, experiment, dimension)
        return [
            Cell(metric, phase, variant, value, bucket, Moments(n, tuple(mean), tuple(co)))
            for metric, phase, variant, value, bucket, n, mean, co in rows
        ]

    async def dimensions(self, experiment: UUID) -> Sequence[str]:
        """Return what was recorded of units, besides the day."""
        connection = await (await self._session.connection()).get_raw_connection()
        driver: Any = connection.driver_connection
        return [row["slice"] for row in await driver.fetch(NAMES, experiment)]

    async def guarded(self, now: datetime) -> Sequence[Trial]:
        """Return the ACTIVE experiments of all tenants that are to pause when a guardrail is harmed."""
        watched = or_(*(ExperimentRow.metrics.contains([{"role": role}]) for role in GUARDED))
        active = ExperimentRow.status == Status.ACTIVE.value
        rows = await self._session.scalars(select(ExperimentRow).where(active, watched))
        trials = await self._trials([experiment_of(row) for row in rows], now)
        return [t for t in trials if t.analysis.auto_pause and t.status is Status.ACTIVE]

    async def _trials(self, experiments: Sequence[Experiment], now: datetime) -> list[Trial]:
        ids = [experiment.id for experiment in experiments]
        rows = await self._session.scalars(
            select(PhaseRow).where(PhaseRow.experiment_id.in_(ids)).order_by(PhaseRow.number)
        )
        spans: dict[UUID, list[Span]] = {it: [] for it in ids}
        for row in rows:
            spans[row.experiment_id].append(_span(row))
        return [_trial(settled(it, now), spans[it.id]) for it in experiments]


def _trial(experiment: Experiment, spans: Sequence[Span]) -> Trial:
    return Trial(
        id=experiment.id,
        tenant=experiment.tenant,
        key=experiment.key,
        owner_id=experiment.owner_id,
        status=experiment.status,
        variants=tuple(variant.key for variant in experiment.variants),
        spans=tuple(_as_the_clock_has_it(experiment, spans)),
        uses=experiment.metrics,
        analysis=experiment.analysis,
        project=experiment.project,
        environment=experiment.environment,
        plan_hash=experiment.plan_hash,
        closes=closes_at(experiment),
    )


def _as_the_clock_has_it(experiment: Experiment, spans: Sequence[Span]) -> list[Span]:
    """Return the phases with what the clock has begun or ended and nobody has written down yet."""
    made = list(spans)
    if made and made[-1].end is None and experiment.status is not Status.ACTIVE:
        made[-1] = Span(made[-1].number, made[-1].start, experiment.updated_at, made[-1].weights)
    begun = experiment.status is Status.ACTIVE and experiment.phase > (
        made[-1].number if made else 0
    )
    if begun:
        weights = tuple(variant.weight for variant in experiment.variants)
        made.append(Span(experiment.phase, experiment.updated_at, None, weights))
    return made


def _span(row: PhaseRow) -> Span:
    weights = tuple(variant["weight"] for variant in row.variants)
    return Span(row.number, row.started_at, row.ended_at, weights)


def _id_of(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None
