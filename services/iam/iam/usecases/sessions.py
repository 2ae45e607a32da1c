"""Sessions: see where one is logged in and log out there; with `session:*` those of others, too."""

from dataclasses import dataclass
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor
from chassis.pages import PageAsk, Slice
from iam.domain.authority import Kind
from iam.domain.errors import SessionNotFound, SessionStale
from iam.domain.session import Session
from iam.ports import Means, OpenWork, Work
from iam.usecases.ending import end_sessions
from iam.usecases.facts import session_fact
from iam.usecases.giving import found


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions. Everybody may see and end their own; those of others need `session:read` and `session:delete`."""

    work: OpenWork
    means: Means

    async def list(self, caller: Caller, user: UUID | None, ask: PageAsk) -> Slice[Session]:
        """Return a part of a user's live sessions (None: the caller's own), the newest first."""
        caller.must_be_person_or("session:read")
        async with self.work() as work:
            whose = await self._whose(work, caller, user, "session:read")
            tenant = _seen_in(caller, whose)
            return await work.sessions.live(whose, self.means.now(), ask, tenant=tenant)

    async def get(self, caller: Caller, session: UUID) -> Session:
        """Return a live session."""
        caller.must_be_person_or("session:read")
        async with self.work() as work:
            return await self._found(work, caller, session, "session:read")

    async def end(self, caller: Caller, session: UUID, expected: int | None = None) -> None:
        """End a session everywhere."""
        caller.must_be_person_or("session:delete")
        async with self.work() as work:
            known = await self._found(work, caller, session, "session:delete", lock=True)
            if expected not in (None, known.version):
                raise SessionStale("the session was refreshed since; read it again")
            await work.sessions.put(known.ended(self.means.now()))
            work.changed(Kind.SESSION, str(known.id))
            work.record(session_fact(Actor.of(caller), "ended", known))

    async def end_all(self, caller: Caller, user: UUID | None, *, keep_current: bool) -> None:
        """End every session of a user (None: the caller), the present one too unless it shall be kept."""
        caller.must_be_person_or("session:delete")
        current = UUID(caller.credential) if keep_current and caller.kind == "user" else None
        async with self.work() as work:
            whose = await self._whose(work, caller, user, "session:delete")
            why = "all sessions were ended"
            now, tenant = self.means.now(), _seen_in(caller, whose)
            actor = Actor.of(caller)
            await end_sessions(work, actor, whose, now, why, current, tenant=tenant)

    async def _whose(self, work: Work, caller: Caller, user: UUID | None, permission: str) -> UUID:
        """Return whose sessions are meant; refuse before looking whether somebody else exists."""
        own = UUID(caller.account or caller.subject)
        if user is None or user == own:
            return own
        caller.must(permission)
        return (await found(work, caller, user)).id

    async def _found(
        self, work: Work, caller: Caller, session: UUID, permission: str, *, lock: bool = False
    ) -> Session:
        known = await work.sessions.get(session, lock=lock)
        if known and known.live(self.means.now()) and _within_reach(caller, known, permission):
            return known
        raise SessionNotFound("there is no such session")


def _seen_in(caller: Caller, user: UUID) -> UUID | None:
    """Return the tenant whose sessions of somebody else count: what a guest does at home concerns nobody here."""
    own = (caller.account or caller.subject) == str(user)
    return None if own or caller.platform else caller.tenant


def _within_reach(caller: Caller, session: Session, permission: str) -> bool:
    if str(session.user) == (caller.account or caller.subject):
        return True
    return caller.may(permission) and (caller.platform or session.tenant == caller.tenant)
