"""Managing flags."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from chassis.pages import PageAsk, Slice
from flags.domain.edits import must_be_free
from flags.domain.errors import FlagInUse, RevisionNotFound
from flags.domain.flag import SERVED, Change, Draft, Flag, made, told
from flags.domain.listing import Wanted
from flags.domain.place import Place
from flags.domain.revision import reverted
from flags.domain.uses import Use
from flags.ports import OpenWork
from flags.usecases.changing import (
    Aim,
    Changing,
    Move,
    flag_fact,
    revision_of,
    tell_switched,
    telling,
)
from flags.usecases.checking import allowed, check, must_serve_none, named

__all__ = ["Aim", "Flags"]


@dataclass(frozen=True, slots=True)
class Flags:
    """Everything one can do to flags."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    @property
    def changing(self) -> Changing:
        """The steps that every change takes."""
        return Changing(self.now, self.new_id)

    async def create(self, caller: Caller, place: Place, draft: Draft) -> Flag:
        """Make a flag, owned by the caller and disabled everywhere."""
        caller.must("flag:create", project=place.project)
        async with self.work() as work:
            project = await self.changing.project(work, place, "changed")
            flag = made(draft, self.new_id(), project, caller.owner, self.now())
            await check(work, project, flag, flag.switches)
            await work.flags.add(project, flag)
            fact = flag_fact(caller, "flag.created", flag, (None, told(flag)))
            await work.history.add(revision_of(flag, fact))
            await work.projects.bump(project, flag.switches)
            work.record(fact)
        return flag

    async def get(self, caller: Caller, place: Place, flag: str) -> Flag:
        """Return one flag, by id or key."""
        caller.must_for_some("flag:read")
        async with self.work() as work:
            project = await self.changing.project(work, place)
            return allowed(caller, "flag:read", await work.flags.get(project, flag), flag)

    async def page(self, caller: Caller, place: Place, wanted: Wanted, ask: PageAsk) -> Slice[Flag]:
        """List flags of a project; to whom may not read them all, their own."""
        own = caller.must_or_own("flag:read", project=place.project)
        if own and wanted.owner_id not in (None, own):
            return Slice(items=[], total=0)
        async with self.work() as work:
            project = await self.changing.project(work, place)
            return await work.flags.page(
                project, replace(wanted, owner_id=own or wanted.owner_id), ask
            )

    async def update(self, caller: Caller, aim: Aim, change: Change) -> Flag:
        """Change a flag's fields, and what its switch in one environment serves."""
        caller.must_for_some("flag:update")

        def move(flag: Flag, now: datetime) -> Flag:
            return flag.changed(aim.place.environment, now, change)

        async with self.work() as work:
            return await self.changing.move(
                work, caller, aim, ("flag:update", move), telling("flag.updated")
            )

    async def revert(self, caller: Caller, aim: Aim, number: int) -> Flag:
        """Have a flag as one of its revisions had it, in every environment; that is a revision of its own."""
        caller.must_for_some("flag:update")
        aim = replace(aim, reason=aim.reason or f"as revision {number}")
        async with self.work() as work:
            _, flag = await self.changing.found(work, caller, "flag:update", aim)
            then = await work.history.get(flag, number)
            if then is None:
                raise RevisionNotFound(f"flag {flag.key!r} has no revision {number}")
            document = then.document
            return await self.changing.move(
                work,
                caller,
                aim,
                ("flag:update", lambda flag, now: reverted(flag, document, now)),
                telling("flag.reverted"),
            )

    async def used(self, caller: Caller, place: Place, flag: str) -> Sequence[Use]:
        """Return which flags and segments look at what a flag serves."""
        caller.must_for_some("flag:read")
        async with self.work() as work:
            project = await self.changing.project(work, place)
            found = allowed(caller, "flag:read", await work.flags.get(project, flag), flag)
            return await work.uses.of_flag(project, found.key)

    async def delete(self, caller: Caller, aim: Aim) -> None:
        """Forget a flag; clients fall back to what their code says.

        While it is served it stays where changes want approvals.
        """
        caller.must_for_some("flag:delete")
        async with self.work() as work:
            project, flag = await self.changing.held(work, caller, "flag:delete", aim)
            if flag.lifecycle in SERVED:
                must_be_free(project, flag.key, frozenset(flag.switches))
            if users := await work.uses.of_flag(project, flag.key):
                raise FlagInUse(
                    f"flag {flag.key!r} is asked for by {named(users)}: change those first"
                )
            await must_serve_none(work, flag, ())
            await work.flags.remove(flag)
            await work.projects.bump(project, flag.switches)
            work.record(flag_fact(caller, "flag.deleted", flag, (told(flag), None), aim.reason))

    async def toggle(self, caller: Caller, aim: Aim) -> Flag:
        """Switch a flag over in one environment."""
        caller.must_for_some("flag:toggle")
        return await self._switch(
            caller, aim, lambda flag, now: flag.toggled(aim.place.environment, now)
        )

    async def enable(self, caller: Caller, aim: Aim) -> Flag:
        """Have a flag enabled in one environment; if it is so already, nothing has happened."""
        caller.must_for_some("flag:toggle")
        return await self._switch(
            caller, aim, lambda flag, now: flag.set_to(aim.place.environment, now, enabled=True)
        )

    async def disable(self, caller: Caller, aim: Aim) -> Flag:
        """Have a flag disabled in one environment; if it is so already, nothing has happened."""
        caller.must_for_some("flag:toggle")
        return await self._switch(
            caller, aim, lambda flag, now: flag.set_to(aim.place.environment, now, enabled=False)
        )

    async def _switch(self, caller: Caller, aim: Aim, move: Move) -> Flag:
        async with self.work() as work:
            return await self.changing.move(work, caller, aim, ("flag:toggle", move), tell_switched)
