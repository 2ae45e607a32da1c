"""Having flags serve what experiments want: put by the experiments service, in whatever order and however often."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.caller import Caller
from chassis.errors import FieldError
from chassis.facts import Actor, Fact, Target
from flags.domain.allocation import Allocation, Arm, Kept, allocation_of, served_by
from flags.domain.analyse import Neighbours, analyse
from flags.domain.errors import BadAllocation, FlagNotFound
from flags.domain.flag import SERVED, Draft, Flag, document, made
from flags.domain.place import Place, Project
from flags.domain.rules import Evaluates, inside
from flags.domain.uses import used_in
from flags.domain.values import FlagType
from flags.domain.wrong import Wrong
from flags.ports import OpenWork, Work
from flags.usecases.changing import revision_of
from flags.usecases.homes import home

ACTOR = Actor("service", "experiments", "experiments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an experiment, at one of its versions, wants of a flag (id or key); `document` None: nothing any more."""

    place: Place
    flag: str
    experiment_id: UUID
    experiment: str
    version: int
    document: Mapping[str, Any] | None = None
    owner_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Granted:
    """The version that is in force, whether the flag is served and enabled there, and whether it was made for this."""

    version: int
    enabled: bool = False
    made: bool = False


@dataclass(frozen=True, slots=True)
class Allocations:
    """What experiments may say to flags."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def check(self, caller: Caller, wish: Wish) -> Granted:
        """Tell whether a wish could be granted, and change nothing; FlagNotFound or BadAllocation if not."""
        caller.must("flag:update")
        place = wish.place
        async with self.work() as work:
            project = await home(work, place.tenant, place.project, self.now(), self.new_id)
            project.environment(place.environment)
            flag = await work.flags.get(project, wish.flag)
            if flag is None:
                return Granted(wish.version, enabled=True, made=bool(self._made(project, wish)))
            await _served(work, project, flag, wish)
        return Granted(wish.version, enabled=_is_on(flag, place))

    async def put(self, caller: Caller, wish: Wish) -> Granted:
        """Grant a wish, unless a newer one of the experiment is known; its flag is made where there is none."""
        caller.must("flag:update")
        place, now = wish.place, self.now()
        async with self.work() as work:
            project = await home(work, place.tenant, place.project, now, self.new_id, "changed")
            before = await work.allocations.take(wish.experiment_id)
            if before is not None and before.version >= wish.version:
                return Granted(before.version)
            if wish.document is None:
                return await self._withdrawn(work, project, before, wish)
            flag, is_new = await self._found_or_made(work, project, wish)
            document = await _served(work, project, flag, wish)
            after = self._kept(wish, project, flag, document)
            await self._keep(work, project, before, after)
            work.record(_fact("flag.allocated", flag, before, after, wish.reason))
        return Granted(wish.version, _is_on(flag, place), is_new)

    async def _withdrawn(
        self, work: Work, project: Project, before: Kept | None, wish: Wish
    ) -> Granted:
        after = Kept(
            experiment_id=wish.experiment_id,
            tenant=wish.place.tenant,
            version=wish.version,
            at=self.now(),
        )
        await self._keep(work, project, before, after)
        flag = await work.flags.get(project, wish.flag)
        if flag is not None and before is not None and before.document is not None:
            work.record(_fact("flag.released", flag, before, after, wish.reason))
        return Granted(wish.version)

    async def _keep(self, work: Work, project: Project, before: Kept | None, after: Kept) -> None:
        """Keep a wish and announce it wherever it makes a difference."""
        await work.allocations.put(after)
        touched = {kept.environment_id for kept in (before, after) if kept}
        await work.projects.bump(project, [e.key for e in project.environments if e.id in touched])

    async def _found_or_made(self, work: Work, project: Project, wish: Wish) -> tuple[Flag, bool]:
        found = await work.flags.get(project, wish.flag, lock=True)
        if found is not None:
            return found, False
        flag = self._made(project, wish)
        fact = Fact(
            tenant=flag.tenant,
            actor=ACTOR,
            action="flag.created",
            target=Target("feature_flag", str(flag.id), flag.key),
            after=document(flag),
            reason=f"for experiment {wish.experiment!r}",
        )
        await work.flags.add(project, flag)
        await work.history.add(revision_of(flag, fact))
        await work.projects.bump(project, flag.switches)
        work.record(fact)
        return flag, True

    def _made(self, project: Project, wish: Wish) -> Flag:
        """Return the flag that an experiment without one begins with, enabled there; FlagNotFound if it cannot."""
        arms = _arms(wish)
        if any(arm.serves for arm in arms):
            text = f"there is no flag {wish.flag!r} in project {project.key!r}: make it first"
            raise FlagNotFound(text)
        flag = made(_draft(wish, arms), self.new_id(), project, wish.owner_id, self.now())
        where = wish.place.environment
        switch = replace(flag.switch(where), enabled=True)
        return replace(flag, switches={**flag.switches, where: switch})

    def _kept(self, wish: Wish, project: Project, flag: Flag, document: Mapping[str, Any]) -> Kept:
        return Kept(
            experiment_id=wish.experiment_id,
            tenant=wish.place.tenant,
            version=wish.version,
            flag_id=flag.id,
            environment_id=project.environment(wish.place.environment).id,
            document=document,
            at=self.now(),
        )


def _is_on(flag: Flag, place: Place) -> bool:
    """Tell whether the rules of a flag, and so its experiments, decide what anybody gets."""
    return flag.lifecycle in SERVED and flag.switch(place.environment).enabled


def _draft(wish: Wish, arms: Sequence[Arm]) -> Draft:
    """Return a boolean flag for two arms, a string flag with a variant for each of more."""
    plain = Draft(key=wish.flag, name=wish.flag, tags=("experiment",))
    control = arms[0].key
    if len(arms) == 2:
        return replace(plain, default_variant="off", off_variant="off")
    return replace(
        plain,
        type=FlagType.STRING,
        variants={arm.key: arm.key for arm in arms},
        default_variant=control,
        off_variant=control,
    )


async def _served(work: Work, project: Project, flag: Flag, wish: Wish) -> Mapping[str, Any]:
    """Return the document of a wish with every arm naming a variant; BadAllocation if it cannot be served."""
    try:
        it = _read(wish)
        arms = served_by(it.arms, flag.variants)
    except Wrong as wrong:
        raise _bad(wrong) from None
    await _check_targeting(work, project, flag, it, wish)
    said = [{"key": a.key, "weight": a.weight, "serves": a.serves} for a in arms]
    return {**(wish.document or {}), "arms": said}


async def _check_targeting(
    work: Work, project: Project, flag: Flag, it: Allocation, wish: Wish
) -> None:
    if it.when is None:
        return
    # A flag that is asked for here would have to know of it when it changes, or two could wait for each other.
    if any(isinstance(part, Evaluates) for part in inside(it.when)):
        raise _bad(Wrong("/when", "the targeting of an experiment cannot ask for flags"))
    near = Neighbours()
    if used_in([it.when]).segments:
        near = await work.uses.neighbours(project, wish.place.environment)
    rule = {"when": (wish.document or {})["when"], "variant": next(iter(flag.variants))}
    for found in analyse(flag.key, flag.variants.keys(), {"rules": [rule]}, near):
        if found.severity == "error":
            raise _bad(Wrong(found.pointer.removeprefix("/rules/0"), found.message, found.code))


def _arms(wish: Wish) -> tuple[Arm, ...]:
    try:
        return _read(wish).arms
    except Wrong as wrong:
        raise _bad(wrong) from None


def _read(wish: Wish) -> Allocation:
    return allocation_of(wish.document)


def _bad(wrong: Wrong) -> BadAllocation:
    pointer = wrong.pointer.replace("/when", "/targeting", 1).replace("/arms", "/variants", 1)
    error = FieldError(pointer, wrong.message, wrong.code)
    return BadAllocation(f"{pointer.lstrip('/')}: {wrong.message}", errors=(error,))


def _fact(action: str, flag: Flag, before: Kept | None, after: Kept, reason: str) -> Fact:
    was = before.document if before else None
    return Fact(
        tenant=flag.tenant,
        actor=ACTOR,
        action=action,
        target=Target("feature_flag", str(flag.id), flag.key),
        before=dict(was) if was else None,
        after=dict(after.document) if after.document else None,
        reason=reason,
    )
