"""Change requests in REST."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

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
from flags.api.feature_flags import Where
from flags.api.flag_views import StatusEdit
from flags.api.rollouts import RampBody, RampView, ramp_of, ramp_view
from flags.api.schedules import AuthorView
from flags.api.words import NO_NUL, NO_PLACE, Name, ProjectQuery, Reason, Slug, Text
from flags.domain.change_request import ChangeRequest, Proposal, RequestStatus
from flags.domain.place import place_of
from flags.ports.requests import WantedRequests
from flags.usecases.changing import Aim
from flags.usecases.requests import ChangeRequests, RequestAim, Shown

router = doors("/api/v1/change-requests", "change-requests")
Uses = Annotated[ChangeRequests, given(ChangeRequests)]


class ProposalBody(Body):
    """What to make of a flag: a `change`, now or `at` a time, or a `rollout`, now or from then on."""

    change: StatusEdit | None = None
    rollout: RampBody | None = None
    at: Instant | None = None


class RequestBody(ProposalBody):
    """A change request to be made: for which flag (id or key), and what it is about in a sentence."""

    flag: Annotated[str, Field(min_length=1, max_length=100, pattern=NO_NUL)]
    title: Name


class RequestPatch(ProposalBody):
    """What is proposed instead. It replaces the whole proposal, and voids what was approved."""

    title: Name | None = None


class CommentBody(Body):
    """What is said to it."""

    comment: Reason = ""


class ApprovalBody(CommentBody):
    """An approval of the version that was read: an edit that was made meanwhile is not approved unseen."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1)]


class ApprovalView(View):
    """Who approved it, when, and what they said."""

    by: AuthorView
    at: datetime
    comment: str


class RequestView(View):
    """A change request: `open`, `rejected`, `cancelled` or `applied` (`made` says what it led to).

    `required` approvals let it be applied; `outdated`: the flag moved on since it was edited, so it has to be again.
    Lists leave these two out.
    """

    id: UUID
    flag: str
    environment: str
    title: str
    kind: str
    change: dict[str, Any] | None = None
    rollout: RampView | None = None
    at: datetime | None = None
    author: AuthorView
    status: str
    approvals: list[ApprovalView]
    required: int | None = None
    outdated: bool | None = None
    comment: str
    made: str
    version: int
    created_at: datetime
    updated_at: datetime


class RequestPage(Page[RequestView]):
    """A page of change requests, the newest first."""


class RequestQuery(BaseModel):
    """Which change requests."""

    status: Literal["open", "rejected", "cancelled", "applied"] | None = None
    flag: Text | None = None
    environment: Slug | None = None
    search: Text | None = None


async def which(
    caller: Asking,
    change_request: Annotated[Id, Path()],
    version: Expected,
    project: ProjectQuery = None,
) -> RequestAim:
    """Return which change request a request means."""
    place = place_of(caller, project, None)
    return RequestAim(request=change_request, project=place.project, version=version)


Which = Annotated[RequestAim, Depends(which)]


@router.get(
    "",
    response_model=RequestPage,
    response_model_exclude_unset=True,
    **needs_somewhere("flag:read", **NO_PLACE),
)
async def list_change_requests(
    caller: Asking,
    uses: Uses,
    query: Annotated[RequestQuery, Query()],
    pager: Paging,
    project: ProjectQuery = None,
) -> dict[str, Any]:
    """List change requests of a project, the newest first."""
    wanted = WantedRequests(
        status=None if query.status is None else RequestStatus(query.status),
        flag=query.flag,
        environment=query.environment,
        search=query.search,
    )
    home = place_of(caller, project, None).project
    return pager.render(await uses.page(caller, home, wanted, pager.ask), _listed)


@router.post(
    "",
    response_model=RequestView,
    status_code=201,
    **needs_somewhere("flag:update", **NO_PLACE),
)
async def create_change_request(
    body: RequestBody, caller: Asking, where: Where, uses: Uses, response: Response
) -> RequestView:
    """Propose a change of a flag in one environment, for others to approve. What cannot be made is refused now."""
    aim = Aim(flag=body.flag, place=where, reason=body.title)
    made = await uses.create(caller, aim, _proposal(body))
    response.headers["location"] = f"{router.prefix}/{made.request.id}"
    return _told(made, response)


