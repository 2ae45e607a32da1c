"""Segments, in REST."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response
from pydantic import Field, StringConstraints

from chassis.errors import BadRequest
from chassis.http import (
    TAGGED,
    Asking,
    Body,
    Expected,
    Page,
    Paging,
    View,
    doors,
    etag,
    given,
    needs_somewhere,
    tagged,
)
from flags.api.past_flags import UseList, UseView
from flags.api.rule_views import Condition
from flags.api.words import NO_NUL, NO_PLACE, PATH_KEY, Description, Name, ProjectQuery, Text
from flags.domain.context import UNIT
from flags.domain.place import place_of
from flags.domain.segment import Entry, Moves, Segment
from flags.usecases.segments import SegmentAim, Segments

router = doors("/api/v1/segments", "segments")
Uses = Annotated[Segments, given(Segments)]
SegmentPath = Annotated[
    str, Path(pattern=PATH_KEY, max_length=100, description="The segment's id or key.")
]
SegmentKey = Annotated[str, StringConstraints(pattern=PATH_KEY, max_length=100)]
AttributeName = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=NO_NUL)]
Kind = Literal["user", "organization", "device"]
Member = Annotated[str, StringConstraints(min_length=1, max_length=1000, pattern=NO_NUL)]
Ids = Annotated[list[Member], Field(max_length=100_000)]


MOST_AT_ONCE = 10_000  # ids that are given whole


class SegmentBody(Body):
    """A segment to be made: `{key, name}` has nobody in it yet."""

    key: SegmentKey
    name: Name
    description: Description = ""
    attribute: AttributeName = UNIT
    kind: Kind = "user"
    when: Condition | None = None


class SegmentPatch(Body):
    """What is to change; what is absent stays. `when: null` takes the condition away."""

    name: Name = Field(default_factory=str)
    description: Description = Field(default_factory=str)
    attribute: AttributeName = UNIT
    kind: Kind = "user"
    when: Condition | None = None


class MembersBody(Body):
    """Ids to be listed, or taken off both lists; as many requests as it takes for 100,000."""

    include: Ids = Field(default_factory=list[str])
    exclude: Ids = Field(default_factory=list[str])
    remove: Ids = Field(default_factory=list[str])


class SegmentView(View):
    """A segment as clients see it; `included` and `excluded` say how many are listed."""

    id: UUID
    key: str
    name: str
    description: str
    attribute: str
    kind: str
    when: dict[str, Any] | None
    included: int
    excluded: int
    version: int
    created_at: datetime
    updated_at: datetime


class SegmentPage(Page[SegmentView]):
    """A page of segments."""


class MembersView(View):
    """Who is listed in a segment, in order; of a page, where the next one begins: first come all who are excluded."""

    included: list[str]
    excluded: list[str]
    total: int | None = None
    page: int | None = None
    limit: int | None = None
    has_more: bool | None = None
    next_cursor: str | None = None


async def _project(caller: Asking, project: ProjectQuery = None) -> str:
    return place_of(caller, project, None).project


Where = Annotated[str, Depends(_project)]


async def _aim(segment: SegmentPath, where: Where, version: Expected) -> SegmentAim:
    return SegmentAim(segment=segment, project=where, version=version)


Aimed = Annotated[SegmentAim, Depends(_aim)]


@router.get(
    "",
    response_model=SegmentPage,
    response_model_exclude_unset=True,
    **needs_somewhere("segment:read", **NO_PLACE),
)
async def list_segments(
    caller: Asking,
    where: Where,
    pager: Paging,
    segments: Uses,
    search: Annotated[Text | None, Query()] = None,
) -> dict[str, Any]:
    """List the segments of a project, by key."""
    part = await segments.page(caller, where, search, pager.ask)
    return pager.render(part, SegmentView.model_validate)


@router.post(
    "", response_model=SegmentView, status_code=201, **needs_somewhere("segment:create", **NO_PLACE)
)
async def create_segment(
    body: SegmentBody, caller: Asking, where: Where, segments: Uses, response: Response
) -> Segment:
    """Make a segment."""
    segment = await segments.create(caller, where, body.model_dump())
    response.headers["location"] = f"{router.prefix}/{segment.id}"
    response.headers["etag"] = etag(segment.version)
    return segment


@router.get(
    "/{segment}", response_model=SegmentView, responses=TAGGED, **needs_somewhere("segment:read")
)
async def get_segment(
    aim: Aimed, caller: Asking, segments: Uses, request: Request, response: Response
) -> Segment | Response:
    """Return one segment."""
    found = await segments.get(caller, aim)
    if tagged(response, request, found.version):
        return Response(status_code=304, headers=dict(response.headers))
    return found


@router.patch("/{segment}", response_model=SegmentView, **needs_somewhere("segment:update"))
async def update_segment(
    body: SegmentPatch, caller: Asking, aim: Aimed, segments: Uses, response: Response
) -> Segment:
    """Change a segment; its lists are changed under `/members`."""
    segment = await segments.update(caller, aim, body.model_dump(exclude_unset=True))
    response.headers["etag"] = etag(segment.version)
    return segment


@router.delete("/{segment}", status_code=204, **needs_somewhere("segment:delete"))
async def delete_segment(caller: Asking, aim: Aimed, segments: Uses) -> None:
    """Forget a segment that nobody asks for."""
    await segments.delete(caller, aim)


@router.get(
    "/{segment}/members",
    response_model=MembersView,
    response_model_exclude_unset=True,
    **needs_somewhere("segment:read"),
)
async def get_members(
    aim: Aimed, caller: Asking, segments: Uses, pager: Paging, request: Request
) -> dict[str, Any]:
    """Return who is listed in a segment: all of up to 10,000 ids; with `limit`, `page` or `cursor` a part of them."""
    if request.query_params.keys() & {"limit", "page", "cursor"}:
        part = await segments.entries(caller, aim, pager.ask)
        return _lists(part.items) | _without_items(pager.render(part, str))
    every = (await segments.members(caller, aim)).entries()
    if len(every) > MOST_AT_ONCE:
        said = (
            f"{len(every)} ids are too many at once: ask for pages with ?limit=, or for the export"
        )
        raise BadRequest(said, code="pagination_required")
    return _lists(every)


@router.post("/{segment}/members", response_model=SegmentView, **needs_somewhere("segment:update"))
async def move_members(
    body: MembersBody, caller: Asking, aim: Aimed, segments: Uses, response: Response
) -> Segment:
    """Put ids on the lists of a segment, or take them off."""
    moves = Moves(
        include=tuple(body.include), exclude=tuple(body.exclude), remove=tuple(body.remove)
    )
    segment = await segments.move(caller, aim, moves)
    response.headers["etag"] = etag(segment.version)
    return segment


@router.get("/{segment}/used-by", response_model=UseList, **needs_somewhere("segment:read"))
async def list_users_of_segment(aim: Aimed, caller: Asking, segments: Uses) -> UseList:
    """List the flags and segments that ask for a segment."""
    found = await segments.used(caller, aim)
    return UseList(items=[UseView.model_validate(use) for use in found])


def _lists(entries: Sequence[Entry]) -> dict[str, Any]:
    names = ("included", "excluded")
    return {name: [entry.id for entry in entries if entry.list == name] for name in names}


def _without_items(said: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name != "items"}
