"""Reports, in PostgreSQL."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    SQLColumnExpression,
    and_,
    collate,
    delete,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import Slice, cut
from experiments.domain.report import Access, Report
from experiments.ports.reporting import WantedReports
from experiments.store.listing import position
from experiments.store.tables import ReportRow

R = ReportRow
_SAME = (
    "id", "tenant", "experiment_id", "experiment_key", "title", "note", "approved_by", "owner_id",
    "link", "result", "plan_hash", "version", "created_at", "updated_at",
)  # fmt: skip
_KEPT = (*_SAME, "access")
# What a list shows: a result may be large, and is none of it.
_LISTED = [getattr(R, name) for name in _KEPT if name != "result"]


class SqlReports:
    """The reports over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, tenant: UUID, report: UUID) -> Report | None:
        """Return a report; None if there is none."""
        return await self._one(_numbered(tenant, report))

    async def take(self, tenant: UUID, report: UUID) -> Report | None:
        """Return a report, locked until the work ends; None if there is none."""
        return await self._one(_numbered(tenant, report).with_for_update())

    async def linked(self, link: bytes) -> Report | None:
        """Return the report that is shared by the link with this hash, of whichever tenant."""
        return await self._one(select(R).where(R.link == link))

    async def page(self, tenant: UUID, wanted: WantedReports) -> Slice[Report]:
        """Return a part of a tenant's reports, without their results."""
        ask, which = wanted.ask, _which(tenant, wanted)
        total = await self._session.scalar(select(func.count()).select_from(R).where(which))
        down, column = wanted.sort.startswith("-"), _column(wanted.sort.removeprefix("-"))
        query, place = select(*_LISTED).where(which), tuple_(column, R.id)
        if ask.after:
            here = tuple_(literal(_said(wanted.sort, ask.after[0])), literal(UUID(ask.after[1])))
            query = query.where(place < here if down else place > here)
        order = query.order_by(*((column.desc(), R.id.desc()) if down else (column, R.id)))
        page = await self._session.execute(order.limit(ask.limit + 1).offset(ask.offset))
        items, after = cut(
            [_report({**row, "result": {}}) for row in page.mappings()],
            ask.limit,
            lambda report: position(report, wanted.sort),
        )
        return Slice(items=items, next=after, total=total)

    async def add(self, report: Report) -> None:
        """Keep a new report."""
        self._session.add(R(**_columns(report)))
        await self._session.flush()

    async def put(self, report: Report) -> None:
        """Keep a locked report as it is now."""
        change = update(R).where(R.id == report.id).values(**_columns(report))
        await self._session.execute(change.execution_options(synchronize_session=False))

    async def remove(self, report: Report) -> None:
        """Forget a locked report."""
        await self._session.execute(delete(R).where(R.id == report.id))

    async def _one(self, query: Select[ReportRow]) -> Report | None:
        row = await self._session.scalar(query.execution_options(populate_existing=True))
        return _report({name: getattr(row, name) for name in _KEPT}) if row else None


def _numbered(tenant: UUID, report: UUID) -> Select[ReportRow]:
    return select(R).where(R.tenant == tenant, R.id == report)


def _which(tenant: UUID, wanted: WantedReports) -> ColumnElement[bool]:
    shared = R.access != Access.PRIVATE.value
    approved = true() if wanted.all_shared else R.approved_by != ""
    seen = true() if wanted.everything else or_(R.owner_id == wanted.owner_id, shared & approved)
    of_it = true() if wanted.experiment is None else R.experiment_id == wanted.experiment
    said = or_(*(f.icontains(wanted.search, autoescape=True) for f in (R.title, R.note)))
    return and_(R.tenant == tenant, of_it, seen, said if wanted.search else true())


def _columns(report: Report) -> dict[str, Any]:
    return {name: getattr(report, name) for name in _SAME} | {"access": report.access.value}


def _report(row: Mapping[str, Any]) -> Report:
    return Report(**{name: row[name] for name in _SAME}, access=Access(row["access"]))


def _column(name: str) -> SQLColumnExpression[Any]:
    """Return what a list is sorted by; texts by their bytes."""
    return collate(R.title, "C") if name == "title" else getattr(R, name)


def _said(sort: str, text: str) -> datetime | str:
    return datetime.fromisoformat(text).astimezone(UTC) if sort.endswith("_at") else text
