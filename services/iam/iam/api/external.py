"""Roles that come with outside groups, over REST: the table, and the one door through which groups arrive today."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Path, Request, Response
from pydantic import Field, StringConstraints

from chassis.http import TAGGED, Asking, Body, View, doors, etag, given, needs
from iam.api.assignments import GrantView
from iam.api.assignments import view as grant_view
from iam.api.fields import RoleName
from iam.api.tags import shown
from iam.domain.external import Line
from iam.domain.grants import Where
from iam.usecases.external import External, NewLine

router = doors("/api/v1", "roles")
Uses = Annotated[External, given(External)]
VERSION = 1  # a line is made and deleted, never changed
LineId = Annotated[UUID, Path(description="The line's UUID")]
UserId = Annotated[UUID, Path(description="The user's UUID")]
Idp = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Claim = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9:/._-]{0,127}$")]
Group = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,256}$")]
ScopeText = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class LineBody(Body):
    """A value of a claim, and the role that comes with it.

    With `rule` `union` all that match are held; of those with `highest` only the mightiest.
    """

    idp: Idp
    claim: Claim = "groups"
    value: Group
    role_id: RoleName
    scope: ScopeText = "tenant"
    rule: Literal["highest", "union"] = "union"


class LineView(View):
    """One line of the table."""

    id: UUID
    idp: str
    claim: str
    value: str
    role_id: str
    scope: str
    rule: str
    created_by: str
    created_at: datetime


class GroupsBody(Body):
    """All groups in which an identity provider says a user is now."""

    idp: Idp
    groups: Annotated[list[Group], Field(max_length=1000)]


def view(line: Line) -> LineView:
    """Return a line as clients see it."""
    return LineView(
        id=line.id,
        idp=line.idp,
        claim=line.claim,
        value=line.value,
        role_id=line.role,
        scope=str(line.where),
        rule=line.rule,
        created_by=line.created_by,
        created_at=line.created_at,
    )


@router.get("/external-roles", **needs("role:read"))
async def list_lines(caller: Asking, external: Uses) -> list[LineView]:
    """List which outside groups give which roles in your tenant."""
    return [view(line) for line in await external.list(caller)]


@router.post("/external-roles", status_code=201, **needs("role:assign_users"))
async def create(body: LineBody, caller: Asking, external: Uses, response: Response) -> LineView:
    """Let an outside group give a role. You can choose only roles whose permissions you hold there."""
    new = NewLine(
        idp=body.idp,
        claim=body.claim,
        value=body.value,
        role=body.role_id,
        where=Where.of(body.scope),
        rule=body.rule,
    )
    line = await external.create(caller, new)
    response.headers["location"] = f"/api/v1/external-roles/{line.id}"
    response.headers["etag"] = etag(VERSION)
    return view(line)


@router.get(
    "/external-roles/{line_id}",
    response_model=LineView,
    responses=TAGGED,
    **needs("role:read"),
)
async def get(
    line_id: LineId, caller: Asking, external: Uses, request: Request, response: Response
) -> LineView | Response:
    """Return one line. It never changes, so it has one version."""
    return shown(request, response, VERSION, view(await external.get(caller, line_id)))


@router.delete("/external-roles/{line_id}", status_code=204, **needs("role:assign_users"))
async def delete(line_id: LineId, caller: Asking, external: Uses) -> None:
    """Let an outside group give a role no more; who has it by that keeps it until they are synced again."""
    await external.delete(caller, line_id)


@router.post("/users/{user_id}/external-groups", **needs("role:assign_users"))
async def sync(
    user_id: UserId, body: GroupsBody, caller: Asking, external: Uses
) -> list[GrantView]:
    """Say in which groups of an identity provider a user is now: replaces all roles that came with it, no others."""
    claims = {"groups": body.groups}
    return [grant_view(g) for g in await external.sync(caller, user_id, body.idp, claims)]
