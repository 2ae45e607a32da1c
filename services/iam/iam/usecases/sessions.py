"""One's own sessions: see where one is logged in, and log out there."""

from dataclasses import dataclass
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor
from chassis.pages import PageAsk, Slice
from iam.domain.authority import Kind
from iam.domain.errors import SessionNotFound
from iam.domain.session import Session
from iam.ports import Means, OpenWork, Work
from iam.usecases.facts import session_fact


@dataclass(frozen=True, slots=True)
class Sessions:
    """The caller's own sessions; everybody may see and end these."""

    work: OpenWork
    means: Means

    async def list(self, caller: Caller, ask: PageAsk) -> Slice[Session]:
        """Return a part of the caller's live sessions, the newest first."""
        person = caller.must_be_person()
        async with self.work() as work:
            return await work.sessions.live(person, self.means.now(), ask)

    async def get(self, caller: Caller, session: UUID) -> Session:
        """Return one of the caller's live sessions."""
        person = caller.must_be_person()
        async with self.work() as work:
            return await self._own(work, person, session)

    async def end(self, caller: Caller, session: UUID) -> None:
        """End one of the caller's sessions everywhere."""
        person = caller.must_be_person()
        async with self.work() as work:
            found = await self._own(work, person, session, lock=True)
            await work.sessions.put(found.ended(self.means.now()))
            work.changed(Kind.SESSION, str(found.id))
            work.record(session_fact(Actor.of(caller), "ended", found))

    async def end_all(self, caller: Caller) -> None:
        """End every session of the caller, this one too."""
        person, actor = caller.must_be_person(), Actor.of(caller)
        async with self.work() as work:
            for session in await work.sessions.end_all(person, self.means.now()):
                work.changed(Kind.SESSION, str(session.id))
                work.record(session_fact(actor, "ended", session))

    async def _own(self, work: Work, person: UUID, session: UUID, *, lock: bool = False) -> Session:
        found = await work.sessions.get(session, lock=lock)
        if found is None or found.user != person or not found.live(self.means.now()):
            raise SessionNotFound("you have no such session")
        return found
