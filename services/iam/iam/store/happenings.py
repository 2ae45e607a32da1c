"""The log of what happened under /global, in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from iam.domain.happening import Happening, Note, Verb
from iam.store.tables import Base, Time


class HappeningRow(Base):
    """That something under /global was made, changed or deleted. `thing` is its id, of a permission its name."""

    __tablename__ = "happening"
    __table_args__ = (Index("happening_by_time", "at"),)

    position: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    tenant: Mapped[UUID]
    kind: Mapped[str]
    thing: Mapped[str]
    verb: Mapped[str]
    at: Mapped[datetime] = mapped_column(Time, server_default=func.clock_timestamp())


class SqlHappenings:
    """The log over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def newest(self) -> int:
        """Return the position of the newest; 0 if nothing ever happened."""
        return await self._session.scalar(select(func.max(HappeningRow.position))) or 0

    async def oldest(self) -> int:
        """Return the position of the oldest that is still known; 0 if there is none."""
        return await self._session.scalar(select(func.min(HappeningRow.position))) or 0

    async def after(self, position: int, limit: int) -> Sequence[Happening]:
        """Return what happened after a position, in order."""
        query = (
            select(HappeningRow)
            .where(HappeningRow.position > position)
            .order_by(HappeningRow.position)
            .limit(limit)
        )
        return [_happening(row) for row in await self._session.scalars(query)]

    async def trim(self, before: datetime) -> int:
        """Forget what happened before that, but never the newest; return how many."""
        newest = select(func.max(HappeningRow.position)).scalar_subquery()
        gone = delete(HappeningRow).where(HappeningRow.at < before, HappeningRow.position < newest)
        return len((await self._session.scalars(gone.returning(HappeningRow.position))).all())

    async def append(self, notes: Sequence[Note]) -> None:
        """Log notes. Positions are handed out under a lock that the commit lifts, so commits keep their order."""
        lock = func.pg_advisory_xact_lock(func.hashtextextended("iam happening", 0))
        await self._session.execute(select(lock))
        rows = [
            {"tenant": n.tenant, "kind": n.kind, "thing": n.thing, "verb": n.verb} for n in notes
        ]
        await self._session.execute(insert(HappeningRow), rows)


def _happening(row: HappeningRow) -> Happening:
    note = Note(row.tenant, row.kind, row.thing, Verb(row.verb))
    return Happening(row.position, note, row.at)
