"""Sessions over REST: one's own, and with `session:*` those of others."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request, Response

from chassis.caller import Caller
from chassis.http import TAGGED, Asking, Expected, Page, Paging, View, anybody, doors, given
from iam.api.tags import shown
from iam.domain.device import device
from iam.domain.session import Session
from iam.usecases.sessions import Sessions

router = doors("/api/v1/sessions", "sessions")
_OF_NOBODY: dict[str, Any] = {"x-errors": [404]}  # `user_id` may name nobody
Uses = Annotated[Sessions, given(Sessions)]
SessionId = Annotated[UUID, Path(description="The session's UUID")]
Whose = Annotated[
    UUID | None, Query(description="Whose sessions, by the user's UUID; your own without it")
]
KeepCurrent = Annotated[bool, Query(description="Stay logged in here")]


class SessionView(View):
    """Where and since when somebody is logged in.

    `amr` says how they proved who they are (RFC 8176), `auth_time` when; `device` is what the user agent claims to be;
    `current` marks the session that asks.
    """

    id: UUID
    user_id: UUID
    current: bool
    device: str
    ip: str
    user_agent: str
    amr: list[str]
    auth_time: datetime
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class SessionPage(Page[SessionView]):
    """A part of a list of sessions: numbered (`total`, `page`, `limit`) or by cursor (`has_more`)."""


def view(caller: Caller, session: Session) -> SessionView:
    """Return a session as `caller` sees it."""
    return SessionView(
        id=session.id,
        user_id=session.user,
        current=str(session.id) == caller.credential,
        device=device(session.user_agent),
        ip=session.ip,
        user_agent=session.user_agent,
        amr=list(session.amr),
        auth_time=session.created_at,
        created_at=session.created_at,
        last_seen_at=session.seen_at,
        expires_at=session.expires_at,
    )


@router.get(
    "", response_model=SessionPage, response_model_exclude_unset=True, **anybody(**_OF_NOBODY)
)
async def list_sessions(
    caller: Asking, sessions: Uses, pager: Paging, user_id: Whose = None
) -> dict[str, Any]:
    """List where you are logged in, the newest first; with `session:read`, where another user is."""
    part = await sessions.list(caller, user_id, pager.ask)
    return pager.render(part, lambda session: view(caller, session))


@router.get("/{session_id}", response_model=SessionView, responses=TAGGED, **anybody())
async def get(
    session_id: SessionId, caller: Asking, sessions: Uses, request: Request, response: Response
) -> SessionView | Response:
    """Return one of your sessions; with `session:read`, one of your tenant. Each refresh makes it another version."""
    session = await sessions.get(caller, session_id)
    return shown(request, response, session.version, view(caller, session))


@router.delete("", status_code=204, **anybody(**_OF_NOBODY))
async def end_all(
    caller: Asking, sessions: Uses, user_id: Whose = None, keep_current: KeepCurrent = False
) -> None:
    """Log out everywhere, here too unless `keep_current`; with `session:delete`, log another user out."""
    await sessions.end_all(caller, user_id, keep_current=keep_current)


@router.delete("/{session_id}", status_code=204, **anybody())
async def end(session_id: SessionId, caller: Asking, sessions: Uses, expected: Expected) -> None:
    """Log out in one place; with `session:delete`, end any session of your tenant."""
    await sessions.end(caller, session_id, expected)