@router.get(
    "/{change_request}",
    response_model=RequestView,
    responses=TAGGED,
    **needs_somewhere("flag:read"),
)
async def get_change_request(
    aim: Which, caller: Asking, uses: Uses, request: Request, response: Response
) -> RequestView | Response:
    """Return one change request."""
    found = await uses.get(caller, replace(aim, version=None))
    if tagged(response, request, found.request.version) and not found.outdated:
        return Response(status_code=304, headers=dict(response.headers))
    return _shown(found)


@router.patch("/{change_request}", response_model=RequestView, **needs_somewhere("flag:update"))
async def edit_change_request(
    body: RequestPatch, aim: Which, caller: Asking, uses: Uses, response: Response
) -> RequestView:
    """Propose something else, for the flag as it is now. Only its author can; what was approved is void."""
    return _told(await uses.edit(caller, aim, body.title, _proposal(body)), response)


@router.post(
    "/{change_request}/approve", response_model=RequestView, **needs_somewhere("flag:update")
)
async def approve_change_request(
    body: ApprovalBody, aim: Which, caller: Asking, uses: Uses, response: Response
) -> RequestView:
    """Approve a request of somebody else, in the version that you read."""
    aim = replace(aim, version=body.version, comment=body.comment)
    return _told(await uses.approve(caller, aim), response)


@router.post(
    "/{change_request}/reject", response_model=RequestView, **needs_somewhere("flag:update")
)
async def reject_change_request(
    aim: Which, caller: Asking, uses: Uses, response: Response, body: CommentBody | None = None
) -> RequestView:
    """Turn a request down. Its author can edit it, and then it is open again."""
    return _told(await uses.reject(caller, _saying(aim, body)), response)


@router.post(
    "/{change_request}/cancel", response_model=RequestView, **needs_somewhere("flag:update")
)
async def cancel_change_request(
    aim: Which, caller: Asking, uses: Uses, response: Response, body: CommentBody | None = None
) -> RequestView:
    """Withdraw a request for good."""
    return _told(await uses.cancel(caller, _saying(aim, body)), response)


@router.post(
    "/{change_request}/apply", response_model=RequestView, **needs_somewhere("flag:update")
)
async def apply_change_request(
    aim: Which, caller: Asking, uses: Uses, response: Response
) -> RequestView:
    """Make what was approved: change the flag, schedule the change, or start the rollout.

    409 if approvals are missing, or if the flag was changed since the request was last edited.
    """
    return _told(await uses.apply(caller, aim), response)


def _proposal(body: ProposalBody) -> Proposal:
    return Proposal(
        edit=None if body.change is None else body.change.model_dump(exclude_unset=True),
        ramp=None if body.rollout is None else ramp_of(body.rollout),
        at=body.at,
    )


def _saying(aim: RequestAim, body: CommentBody | None) -> RequestAim:
    return replace(aim, comment=body.comment) if body else aim


def _told(shown: Shown, response: Response) -> RequestView:
    response.headers["etag"] = etag(shown.request.version)
    return _shown(shown)


def _shown(shown: Shown) -> RequestView:
    view = _listed(shown.request)
    return view.model_copy(update={"required": shown.required, "outdated": shown.outdated})


def _listed(request: ChangeRequest) -> RequestView:
    same = ("id", "title", "made", "version", "created_at", "updated_at")
    proposal = request.proposal
    return RequestView(
        **{name: getattr(request, name) for name in same},
        flag=request.spot.flag,
        environment=request.spot.environment,
        kind=proposal.kind,
        change=None if proposal.edit is None else dict(proposal.edit),
        rollout=None if proposal.ramp is None else ramp_view(proposal.ramp),
        at=proposal.at,
        author=AuthorView.model_validate(request.author),
        status=request.status.value,
        approvals=[ApprovalView.model_validate(one) for one in request.approvals],
        comment=request.said,
    )
