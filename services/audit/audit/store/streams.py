"""Streams in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from audit.domain.stream import Stream
from audit.ports import Vault
from audit.store.lists import newest
from audit.store.tables import HeadRow, StreamRow
from chassis.pages import PageAsk, Slice


class SqlStreams:
    """Streams over one session; their secrets are sealed."""

    def __init__(self, session: AsyncSession, vault: Vault) -> None:
        self._session = session
        self._vault = vault

    async def get(self, tenant: UUID, stream: UUID, *, lock: bool = False) -> Stream | None:
        """Look a stream up."""
        query = select(StreamRow).filter_by(tenant=tenant, id=stream)
        row = await self._session.scalar(query.with_for_update() if lock else query)
        return None if row is None else self._stream(row)

    async def page(self, tenant: UUID, ask: PageAsk) -> Slice[Stream]:
        """Read a page of a tenant's streams, newest first."""
        rows, after, total = await newest(self._session, StreamRow, tenant, ask)
        return Slice(items=rows, next=after, total=total).map(self._stream)

    async def count(self, tenant: UUID) -> int:
        """Count a tenant's streams."""
        query = select(func.count()).select_from(StreamRow).filter_by(tenant=tenant)
        return await self._session.scalar(query) or 0

    async def due(self, now: datetime) -> Sequence[Stream]:
        """Read the active streams whose log goes on after their cursor."""
        row, head = StreamRow, HeadRow
        query = select(row).join(head, head.tenant == row.tenant)
        query = query.where(row.state == "active", row.due_at <= now, row.cursor < head.seq)
        return [self._stream(one) for one in await self._session.scalars(query.order_by(row.id))]

    async def add(self, stream: Stream) -> None:
        """Insert a stream."""
        sealed = self._vault.wrap(stream.secret, stream.id.bytes)
        self._session.add(StreamRow(**(asdict(stream) | {"secret": sealed})))
        await self._session.flush()

    async def put(self, stream: Stream) -> None:
        """Update a stream."""
        row = await self._session.get_one(StreamRow, stream.id)
        row.url, row.state, row.why = stream.url, stream.state, stream.why
        row.cursor, row.failures, row.due_at = stream.cursor, stream.failures, stream.due_at
        row.version = stream.version
        await self._session.flush()

    async def delete(self, stream: Stream) -> None:
        """Delete a stream."""
        await self._session.execute(delete(StreamRow).where(StreamRow.id == stream.id))

    def _stream(self, row: StreamRow) -> Stream:
        names = StreamRow.__table__.columns.keys()
        said: dict[str, Any] = {name: getattr(row, name) for name in names}
        said["secret"] = self._vault.unwrap(row.secret, row.id.bytes)
        found = Stream(**said)
        return replace(
            found,
            due_at=found.due_at.astimezone(UTC),
            created_at=found.created_at.astimezone(UTC),
        )
