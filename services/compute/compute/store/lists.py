"""Parts of lists: what machines and templates have in common when they are listed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, SQLColumnExpression, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import PageAsk, Position, cut
from compute.store.ledger_tables import AgentRow
from compute.store.tables import SnapshotRow, TemplateRow, VmRow

R = TypeVar("R", VmRow, TemplateRow, AgentRow, SnapshotRow)
_READ: dict[str, Callable[[str], object]] = {
    "created_at": datetime.fromisoformat,
    "updated_at": datetime.fromisoformat,
    "name": str,
    "number": int,
}


class Part(Protocol):
    """Which part of a list is wanted, in which order."""

    @property
    def ask(self) -> PageAsk:
        """How many, and from where."""
        ...

    @property
    def sort(self) -> str:
        """The name of a column, with `-` for descending."""
        ...


@dataclass(frozen=True, slots=True)
class Listing(Generic[R]):
    """How the rows of one table are listed: by which columns.

    `reads`: what is read of each, where that is quicker than whole rows, of which the session keeps track.
    """

    row: type[R]
    columns: Mapping[str, SQLColumnExpression[Any]]
    reads: Select[Any] | None = None

    async def part(
        self, session: AsyncSession, which: ColumnElement[bool], wanted: Part
    ) -> tuple[Sequence[Any], Position | None, int]:
        """Return the rows of a part, the position after them if there are more, and how many there are in all."""
        ask, name = wanted.ask, wanted.sort.removeprefix("-")
        column, down = self.columns[name], wanted.sort.startswith("-")
        order = (column.desc(), self.row.id.desc()) if down else (column, self.row.id)
        base: Select[Any] = select(self.row) if self.reads is None else self.reads
        count = select(func.count()).select_from(self.row).where(which)
        query = base.add_columns(count.scalar_subquery()).where(which).order_by(*order)
        if ask.after:
            place, here = tuple_(column, self.row.id), _here(name, ask.after)
            query = query.where(place < here if down else place > here)
        found = await session.execute(query.limit(ask.limit + 1).offset(ask.offset))
        read = found.all()  # each row ends with how many there are in all
        total = read[0][-1] if read else await session.scalar(count)
        items = [row[0] for row in read] if self.reads is None else read
        rows, after = cut(items, ask.limit, lambda row: _position(row, name))
        return rows, after, total or 0


def _position(row: Any, name: str) -> Position:  # noqa: ANN401 - a whole row, or one of columns
    value = getattr(row, name)
    return (value.isoformat() if isinstance(value, datetime) else str(value), str(row.id))


def _here(name: str, after: Position) -> Any:  # noqa: ANN401 - SQLAlchemy's tuples are untyped
    value, row_id = after
    return tuple_(literal(_READ[name](value)), literal(UUID(row_id)))
