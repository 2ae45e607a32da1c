"""Scheduled changes and the kill switch, in REST."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Request, Response
from pydantic import Field

from chassis.http import (
    TAGGED,
    Asking,
    Body,
    Expected,
    Id,
    Instant,
    Page,
    Paging,
    View,
    doors,
    etag,
    given,
    needs_somewhere,
    tagged,
)
from flags.api.feature_flags import Aimed, FlagPath, Where, switched
from flags.api.flag_views import FlagView, ReasonBody, StatusEdit
from flags.api.words import Reason
from flags.domain.schedule import Schedule
from flags.usecases.changing import Aim
from flags.usecases.emergency import Emergency
from flags.usecases.schedules import Asked, Schedules

router = doors("/api/v1/feature-flags", "flags")
Planned = Annotated[Schedules, given(Schedules)]
Stop = Annotated[Emergency, given(Emergency)]
Named = tuple[Aim, UUID]


async def a_schedule(flag: FlagPath, schedule: Annotated[Id, Path()], where: Where) -> Named:
    """Return which scheduled change of which flag a request means."""
    return Aim(flag=flag, place=where), schedule


TheSchedule = Annotated[Named, Depends(a_schedule)]


class AuthorView(View):
    """Who asked for it."""

    type: str
    id: str
    name: str


class ScheduleBody(Body):
    """What is to be different from when on, and why. It is made in the name of whoever sends this."""

    at: Instant
    change: StatusEdit
    reason: Reason = ""


class ScheduleView(View):
    """A scheduled change: `pending`, `done` (it led to version `made`), `failed` (`trouble`: why) or `cancelled`."""

    id: UUID
    flag: str
    environment: str
    at: datetime
    change: dict[str, Any]
    reason: str
    author: AuthorView
    status: str
    made: int | None = None
    trouble: str = ""
    change_request: UUID | None = None
    version: int
    created_at: datetime
    updated_at: datetime


class SchedulePage(Page[ScheduleView]):
    """A page of scheduled changes."""


# --- scheduled changes --------------------------------------------------------------------------------------------


@router.get(
    "/{flag}/schedules",
    response_model=SchedulePage,
    response_model_exclude_unset=True,
    **needs_somewhere("flag:read"),
)
async def list_schedules(
    flag: FlagPath, caller: Asking, where: Where, planned: Planned, pager: Paging
) -> dict[str, Any]:
    """List a flag's scheduled changes in one environment, the newest first, also those that are over."""
    part = await planned.page(caller, Aim(flag=flag, place=where), pager.ask)
    return pager.render(part, schedule_view)


@router.post(
    "/{flag}/schedules",
    response_model=ScheduleView,
    status_code=201,
    **needs_somewhere("flag:update"),
)
async def create_schedule(
    body: ScheduleBody, caller: Asking, aim: Aimed, planned: Planned, response: Response
) -> ScheduleView:
    """Have a flag changed at a time. What cannot be done is refused now; what you may do is looked at again then."""
    edit = body.change.model_dump(exclude_unset=True)
    aim = replace(aim, reason=body.reason)
    made = await planned.create(caller, aim, Asked(at=body.at, edit=edit))
    response.headers["location"] = f"{router.prefix}/{made.spot.flag_id}/schedules/{made.id}"
    response.headers["etag"] = etag(made.version)
    return schedule_view(made)


@router.get(
    "/{flag}/schedules/{schedule}",
    response_model=ScheduleView,
    responses=TAGGED,
    **needs_somewhere("flag:read"),
)
async def get_schedule(
    which: TheSchedule,
    caller: Asking,
    planned: Planned,
    request: Request,
    response: Response,
) -> ScheduleView | Response:
    """Return one scheduled change."""
    found = await planned.get(caller, *which)
    if tagged(response, request, found.version):
        return Response(status_code=304, headers=dict(response.headers))
    return schedule_view(found)


@router.post(
    "/{flag}/schedules/{schedule}/cancel",
    response_model=ScheduleView,
    **needs_somewhere("flag:update"),
)
async def cancel_schedule(
    which: TheSchedule,
    caller: Asking,
    planned: Planned,
    version: Expected,
    response: Response,
    body: ReasonBody | None = None,
) -> ScheduleView:
    """Call a scheduled change off, before it is made."""
    after = await planned.cancel(caller, *because(which, body, version))
    response.headers["etag"] = etag(after.version)
    return schedule_view(after)


# --- at once ------------------------------------------------------------------------------------------------------


class KillBody(Body):
    """Why the flag has to go off at once."""

    reason: Annotated[Reason, Field(min_length=1)]


@router.post("/{flag}/kill", response_model=FlagView, **needs_somewhere("flag:toggle"))
async def kill_flag(
    body: KillBody, caller: Asking, aim: Aimed, stop: Stop, response: Response
) -> FlagView:
    """Switch a flag off in one environment at once, also where changes want approval; the log says that it was killed.

    Its rollout is paused, and what is scheduled there is cancelled, so that nothing switches it on again.
    """
    killed = await stop.kill(caller, replace(aim, reason=body.reason))
    return switched(killed, aim, response)


def because(which: Named, body: ReasonBody | None, version: int | None) -> Named:
    """Return what a request means, with its reason and the version (of the plan, not the flag) that it demands."""
    aim, plan = which
    return replace(aim, reason=body.reason if body else "", version=version), plan


def schedule_view(found: Schedule) -> ScheduleView:
    """Return a scheduled change as clients see it."""
    same = ("id", "at", "reason", "made", "trouble", "version", "created_at", "updated_at")
    return ScheduleView(
        **{name: getattr(found, name) for name in same},
        flag=found.spot.flag,
        environment=found.spot.environment,
        change=dict(found.edit),
        author=AuthorView.model_validate(found.author),
        status=found.status.value,
        change_request=found.approved,
    )
