"""Leases: which of several processes may do what only one must do at a time.

A lease is a row with a deadline and a fence, a number that grows with each change of holder. A process that was frozen
finds its lease gone when it wakes; whoever acts for it passes the fence on, so that late work can be refused.
"""

from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import DateTime, func, or_, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

HOLDER = uuid4().hex  # this process


class LeaseRow:
    """Mixin: give it to a service's own Base and the table lands in its schema."""

    __tablename__ = "lease"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    fence: Mapped[int] = mapped_column(server_default=text("1"))
    until: Mapped[datetime] = mapped_column(DateTime(timezone=True))


async def hold(
    session: AsyncSession, row: type[LeaseRow], name: str, seconds: float, holder: str = HOLDER
) -> int | None:
    """Take or renew a lease; return its fence, or None while another process holds it."""
    until = func.now() + timedelta(seconds=seconds)
    claim = insert(row).values(name=name, holder=holder, until=until)
    change = claim.on_conflict_do_update(
        index_elements=["name"],
        set_={
            "holder": claim.excluded.holder,
            "until": claim.excluded.until,
            "fence": text("lease.fence + (lease.holder <> excluded.holder)::int"),
        },
        where=or_(row.holder == holder, row.until <= func.now()),
    )
    return await session.scalar(change.returning(row.fence))


async def release(
    session: AsyncSession, row: type[LeaseRow], name: str, holder: str = HOLDER
) -> None:
    """Give a lease back, if it is ours, so that another may take it at once."""
    ours = (row.name == name) & (row.holder == holder)
    await session.execute(update(row).where(ours).values(until=func.now()))
