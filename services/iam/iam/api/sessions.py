"""One's own sessions over REST."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path

from chassis.caller import Caller
from chassis.http import Asking, Page, Paging, View, anybody, doors, given
from iam.domain.session import Session
from iam.usecases.sessions import Sessions

router = doors("/api/v1/sessions", "sessions")
Uses = Annotated[Sessions, given(Sessions)]
SessionId = Annotated[UUID, Path(description="The session's UUID")]


class SessionView(View):
    """Where and since when you are logged in. `amr` says how you proved who you are (RFC 8176)."""

    id: UUID
    current: bool
    ip: str
    user_agent: str
    amr: list[str]
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


class SessionPage(Page[SessionView]):
    """A part of a list of sessions: numbered (`total`, `page`, `limit`) or by cursor (`has_more`)."""


def view(caller: Caller, session: Session) -> SessionView:
    """Return a session as its owner sees it."""
    return SessionView(
        id=session.id,
        current=str(session.id) == caller.credential,
        ip=session.ip,
        user_agent=session.user_agent,
        amr=list(session.amr),
        created_at=session.created_at,
        last_seen_at=session.seen_at,
        expires_at=session.expires_at,
    )


@router.get("", response_model=SessionPage, response_model_exclude_unset=True, **anybody())
async def list_sessions(caller: Asking, sessions: Uses, pager: Paging) -> dict[str, Any]:
    """List where you are logged in, the newest first."""
    part = await sessions.list(caller, pager.ask)
    return pager.render(part, lambda session: view(caller, session))


@router.get("/{session_id}", **anybody())
async def get(session_id: SessionId, caller: Asking, sessions: Uses) -> SessionView:
    """Return one of your sessions."""
    return view(caller, await sessions.get(caller, session_id))


@router.delete("", status_code=204, **anybody())
async def end_all(caller: Asking, sessions: Uses) -> None:
    """Log out everywhere, here too."""
    await sessions.end_all(caller)


@router.delete("/{session_id}", status_code=204, **anybody())
async def end(session_id: SessionId, caller: Asking, sessions: Uses) -> None:
    """Log out in one place."""
    await sessions.end(caller, session_id)
