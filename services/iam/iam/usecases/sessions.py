"""One's own sessions: see where one is logged in, and log out there."""

from dataclasses import dataclass
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor
from chassis.pages import PageAsk, Slice
from iam.domain.authority import Kind
from iam.domain.errors import NotAPerson, SessionNotFound
from iam.domain.session import Session
from iam.ports import Means, OpenWork
from iam.usecases.facts import session_fact
from iam.usecases.logins import end


@dataclass(frozen=True, slots=True)
class Sessions:
    """The caller's own sessions; everybody may see and end these."""

    work: OpenWork
    means: Means

    async def list(self, caller: Caller, ask: PageAsk) -> Slice[Session]:
        """Return a part of the caller's live sessions, the newest first."""
        async with self.work() as work:
            return await work.sessions.live(_person(caller), self.means.now(), ask)

    async def get(self, caller: Caller, session: UUID) -> Session:
        """Return one of the caller's live sessions."""
        async with self.work() as work:
            return self._own(caller, await work.sessions.get(session))

    async def end(self, caller: Caller, session: UUID) -> None:
        """End one of the caller's sessions everywhere."""
        async with self.work() as work:
            found = self._own(caller, await work.sessions.get(session, lock=True))
            await end(work, found, Actor.of(caller), self.means.now())

    async def end_all(self, caller: Caller) -> None:
        """End every session of the caller, this one too."""
        user, actor = _person(caller), Actor.of(caller)
        async with self.work() as work:
            for id_ in await work.sessions.end_all(user, self.means.now()):
                work.changed(Kind.SESSION, str(id_))
                if session := await work.sessions.get(id_):
                    work.record(session_fact(actor, "ended", session))

    def _own(self, caller: Caller, session: Session | None) -> Session:
        mine = session is not None and session.user == _person(caller)
        if session is None or not mine or not session.live(self.means.now()):
            raise SessionNotFound("you have no such session")
        return session


def _person(caller: Caller) -> UUID:
    if caller.kind != "user":
        raise NotAPerson("an API key has no sessions")
    return UUID(caller.subject)
