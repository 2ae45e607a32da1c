"""Metrics in PostgreSQL."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import Slice, cut
from experiments.domain.errors import MetricKeyTaken
from experiments.domain.experiment import Status
from experiments.domain.metric import Metric, definition_of, document
from experiments.ports import WantedMetrics
from experiments.store.listing import named, ordered, position
from experiments.store.tables import ExperimentRow, MetricRow

R = MetricRow
_SAME = (
    "id", "tenant", "key", "name", "description", "owner_id", "version", "created_at", "updated_at",
)  # fmt: skip


class SqlMetricBook:
    """The metric book over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, tenant: UUID, name: str) -> Metric | None:
        """Return the metric with this id or key; None if there is none."""
        return await self._one(named(R, tenant, name))

    async def take(self, tenant: UUID, name: str) -> Metric | None:
        """Return the metric with this id or key, locked until the work ends; None if there is none."""
        return await self._one(named(R, tenant, name).with_for_update())

    async def list(self, tenant: UUID, wanted: WantedMetrics) -> Slice[Metric]:
        """Return a part of a tenant's metrics."""
        ask, which = wanted.ask, _which(tenant, wanted)
        total = await self._session.scalar(select(func.count()).select_from(R).where(which))
        page = ordered(R, select(R).where(which), wanted.sort, ask.after)
        rows = (await self._session.scalars(page.limit(ask.limit + 1).offset(ask.offset))).all()
        items, after = cut(
            [_metric_of(row) for row in rows], ask.limit, lambda m: position(m, wanted.sort)
        )
        return Slice(items=items, next=after, total=total)

    async def add(self, metric: Metric) -> None:
        """Keep a new metric; MetricKeyTaken if the tenant has one with its key."""
        try:
            async with self._session.begin_nested():
                self._session.add(R(**_columns(metric)))
        except IntegrityError as error:
            if "metric_key" not in str(error.orig):
                raise
            raise MetricKeyTaken(f"there is a metric {metric.key!r} already") from None

    async def put(self, metric: Metric) -> None:
        """Keep a locked metric as it is now."""
        await self._session.execute(update(R).where(R.id == metric.id).values(**_columns(metric)))

    async def remove(self, metric: Metric) -> None:
        """Forget a locked metric."""
        await self._session.execute(delete(R).where(R.id == metric.id))

    async def running_with(self, metric: Metric) -> Sequence[str]:
        """Return the keys of the experiments that are ACTIVE or PAUSED and measure this metric."""
        running = ExperimentRow.status.in_((Status.ACTIVE.value, Status.PAUSED.value))
        named = ExperimentRow.metrics.contains([{"key": metric.key}])
        mine = select(ExperimentRow.key).where(ExperimentRow.tenant == metric.tenant)
        return (await self._session.scalars(mine.where(running, named))).all()

    async def _one(self, query: Select[MetricRow]) -> Metric | None:
        row = await self._session.scalar(query.execution_options(populate_existing=True))
        return _metric_of(row) if row else None


def _which(tenant: UUID, wanted: WantedMetrics) -> ColumnElement[bool]:
    which: list[ColumnElement[bool]] = [R.tenant == tenant]
    if wanted.search:
        fields = (R.key, R.name, R.description)
        which.append(or_(*(f.icontains(wanted.search, autoescape=True) for f in fields)))
    if wanted.owner_id is not None:
        which.append(R.owner_id == wanted.owner_id)
    if wanted.kind:
        which.append(R.kind == wanted.kind.value)
    return and_(*which)


def _columns(metric: Metric) -> dict[str, Any]:
    same = {name: getattr(metric, name) for name in _SAME}
    return {
        **same,
        "kind": metric.definition.kind.value,
        "definition": document(metric.definition),
    }


def _metric_of(row: MetricRow) -> Metric:
    same = {name: getattr(row, name) for name in _SAME}
    return Metric(**same, definition=definition_of(row.definition))
