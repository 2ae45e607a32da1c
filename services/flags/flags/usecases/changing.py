"""How a flag changes, whoever changes it: find, hold, move, check, keep and tell, inside a transaction of the caller's.

People change flags themselves (`Flags`); schedules, rollouts, change requests and imports do it for them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor, Document, Fact, Target
from flags.domain.edits import affected, approvals_for, must_be_free
from flags.domain.errors import StaleFlag, StalePlan
from flags.domain.flag import Flag, document, told
from flags.domain.place import Place, Project
from flags.domain.revision import Revision
from flags.ports import Hold, Work
from flags.usecases.checking import allowed, check, check_experiments
from flags.usecases.homes import home

Move = Callable[[Flag, datetime], Flag]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aim:
    """Which flag is meant (id or key), where, in which version (None: any), and why it is to change.

    Where a plan of the flag is turned, the version is the plan's. `approved`: an environment that wants approvals lets
    it pass.
    """

    flag: str
    place: Place
    version: int | None = None
    reason: str = ""
    approved: bool = False


Tell = Callable[[Caller, Aim, Flag, Flag], Fact]


@dataclass(frozen=True, slots=True)
class Changing:
    """The steps that every change of a flag takes."""

    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def project(self, work: Work, place: Place, hold: Hold | None = None) -> Project:
        """Return the project of a place, in which the environment must be, too."""
        project = await home(work, place.tenant, place.project, self.now(), self.new_id, hold)
        project.environment(place.environment)
        return project

    async def found(
        self, work: Work, caller: Caller, permission: str, aim: Aim
    ) -> tuple[Project, Flag]:
        """Return a flag that the caller may do this to, not held."""
        caller.must_for_some(permission)
        project = await self.project(work, aim.place)
        found = await work.flags.get(project, aim.flag)
        return project, allowed(caller, permission, found, aim.flag)

    async def held(
        self, work: Work, caller: Caller, permission: str, aim: Aim
    ) -> tuple[Project, Flag]:
        """Return a flag that the caller may do this to, held until the transaction ends. StaleFlag if it moved on."""
        caller.must_for_some(permission)
        hold: Hold = "shared" if permission == "flag:toggle" else "changed"
        project = await self.project(work, aim.place, hold)
        found = await work.flags.get(project, aim.flag, lock=True)
        flag = allowed(caller, permission, found, aim.flag)
        if aim.version not in (None, flag.version):
            raise StaleFlag(
                f"flag {flag.key!r} is at version {flag.version} by now, not {aim.version}: read it again"
            )
        return project, flag

    async def move(
        self, work: Work, caller: Caller, aim: Aim, needs: tuple[str, Move], tell: Tell
    ) -> Flag:
        """Move a flag, given the permission that it takes and the move; tell what happened, if anything did."""
        caller.must_for_some(needs[0])
        permission, move = needs
        project, before = await self.held(work, caller, permission, aim)
        after = move(before, self.now())
        if after is not before:
            if not aim.approved:
                must_be_free(project, before.key, affected(before, after))
            await check(work, project, after, rechecked(before, after))
            await check_experiments(work, before, after)
            await keep(work, project, before, after, tell(caller, aim, before, after))
        return after


def must_be_at(aim: Aim, version: int, noun: str) -> None:
    """Refuse to turn a plan of a flag that is at another version than the aim, where it is a plan's, demands."""
    if aim.version not in (None, version):
        raise StalePlan(
            f"the {noun} is at version {version} by now, not {aim.version}: read it again"
        )


def wanted_approvals(project: Project, before: Flag, after: Flag) -> int:
    """Return how many approvals a change takes."""
    return approvals_for(project, affected(before, after))


def rechecked(before: Flag, after: Flag) -> list[str]:
    """Return the environments whose targeting may no longer hold."""
    if before.variants.keys() != after.variants.keys():
        return list(after.switches)
    return [
        key
        for key, switch in after.switches.items()
        if key not in before.switches or switch.targeting != before.switches[key].targeting
    ]


async def keep(work: Work, project: Project, before: Flag, after: Flag, fact: Fact) -> None:
    """Keep a changed flag with its revision and its fact, and have served what it serves now."""
    await work.flags.put(project, after)
    await work.history.add(revision_of(after, fact))
    await work.projects.bump(project, affected(before, after))
    work.record(fact)


def revision_of(flag: Flag, fact: Fact) -> Revision:
    """Return the revision that a change left."""
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


def telling(action: str) -> Tell:
    """Return what tells of a change with the whole flag, as it was and as it is."""

    def tell(caller: Caller, aim: Aim, before: Flag, after: Flag) -> Fact:
        return flag_fact(caller, action, after, (told(before), told(after)), aim.reason)

    return tell


def tell_switched(caller: Caller, aim: Aim, before: Flag, after: Flag) -> Fact:
    """Return the fact that a flag was switched in one environment."""
    verb = "enabled" if after.switch(aim.place.environment).enabled else "disabled"
    return flag_fact(caller, f"flag.toggle_{verb}", after, statuses(aim, before, after), aim.reason)


def statuses(aim: Aim, before: Flag, after: Flag) -> tuple[Document, Document]:
    """Return the status of a flag in one environment, before and after."""
    where = aim.place.environment
    return (
        {"status": before.switch(where).status, "environment": where},
        {"status": after.switch(where).status, "environment": where},
    )


def flag_fact(
    caller: Caller,
    action: str,
    flag: Flag,
    sides: tuple[Document | None, Document | None],
    reason: str = "",
) -> Fact:
    """Return a fact about a flag, with what it was and what it is."""
    return Fact(
        tenant=caller.tenant,
        actor=Actor.of(caller),
        action=action,
        target=Target("feature_flag", str(flag.id), flag.key),
        before=sides[0],
        after=sides[1],
        reason=reason,
    )
