"""A page of what a tenant has in a table, the newest first."""

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from audit.store.tables import ErasureRow, StreamRow
from chassis.pages import PageAsk, Position, cut

Row = TypeVar("Row", ErasureRow, StreamRow)


async def newest(
    session: AsyncSession, table: type[Row], tenant: UUID, ask: PageAsk
) -> tuple[Sequence[Row], Position | None, int]:
    """Return the rows of the page, the position after them if there are more, and how many there are in all.

    Ids are UUIDs of version 7, so their order is that of their making.
    """
    mine = table.tenant == tenant
    total = await session.scalar(select(func.count()).select_from(table).where(mine))
    query = select(table).where(mine).order_by(table.id.desc())
    if ask.after:
        query = query.where(table.id < UUID(ask.after[0]))
    rows = (await session.scalars(query.offset(ask.offset).limit(ask.limit + 1))).all()
    items, after = cut(rows, ask.limit, lambda row: (str(row.id),))
    return items, after, total or 0
