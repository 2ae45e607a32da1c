"""The machines that run, in PostgreSQL."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from compute.domain.metering import Interval
from compute.store.ledger_tables import IntervalRow


class SqlMeterBook:
    """The open intervals over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def take(self, vm_id: UUID) -> Interval | None:
        """Return the open interval of a machine, locked until the work ends; None if it is not running."""
        query = select(IntervalRow).where(IntervalRow.vm_id == vm_id).with_for_update()
        row = await self._session.scalar(query.execution_options(populate_existing=True))
        return _interval_of(row) if row else None

    async def open_of(self, vm_ids: Collection[UUID]) -> frozenset[UUID]:
        """Return which of these machines have an open interval."""
        query = select(IntervalRow.vm_id).where(IntervalRow.vm_id.in_(vm_ids))
        return frozenset(await self._session.scalars(query))

    async def put(self, interval: Interval) -> None:
        """Keep an open interval, new or seen again."""
        row = insert(IntervalRow).values(
            vm_id=interval.vm_id,
            tenant=interval.tenant,
            started_at=interval.started_at,
            seen_at=interval.seen_at,
        )
        seen = func.greatest(IntervalRow.seen_at, row.excluded.seen_at)
        change = {"seen_at": seen, "started_at": row.excluded.started_at}
        await self._session.execute(
            row.on_conflict_do_update(index_elements=["vm_id"], set_=change)
        )

    async def drop(self, vm_id: UUID) -> None:
        """Forget an open interval: what it was is in the ledger."""
        await self._session.execute(delete(IntervalRow).where(IntervalRow.vm_id == vm_id))

    async def beat(self, vm_ids: Collection[UUID], at: datetime) -> None:
        """Note that these machines, as far as they have an interval, were seen running."""
        here = IntervalRow.vm_id.in_(vm_ids), IntervalRow.seen_at < at
        await self._session.execute(update(IntervalRow).where(*here).values(seen_at=at))

    async def due(self, most: int) -> Sequence[Interval]:
        """Return intervals with a full hour to cut off, locked; those that others have locked are left out."""
        hour = func.date_trunc("hour", IntervalRow.seen_at, "UTC")
        query = select(IntervalRow).where(hour > IntervalRow.started_at).limit(most)
        rows = await self._session.scalars(query.with_for_update(skip_locked=True))
        return [_interval_of(row) for row in rows]


def _interval_of(row: IntervalRow) -> Interval:
    return Interval(
        vm_id=row.vm_id, tenant=row.tenant, started_at=row.started_at, seen_at=row.seen_at
    )
