"""How sessions and keys end in numbers: replicas hear of each, and each leaves a fact."""

from datetime import datetime
from uuid import UUID

from chassis.facts import Actor
from chassis.pages import PageAsk
from iam.domain.authority import Kind
from iam.ports import Work
from iam.usecases.facts import key_fact, session_fact

MOST_KEYS = 1000  # revoked at a time


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


async def revoke_keys(work: Work, actor: Actor, tenant: UUID, owner: UUID, now: datetime) -> None:
    """Revoke every API key of a tenant that somebody owns."""
    while keys := (await work.api_keys.list(tenant, owner, PageAsk(limit=MOST_KEYS))).items:
        for key in keys:
            await work.api_keys.put(key.revoked(now))
            for version in key.versions:
                work.changed(Kind.API_KEY, version.hash)
            work.record(key_fact(actor, "revoked", key, None))
