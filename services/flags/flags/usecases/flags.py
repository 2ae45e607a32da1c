"""Managing flags."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor, Document, Fact, Target
from chassis.pages import PageAsk, Slice
from flags.domain.errors import FlagInUse, RevisionNotFound, StaleFlag
from flags.domain.flag import Change, Draft, Flag, document, made, told
from flags.domain.listing import Wanted
from flags.domain.place import Place, Project
from flags.domain.revision import Revision, reverted
from flags.domain.uses import Use
from flags.ports import Hold, OpenWork, Work
from flags.usecases.checking import allowed, check, check_experiments, named
from flags.usecases.homes import home

Move = Callable[[Flag, datetime], Flag]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Which flag is meant (id or key), where, in which version (None: any), and why it is to change."""

    flag: str
    place: Place
    version: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Flags:
    """Everything one can do to flags."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def create(self, caller: Caller, place: Place, draft: Draft) -> Flag:
        """Make a flag, owned by the caller and disabled everywhere."""
        caller.must("flag:create", project=place.project)
        async with self.work() as work:
            project = await self._project(work, place, "changed")
            flag = made(draft, self.new_id(), project, caller.owner, self.now())
            await check(work, project, flag, flag.switches)
            await work.flags.add(project, flag)
            fact = _fact(caller, "flag.created", flag, after=told(flag))
            await work.history.add(_revision(flag, fact))
            await work.projects.bump(project, flag.switches)
            work.record(fact)
        return flag

    async def get(self, caller: Caller, place: Place, flag: str) -> Flag:
        """Return one flag, by id or key."""
        caller.must_for_some("flag:read")
        async with self.work() as work:
            project = await self._project(work, place)
            return allowed(caller, "flag:read", await work.flags.get(project, flag), flag)

    async def page(self, caller: Caller, place: Place, wanted: Wanted, ask: PageAsk) -> Slice[Flag]:
        """List flags of a project; to whom may not read them all, their own."""
        own = caller.must_or_own("flag:read", project=place.project)
        if own and wanted.owner_id not in (None, own):
            return Slice(items=[], total=0)
        async with self.work() as work:
            project = await self._project(work, place)
            return await work.flags.page(
                project, replace(wanted, owner_id=own or wanted.owner_id), ask
            )

    async def update(self, caller: Caller, aim: Aim, change: Change) -> Flag:
        """Change a flag's fields, and what its switch in one environment serves."""
        caller.must_for_some("flag:update")
        async with self.work() as work:
            project, before = await self._locked(work, caller, "flag:update", aim)
            after = before.changed(aim.place.environment, self.now(), change)
            if after is not before:
                await check(work, project, after, _rechecked(before, after))
                await check_experiments(work, after, after.variants)
                fact = _fact(
                    caller,
                    "flag.updated",
                    after,
                    before=told(before),
                    after=told(after),
                    reason=aim.reason,
                )
                await self._keep(work, project, after, after.switches, fact)
        return after

    async def revert(self, caller: Caller, aim: Aim, number: int) -> Flag:
        """Have a flag as one of its revisions had it, in every environment; that is a revision of its own."""
        caller.must_for_some("flag:update")
        async with self.work() as work:
            project, before = await self._locked(work, caller, "flag:update", aim)
            then = await work.history.get(before, number)
            if then is None:
                raise RevisionNotFound(f"flag {before.key!r} has no revision {number}")
            after = reverted(before, then.document, self.now())
            if after is not before:
                await check(work, project, after, _rechecked(before, after))
                await check_experiments(work, after, after.variants)
                fact = _fact(
                    caller,
                    "flag.reverted",
                    after,
                    before=told(before),
                    after=told(after),
                    reason=aim.reason or f"as revision {number}",
                )
                await self._keep(work, project, after, after.switches, fact)
        return after

    async def used(self, caller: Caller, place: Place, flag: str) -> Sequence[Use]:
        """Return which flags and segments look at what a flag serves."""
        caller.must_for_some("flag:read")
        async with self.work() as work:
            project = await self._project(work, place)
            found = allowed(caller, "flag:read", await work.flags.get(project, flag), flag)
            return await work.uses.of_flag(project, found.key)

    async def delete(self, caller: Caller, aim: Aim) -> None:
        """Forget a flag; clients fall back to what their code says."""
        caller.must_for_some("flag:delete")
        async with self.work() as work:
            project, flag = await self._locked(work, caller, "flag:delete", aim)
            if users := await work.uses.of_flag(project, flag.key):
                raise FlagInUse(
                    f"flag {flag.key!r} is asked for by {named(users)}: change those first"
                )
            await check_experiments(work, flag, ())
            await work.flags.remove(flag)
            await work.projects.bump(project, flag.switches)
            work.record(_fact(caller, "flag.deleted", flag, before=told(flag), reason=aim.reason))

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
            project, before = await self._locked(work, caller, "flag:toggle", aim)
            after = move(before, self.now())
            if after is not before:
                fact = _switched(caller, aim, before, after)
                await self._keep(work, project, after, (aim.place.environment,), fact)
        return after

    async def _locked(
        self, work: Work, caller: Caller, permission: str, aim: Aim
    ) -> tuple[Project, Flag]:
        hold: Hold = "shared" if permission == "flag:toggle" else "changed"
        project = await self._project(work, aim.place, hold)
        found = await work.flags.get(project, aim.flag, lock=True)
        flag = allowed(caller, permission, found, aim.flag)
        if aim.version not in (None, flag.version):
            raise StaleFlag(
                f"flag {flag.key!r} is at version {flag.version} by now, not {aim.version}: read it again"
            )
        return project, flag

    async def _keep(
        self, work: Work, project: Project, flag: Flag, touched: Collection[str], fact: Fact
    ) -> None:
        await work.flags.put(project, flag)
        await work.history.add(_revision(flag, fact))
        await work.projects.bump(project, touched)
        work.record(fact)

    async def _project(self, work: Work, place: Place, hold: Hold | None = None) -> Project:
        """Return the project of a place, in which the environment must be, too."""
        project = await home(work, place.tenant, place.project, self.now(), self.new_id, hold)
        project.environment(place.environment)
        return project


def _rechecked(before: Flag, after: Flag) -> list[str]:
    """Return the environments whose targeting may no longer hold."""
    if before.variants.keys() != after.variants.keys():
        return list(after.switches)
    return [k for k, s in after.switches.items() if s.targeting != before.switches[k].targeting]


def _revision(flag: Flag, fact: Fact) -> Revision:
    return Revision(
        flag_id=flag.id,
        number=flag.version,
        at=flag.updated_at,
        actor_type=fact.actor.type,
        actor_id=fact.actor.id,
        actor_name=fact.actor.name,
        action=fact.action,
        reason=fact.reason,
        document=document(flag),
    )


def _switched(caller: Caller, aim: Aim, before: Flag, after: Flag) -> Fact:
    where = aim.place.environment
    verb = "enabled" if after.switch(where).enabled else "disabled"
    old, new = (
        {"status": flag.switch(where).status, "environment": where} for flag in (before, after)
    )
    return _fact(caller, f"flag.toggle_{verb}", after, before=old, after=new, reason=aim.reason)


def _fact(
    caller: Caller,
    action: str,
    flag: Flag,
    *,
    before: Document | None = None,
    after: Document | None = None,
    reason: str = "",
) -> Fact:
    return Fact(
        tenant=caller.tenant,
        actor=Actor.of(caller),
        action=action,
        target=Target("feature_flag", str(flag.id), flag.key),
        before=before,
        after=after,
        reason=reason,
    )
