"""The log in PostgreSQL.

An append is four round trips whatever its size: lock the heads, ask what is there, COPY the rest, move the heads.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from audit.domain.entry import Entry, Event, read, words
from audit.domain.sequence import Head, Seen
from audit.domain.wanted import Wanted
from audit.ports import Span
from audit.store.tables import EntryRow, HeadRow

# Sorted, so that two appends never wait for each other; the empty update is what locks a head that is there.
_LOCK = text(
    """
    INSERT INTO audit.head (tenant)
    SELECT tenant FROM unnest(CAST(:tenants AS uuid[])) AS asked (tenant) ORDER BY tenant
    ON CONFLICT (tenant) DO UPDATE SET tenant = excluded.tenant
    RETURNING tenant, seq, ts
    """
)
_SEEN = text(
    """
    SELECT entry.tenant, entry.id, entry.seq
    FROM unnest(CAST(:tenants AS uuid[]), CAST(:ids AS uuid[])) AS asked (tenant, id)
    JOIN audit.entry ON entry.tenant = asked.tenant AND entry.id = asked.id
    """
)
_MOVE = text(
    """
    UPDATE audit.head SET seq = moved.seq, ts = moved.ts
    FROM unnest(CAST(:tenants AS uuid[]), CAST(:seqs AS bigint[]), CAST(:times AS timestamptz[]))
         AS moved (tenant, seq, ts)
    WHERE head.tenant = moved.tenant
    """
)
_COLUMNS = (
    "tenant",
    "seq",
    "id",
    "ts",
    "actor_id",
    "entity_type",
    "entity_id",
    "noun",
    "verb",
    "words",
    "body",
)


class SqlLog:
    """The logs over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def lock(self, tenants: Collection[UUID]) -> Mapping[UUID, Head]:
        """Lock the heads, in the order of their tenants."""
        rows = await self._session.execute(_LOCK, {"tenants": list(tenants)})
        return {
            tenant: Head(tenant=tenant, seq=seq, ts=ts.astimezone(UTC)) for tenant, seq, ts in rows
        }

    async def seen(self, events: Sequence[Event]) -> Seen:
        """Look the events up by tenant and id."""
        asked = {"tenants": [e.tenant for e in events], "ids": [e.id for e in events]}
        rows = await self._session.execute(_SEEN, asked)
        return {(tenant, event_id): seq for tenant, event_id, seq in rows}

    async def append(self, entries: Sequence[Entry], heads: Sequence[Head]) -> None:
        """COPY the entries, then move the heads."""
        connection = await (await self._session.connection()).get_raw_connection()
        driver = cast("Any", connection.driver_connection)  # asyncpg's own: only it can COPY
        await driver.copy_records_to_table(
            "entry",
            schema_name="audit",
            columns=_COLUMNS,
            records=[_row(entry) for entry in entries],
        )
        moved = {
            "tenants": [head.tenant for head in heads],
            "seqs": [head.seq for head in heads],
            "times": [head.ts for head in heads],
        }
        await self._session.execute(_MOVE, moved)

    async def get(self, tenant: UUID, event_id: UUID) -> Entry | None:
        """Find an entry by its event's id."""
        query = select(EntryRow.body).filter_by(tenant=tenant, id=event_id)
        body = await self._session.scalar(query)
        return None if body is None else read(body)

    async def span(self, tenant: UUID, since: datetime | None, until: datetime | None) -> Span:
        """Turn times into numbers by a probe of an index for each end."""
        row = EntryRow
        top = select(HeadRow.seq).filter_by(tenant=tenant)
        if until is not None:
            top = _end(tenant, row.ts <= until, newest=True)
        high = await self._session.scalar(top) or 0
        if since is None or not high:
            return Span(1, high)
        low = await self._session.scalar(_end(tenant, row.ts >= since, newest=False))
        return Span(low or high + 1, high)

    async def count(self, tenant: UUID, span: Span, wanted: Wanted) -> int:
        """Count the wanted entries."""
        query = select(func.count()).select_from(EntryRow).where(_matching(tenant, span, wanted))
        return await self._session.scalar(query) or 0

    async def newest(
        self, tenant: UUID, span: Span, wanted: Wanted, *, skip: int, limit: int
    ) -> Sequence[Entry]:
        """Read the wanted entries backwards."""
        query = select(EntryRow.body).where(_matching(tenant, span, wanted))
        query = query.order_by(EntryRow.seq.desc()).offset(skip or None).limit(limit)
        return [read(body) for body in await self._session.scalars(query)]


def _end(tenant: UUID, within: ColumnElement[bool], *, newest: bool) -> Any:  # noqa: ANN401
    row = EntryRow
    order = (row.ts.desc(), row.seq.desc()) if newest else (row.ts, row.seq)
    return select(row.seq).where(row.tenant == tenant, within).order_by(*order).limit(1)


def _matching(tenant: UUID, span: Span, wanted: Wanted) -> ColumnElement[bool]:
    row = EntryRow
    asked = (
        (row.actor_id, wanted.user_id),
        (row.entity_id, wanted.entity_id),
        (row.entity_type, wanted.entity_type),
        (row.noun, wanted.noun),
        (row.verb, wanted.verb),
    )
    return and_(
        row.tenant == tenant,
        row.seq.between(span.low, span.high),
        *(column == value for column, value in asked if value),
        *(row.words.contains(term, autoescape=True) for term in wanted.terms),
    )


def _row(entry: Entry) -> tuple[object, ...]:
    event = entry.event
    return (
        event.tenant,
        entry.seq,
        event.id,
        entry.ts,
        event.actor.id,
        event.target.type,
        event.target.id,
        event.noun,
        event.verb,
        words(event),
        entry.written(),
    )
