"""How sessions end in numbers: replicas hear of each, and each leaves a fact that says why."""

from datetime import datetime
from uuid import UUID

from chassis.facts import Actor
from iam.domain.authority import Kind
from iam.ports import Work
from iam.usecases.facts import session_fact


async def end_sessions(  # noqa: PLR0913 - the last two say which, and are named
    work: Work,
    actor: Actor,
    user: UUID,
    now: datetime,
    reason: str,
    but: UUID | None = None,
    *,
    tenant: UUID | None = None,
) -> None:
    """End every live session of a user, in one tenant only if it is named, perhaps all but one."""
    for session in await work.sessions.end_all(user, now, but, tenant=tenant):
        work.changed(Kind.SESSION, str(session.id))
        work.record(session_fact(actor, "ended", session, reason))
