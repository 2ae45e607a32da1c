"""Change requests in PostgreSQL."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import PageAsk, Slice, cut
from flags.domain.change_request import (
    Approval,
    ChangeRequest,
    Proposal,
    RequestStatus,
    ramp_document,
    ramp_of,
)
from flags.domain.edits import Author, Spot
from flags.domain.place import Project
from flags.ports.requests import WantedRequests
from flags.store.tables import ChangeRequestRow, FlagRow

_SAME = ("id", "title", "version", "created_at", "updated_at")


class SqlRequests:
    """The book of change requests over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, request: ChangeRequest) -> None:
        """Keep a new one."""
        await self._session.execute(insert(ChangeRequestRow).values(**_row(request)))

    async def put(self, request: ChangeRequest) -> None:
        """Keep one as it now stands."""
        await self._session.execute(
            update(ChangeRequestRow)
            .where(ChangeRequestRow.id == request.id)
            .values(**_row(request))
            .execution_options(synchronize_session=False)
        )

    async def get(
        self, project: Project, request: UUID, *, lock: bool = False
    ) -> ChangeRequest | None:
        """Return one of a project; with `lock`, nobody else changes it until the work ends."""
        query = (
            select(ChangeRequestRow, FlagRow.key)
            .join(FlagRow, FlagRow.id == ChangeRequestRow.flag_id)
            .where(ChangeRequestRow.project_id == project.id, ChangeRequestRow.id == request)
            .execution_options(populate_existing=True)
        )
        if lock:
            query = query.with_for_update(of=ChangeRequestRow)
        found = (await self._session.execute(query)).first()
        return None if found is None else _request(found[0], found[1], project)

    async def page(
        self, project: Project, wanted: WantedRequests, ask: PageAsk
    ) -> Slice[ChangeRequest]:
        """Return a part of those that are asked for, the newest first: ids grow with time."""
        which = _which(project, wanted)
        query = (
            select(ChangeRequestRow, FlagRow.key)
            .join(FlagRow, FlagRow.id == ChangeRequestRow.flag_id)
            .where(*which)
            .order_by(ChangeRequestRow.id.desc())
            .offset(ask.offset)
            .limit(ask.limit + 1)
        )
        if ask.after:
            query = query.where(ChangeRequestRow.id < UUID(ask.after[0]))
        rows = (await self._session.execute(query)).all()
        found = [_request(row, key, project) for row, key in rows]
        items, after = cut(found, ask.limit, lambda one: (str(one.id),))
        counted = select(func.count(ChangeRequestRow.id)).join(
            FlagRow, FlagRow.id == ChangeRequestRow.flag_id
        )
        total = await self._session.scalar(counted.where(*which))
        return Slice(items=items, next=after, total=total)


def _which(project: Project, wanted: WantedRequests) -> list[ColumnElement[bool]]:
    columns = (
        (ChangeRequestRow.status, wanted.status and wanted.status.value),
        (ChangeRequestRow.environment, wanted.environment),
        (FlagRow.key, wanted.flag),
        (FlagRow.owner_id, wanted.owner),
    )
    asked = [column == value for column, value in columns if value is not None]
    if wanted.search:
        said = (ChangeRequestRow.title, FlagRow.key)
        asked.append(or_(*(column.icontains(wanted.search, autoescape=True) for column in said)))
    return [ChangeRequestRow.project_id == project.id, *asked]


def _row(request: ChangeRequest) -> dict[str, object]:
    proposal = request.proposal
    said = {
        "edit": None if proposal.edit is None else dict(proposal.edit),
        "ramp": None if proposal.ramp is None else ramp_document(proposal.ramp),
        "at": proposal.at and proposal.at.isoformat(),
        "state": request.state,
        "touched": list(request.touched),
        "author": asdict(request.author),
        "approvals": [
            {"by": asdict(one.by), "at": one.at.isoformat(), "comment": one.comment}
            for one in request.approvals
        ],
        "said": request.said,
        "made": request.made,
    }
    return {
        **{name: getattr(request, name) for name in _SAME},
        "tenant": request.spot.tenant,
        "project_id": request.spot.project_id,
        "flag_id": request.spot.flag_id,
        "environment": request.spot.environment,
        "status": request.status.value,
        "said": said,
    }


def _request(row: ChangeRequestRow, key: str, project: Project) -> ChangeRequest:
    said = row.said
    spot = Spot(
        tenant=row.tenant,
        project_id=project.id,
        project=project.key,
        flag_id=row.flag_id,
        flag=key,
        environment=row.environment,
    )
    at = said["at"]
    return ChangeRequest(
        id=row.id,
        spot=spot,
        title=row.title,
        proposal=Proposal(
            edit=said["edit"],
            ramp=None if said["ramp"] is None else ramp_of(said["ramp"]),
            at=None if at is None else datetime.fromisoformat(at),
        ),
        state=said["state"],
        touched=tuple(said["touched"]),
        author=author_of(said["author"]),
        approvals=tuple(_approval(one) for one in said["approvals"]),
        status=RequestStatus(row.status),
        said=said["said"],
        made=said["made"],
        version=row.version,
        created_at=row.created_at.astimezone(UTC),
        updated_at=row.updated_at.astimezone(UTC),
    )


def _approval(said: dict[str, Any]) -> Approval:
    at = datetime.fromisoformat(said["at"])
    return Approval(by=author_of(said["by"]), at=at, comment=said["comment"])


def author_of(said: dict[str, Any]) -> Author:
    """Return the author that a document of ours says."""
    scope: list[str] | None = said["scope"]
    return Author(
        type=said["type"],
        id=said["id"],
        name=said["name"],
        account=said["account"],
        scope=None if scope is None else tuple(scope),
    )
