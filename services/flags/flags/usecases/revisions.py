"""Reading what a flag was."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from chassis.pages import PageAsk, Slice
from flags.domain.errors import RevisionNotFound
from flags.domain.flag import Flag
from flags.domain.place import Place
from flags.domain.revision import Difference, Revision, differences
from flags.ports import OpenWork, Work
from flags.usecases.checking import allowed
from flags.usecases.homes import home


@dataclass(frozen=True, slots=True)
class Revisions:
    """Everything one can ask about a flag's past."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def page(self, caller: Caller, place: Place, flag: str, ask: PageAsk) -> Slice[Revision]:
        """List a flag's revisions, newest first."""
        caller.must_for_some("flag:read")
        async with self.work() as work:
            return await work.history.page(await self._flag(work, caller, place, flag), ask)

    async def get(self, caller: Caller, place: Place, flag: str, number: int) -> Revision:
        """Return one revision of a flag."""
        caller.must_for_some("flag:read")
        async with self.work() as work:
            return await self._revision(work, await self._flag(work, caller, place, flag), number)

    async def diff(
        self, caller: Caller, place: Place, flag: str, numbers: tuple[int, int]
    ) -> Sequence[Difference]:
        """Return where two revisions of a flag differ, from the first to the second."""
        caller.must_for_some("flag:read")
        async with self.work() as work:
            found = await self._flag(work, caller, place, flag)
            before, after = [await self._revision(work, found, number) for number in numbers]
        return list(differences(before.document, after.document))

    async def _flag(self, work: Work, caller: Caller, place: Place, name: str) -> Flag:
        project = await home(work, place.tenant, place.project, self.now(), self.new_id)
        project.environment(place.environment)
        return allowed(caller, "flag:read", await work.flags.get(project, name), name)

    async def _revision(self, work: Work, flag: Flag, number: int) -> Revision:
        found = await work.history.get(flag, number)
        if found is None:
            raise RevisionNotFound(f"flag {flag.key!r} has no revision {number}")
        return found
