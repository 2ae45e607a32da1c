"""What books have in common: finding a thing by id or key, and sorting a list that can be gone on with."""

from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, SQLColumnExpression, collate, literal, select, tuple_

from chassis.pages import Position
from experiments.store.tables import ExperimentRow, HoldoutRow, LayerRow, MetricRow

Row = TypeVar("Row", ExperimentRow, MetricRow, LayerRow, HoldoutRow)


def named(table: type[Row], tenant: UUID, name: str) -> Select[Row]:
    """Return the query for the one of a tenant with this id or key."""
    mine = select(table).where(table.tenant == tenant)
    try:
        return mine.where(table.id == UUID(name))
    except ValueError:
        return mine.where(table.key == name)


def ordered(table: type[Row], query: Select[Row], sort: str, after: Position | None) -> Select[Row]:
    """Return a query sorted by a field, downwards with a `-` before it, that begins after a position."""
    down, name = sort.startswith("-"), sort.removeprefix("-")
    column = _column(table, name)
    if after:
        timed = name.endswith("_at")
        value = datetime.fromisoformat(after[0]).astimezone(UTC) if timed else after[0]
        here, place = tuple_(literal(value), literal(UUID(after[1]))), tuple_(column, table.id)
        query = query.where(place < here if down else place > here)
    return query.order_by(*((column.desc(), table.id.desc()) if down else (column, table.id)))


def position(thing: Any, sort: str) -> Position:  # noqa: ANN401 - whatever has an id and the field
    """Return where a thing stands in a list sorted so."""
    value = getattr(thing, sort.removeprefix("-"))
    return (value.isoformat() if isinstance(value, datetime) else value, str(thing.id))


def _column(
    table: type[ExperimentRow | MetricRow | LayerRow | HoldoutRow], name: str
) -> SQLColumnExpression[Any]:
    """Return what a list is sorted by; texts by their bytes, whatever the database's language is."""
    columns: dict[str, SQLColumnExpression[Any]] = {
        "created_at": table.created_at,
        "updated_at": table.updated_at,
        "key": collate(table.key, "C"),
        "name": collate(table.name, "C"),
    }
    return columns[name]
