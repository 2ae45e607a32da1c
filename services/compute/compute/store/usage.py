"""The ledger in PostgreSQL. Appending takes no lock that two appenders share, so they never wait for each other."""

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    String,
    and_,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from chassis.pages import Slice, cut
from compute.domain.usage import Kind, Line, Record, Totals
from compute.ports.ledger import UsageWanted
from compute.store.ledger_tables import UsageRow

_COLUMNS = tuple(field.name for field in fields(Record))
_SUMS = tuple(field.name for field in fields(Totals))
_PART = 500  # rows of one INSERT: fifteen parameters each, of which the wire takes 32,767


class SqlLedger:
    """The ledger over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def enter(self, records: Sequence[Record]) -> Sequence[Record]:
        """Append what is not there yet; return for each, in order, the record that the ledger has under its key.

        All who append go through the keys in one order, so that no two can wait for each other.
        """
        ordered = sorted({r.key: r for r in records}.values(), key=lambda r: r.key)
        for start in range(0, len(ordered), _PART):
            rows = [_row_of(r) for r in ordered[start : start + _PART]]
            await self._session.execute(insert(UsageRow).values(rows).on_conflict_do_nothing())
        found = await self._under(records)
        return [found[r.tenant, *r.key] for r in records]

    async def _under(self, records: Sequence[Record]) -> dict[tuple[UUID, str, str], Record]:
        if not records:
            return {}
        columns = (UsageRow.tenant, UsageRow.source, UsageRow.event_id)
        keys = [(r.tenant, *r.key) for r in records]
        rows = await self._session.scalars(select(UsageRow).where(tuple_(*columns).in_(keys)))
        return {(row.tenant, row.source, row.event_id): _record_of(row) for row in rows}

    async def take(self, tenant: UUID, ids: Collection[UUID]) -> Sequence[Record]:
        """Return these records with all their corrections; nobody else corrects them until the work ends."""
        ours = UsageRow.tenant == tenant
        first = select(UsageRow).where(ours, UsageRow.id.in_(ids)).order_by(UsageRow.id)
        firsts = (await self._session.scalars(first.with_for_update())).all()
        more = select(UsageRow).where(ours, UsageRow.corrects.in_(ids))
        return [_record_of(row) for row in (*firsts, *await self._session.scalars(more))]

    async def list(self, tenant: UUID, wanted: UsageWanted) -> Slice[Record]:
        """Return a part of the records, the newest first."""
        which, ask = _which(tenant, wanted), wanted.ask
        total = await self._session.scalar(select(func.count()).select_from(UsageRow).where(which))
        place = tuple_(UsageRow.occurred_at, UsageRow.id)
        query = select(UsageRow).where(which)
        if ask.after:
            at, row_id = ask.after
            here = tuple_(literal(datetime.fromisoformat(at)), literal(UUID(row_id)))
            query = query.where(place < here)
        query = query.order_by(UsageRow.occurred_at.desc(), UsageRow.id.desc())
        rows = (await self._session.scalars(query.limit(ask.limit + 1).offset(ask.offset))).all()
        items, after = cut(rows, ask.limit, lambda r: (r.occurred_at.isoformat(), str(r.id)))
        return Slice(items=[_record_of(row) for row in items], next=after, total=total)

    async def summary(self, tenant: UUID, wanted: UsageWanted) -> tuple[Slice[Line], Totals]:
        """Return a part of the lines of a summary, and the totals of all of them, as of one moment.

        One statement: the lines and the line of all (the empty grouping set) see the same rows.
        """
        ask, lines = wanted.ask, _lines(tenant, wanted).subquery()
        place = [lines.c[name] for name in _PLACE]
        rank = func.row_number().over(order_by=(lines.c["whole"].desc(), *place))
        ranked = select(lines, rank.label("rank"), func.count().over().label("rows")).subquery()
        here = ranked.c["rank"] > ask.offset + 1
        if ask.after:
            after = tuple_(*(literal(part) for part in ask.after))
            here = tuple_(*(ranked.c[name] for name in _PLACE)) > after
        shown = select(ranked).where(or_(ranked.c["rank"] == 1, here)).order_by(ranked.c["rank"])
        # One more for the line of all, which is the first, and one to see whether there are more.
        rows = (await self._session.execute(shown.limit(ask.limit + 2))).mappings().all()
        whole = rows[0]
        found = [_line_of(row) for row in rows[1:]]
        items, further = cut(found, ask.limit, lambda line: line.place)
        return Slice(items=items, next=further, total=whole["rows"] - 1), _totals_of(whole)


_PLACE = ("at_text", "kind_text", "agent_text", "vm_text")


def _lines(tenant: UUID, wanted: UsageWanted) -> Any:  # noqa: ANN401 - SQLAlchemy's selects are generic
    """Return the summary as a query: its dimensions, its sums, and where each line stands."""
    dims = _dimensions(wanted)
    inner = (
        select(*(column.label(name) for name, column in dims.items()), *_measured())
        .where(_which(tenant, wanted))
        .subquery()
    )
    columns = [inner.c[name] for name in dims]
    texts = [_text(inner.c["at"], "at"), *(_text(inner.c[n], n) for n in ("kind", "agent", "vm"))]
    # `mark` is the same in all rows: it makes a grouping set that is never empty, also without dimensions.
    sets = func.grouping_sets(tuple_(inner.c["mark"], *columns), tuple_())
    whole = func.grouping(inner.c["mark"]).label("whole")
    return select(*columns, *texts, whole, *_summed(inner)).group_by(sets)


def _text(column: ColumnElement[Any], name: str) -> ColumnElement[str]:
    """Return a dimension as the domain writes it where it says in which order lines stand."""
    said = func.to_char(column, 'YYYY-MM-DD"T"HH24:MI:SS+00:00') if name == "at" else column
    return func.coalesce(cast(said, String), "").collate("C").label(f"{name}_text")


def _dimensions(wanted: UsageWanted) -> dict[str, Any]:
    day = func.date_trunc(wanted.period, UsageRow.occurred_at, "UTC")
    columns = {
        "at": ("period", day, DateTime(timezone=True)),
        "kind": ("kind", UsageRow.kind, UsageRow.kind.type),
        "agent": ("agent", UsageRow.agent_id, UsageRow.agent_id.type),
        "vm": ("vm", UsageRow.vm_id, UsageRow.vm_id.type),
    }
    return {
        name: column if dimension in wanted.by else cast(None, type_)
        for name, (dimension, column, type_) in columns.items()
    }


def _measured() -> list[Any]:
    first = UsageRow.corrects.is_(None)
    later = aliased(UsageRow)
    told = exists().where(later.corrects == UsageRow.id, later.token_count.is_not(None))
    priced = exists().where(later.corrects == UsageRow.id, later.cost_micros.is_not(None))
    machine = UsageRow.kind == Kind.VM_RUNNING.value
    return [
        literal(1).label("mark"),
        first.label("first"),
        and_(first, UsageRow.token_count.is_(None), ~machine, ~told).label("tokenless"),
        and_(first, UsageRow.cost_micros.is_(None), ~priced).label("priceless"),
        UsageRow.calls,
        UsageRow.seconds,
        UsageRow.token_count,
        UsageRow.cost_micros,
    ]


def _summed(inner: Any) -> list[ColumnElement[Any]]:  # noqa: ANN401
    rows = func.count()
    return [
        rows.filter(inner.c["first"]).label("records"),
        rows.filter(~inner.c["first"]).label("corrections"),
        func.coalesce(func.sum(inner.c["calls"]), 0).label("calls"),
        func.coalesce(func.sum(inner.c["seconds"]), 0).label("seconds"),
        func.sum(inner.c["token_count"]).label("token_count"),
        rows.filter(inner.c["tokenless"]).label("records_without_tokens"),
        func.sum(inner.c["cost_micros"]).label("cost_micros"),
        rows.filter(inner.c["priceless"]).label("records_without_cost"),
    ]


def _which(tenant: UUID, wanted: UsageWanted) -> ColumnElement[bool]:
    which = [
        UsageRow.tenant == tenant,
        UsageRow.occurred_at >= wanted.since,
        UsageRow.occurred_at < wanted.until,
    ]
    if wanted.kind is not None:
        which.append(UsageRow.kind == wanted.kind.value)
    if wanted.agent_id is not None:
        which.append(UsageRow.agent_id == wanted.agent_id)
    if wanted.vm_id is not None:
        which.append(UsageRow.vm_id == wanted.vm_id)
    return and_(*which)


def _row_of(record: Record) -> dict[str, Any]:
    return {name: getattr(record, name) for name in _COLUMNS} | {"kind": record.kind.value}


def _record_of(row: UsageRow) -> Record:
    return Record(**{n: getattr(row, n) for n in _COLUMNS if n != "kind"}, kind=Kind(row.kind))


def _line_of(row: Any) -> Line:  # noqa: ANN401 - a mapping of whatever was selected
    kind = Kind(row["kind"]) if row["kind"] is not None else None
    return Line(
        period=row["at"],
        kind=kind,
        agent_id=row["agent"],
        vm_id=row["vm"],
        totals=_totals_of(row),
    )


def _totals_of(row: Any) -> Totals:  # noqa: ANN401
    sums: dict[str, Any] = {n: None if row[n] is None else int(row[n]) for n in _SUMS}
    return Totals(**sums)
