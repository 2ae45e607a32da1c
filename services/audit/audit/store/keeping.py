"""Retention and erasures in PostgreSQL."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from audit.domain.keeping import Erasure, Retention
from audit.domain.tiles import WIDTH
from audit.store.lists import newest
from audit.store.tables import ErasureRow, RetentionRow
from chassis.pages import PageAsk, Slice

_FORGET = text(
    """
    INSERT INTO audit.person (tenant, id) VALUES (:tenant, :person)
    ON CONFLICT (tenant, id) DO UPDATE SET key = NULL, names = ''
    """
)
# The newest entry that is old enough, within what full tiles keep of the tree and what active streams have sent.
_OLD = text(
    """
    SELECT head.dropped, least(
        (SELECT seq FROM audit.entry WHERE entry.tenant = head.tenant AND ts < :before
         ORDER BY ts DESC, seq DESC LIMIT 1),
        coalesce((SELECT (number + 1) * :width FROM audit.tile
                  WHERE tile.tenant = head.tenant AND level = 0
                  ORDER BY number DESC LIMIT 1), 0),
        (SELECT min(cursor) FROM audit.stream
         WHERE stream.tenant = head.tenant AND state = 'active')) AS until
    FROM audit.head WHERE tenant = :tenant
    """
)
_DROP = text("DELETE FROM audit.entry WHERE tenant = :tenant AND seq BETWEEN :low AND :high")
_DROPPED = text("UPDATE audit.head SET dropped = :high WHERE tenant = :tenant")


class SqlKeeping:
    """Retention and erasures over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def retention(self, tenant: UUID, *, lock: bool = False) -> Retention:
        """Read the terms, those of a tenant that never set any included."""
        if lock:
            new = insert(RetentionRow).values(
                tenant=tenant, legal_hold=False, version=0, updated_at=datetime.now(UTC)
            )
            await self._session.execute(new.on_conflict_do_nothing())
        query = select(RetentionRow).filter_by(tenant=tenant)
        row = await self._session.scalar(query.with_for_update() if lock else query)
        return Retention(tenant=tenant) if row is None else _retention(row)

    async def put(self, terms: Retention) -> None:
        """Change the row that was locked."""
        row = await self._session.get_one(RetentionRow, terms.tenant)
        assert terms.updated_at is not None
        row.days, row.legal_hold = terms.days, terms.legal_hold
        row.version, row.updated_at = terms.version, terms.updated_at
        await self._session.flush()

    async def limited(self) -> Sequence[Retention]:
        """Read the terms by which something may go."""
        row = RetentionRow
        query = select(row).where(row.days.is_not(None), row.legal_hold.is_(False))
        return [_retention(one) for one in await self._session.scalars(query.order_by(row.tenant))]

    async def drop(self, tenant: UUID, before: datetime, most: int) -> tuple[int, int]:
        """Delete the oldest entries; return the first and the last number that went, (1, 0) if none did."""
        asked = {"tenant": tenant, "before": before, "width": WIDTH}
        row = (await self._session.execute(_OLD, asked)).one_or_none()
        if row is None or row.until is None or row.until <= row.dropped:
            return 1, 0
        low, high = row.dropped + 1, min(row.until, row.dropped + most)
        await self._session.execute(text("SET LOCAL audit.retention = 'on'"))
        await self._session.execute(_DROP, {"tenant": tenant, "low": low, "high": high})
        await self._session.execute(_DROPPED, {"tenant": tenant, "high": high})
        return low, high

    async def forget(self, erasure: Erasure) -> Erasure:
        """Delete a person's key; return the first erasure of this person."""
        await self._session.execute(_FORGET, {"tenant": erasure.tenant, "person": erasure.person})
        new = insert(ErasureRow).values(
            tenant=erasure.tenant,
            person=erasure.person,
            id=erasure.id,
            at=erasure.at,
            asked_by=erasure.asked_by,
            reason=erasure.reason,
        )
        await self._session.execute(new.on_conflict_do_nothing())
        row = await self._session.get_one(ErasureRow, (erasure.tenant, erasure.person))
        return _erasure(row)

    async def erasures(self, tenant: UUID, ask: PageAsk) -> Slice[Erasure]:
        """Read a page of erasures, newest first."""
        rows, after, total = await newest(self._session, ErasureRow, tenant, ask)
        return Slice(items=rows, next=after, total=total).map(_erasure)


def _retention(row: RetentionRow) -> Retention:
    return Retention(
        tenant=row.tenant,
        days=row.days,
        legal_hold=row.legal_hold,
        version=row.version,
        updated_at=row.updated_at.astimezone(UTC) if row.version else None,
    )


def _erasure(row: ErasureRow) -> Erasure:
    return Erasure(
        id=row.id,
        tenant=row.tenant,
        person=row.person,
        at=row.at.astimezone(UTC),
        asked_by=row.asked_by,
        reason=row.reason,
    )
