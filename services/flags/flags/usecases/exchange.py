"""A project as one document, out and in."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Fact
from flags.domain.edits import affected, must_be_free
from flags.domain.errors import TooMuchToExport
from flags.domain.exchange import planned
from flags.domain.flag import SERVED, Flag, told
from flags.domain.place import Environment, Project
from flags.domain.segment import Members
from flags.domain.whole import Contents, Document, Listed, Maker, Plan, Step, written
from flags.ports import Hold, OpenWork, Work
from flags.usecases.changing import flag_fact, revision_of
from flags.usecases.checking import check_experiments, must_serve_none
from flags.usecases.gating import must_select_the_same
from flags.usecases.homes import home
from flags.usecases.projects import environment_fact
from flags.usecases.segments import segment_fact

MOST_FLAGS = 2_000
MOST_IDS = 200_000
REASON = "import"


@dataclass(frozen=True, slots=True)
class Exchange:
    """Writing projects out, comparing them, and bringing them about."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def export(self, caller: Caller, project: str) -> dict[str, Any]:
        """Return a project as one document."""
        caller.must("flag:read", project=project)
        caller.must("segment:read", project=project)
        async with self.work() as work:
            return written(await self._contents(work, caller, project, None))

    async def diff(self, caller: Caller, project: str, said: Document, *, prune: bool) -> Plan:
        """Return what it would take for a project to be as a document says. Nothing is changed."""
        caller.must("flag:read", project=project)
        caller.must("segment:read", project=project)
        async with self.work() as work:
            contents = await self._contents(work, caller, project, None)
        return await self._planned(caller, contents, said, prune=prune)

    async def bring_about(
        self, caller: Caller, project: str, said: Document, *, prune: bool
    ) -> Plan:
        """Have a project as a document says: all of it, or nothing. Each step takes its own permission."""
        caller.must_for_some("flag:update")
        async with self.work() as work:
            contents = await self._contents(work, caller, project, "alone")
            plan = await self._planned(caller, contents, said, prune=prune)
            for permission in sorted({p for step in plan.steps for p in _takes(step)}):
                caller.must(permission, project=project)
            for step in plan.steps:
                _must_be_free(contents.project, step)
            await must_select_the_same(work, contents.project, _reselected(plan.steps))
            for step in plan.steps:
                await self._make(work, caller, plan.project, step)
            if plan.steps:
                keys = [e.key for e in plan.project.environments]
                await work.projects.bump(plan.project, keys)
        return plan

    async def _contents(self, work: Work, caller: Caller, key: str, hold: Hold | None) -> Contents:
        project = await home(work, caller.tenant, key, self.now(), self.new_id, hold)
        flags = await work.flags.every(project, MOST_FLAGS + 1)
        segments = await work.segments.every(project)
        ids = sum(segment.included + segment.excluded for segment in segments)
        if len(flags) > MOST_FLAGS or ids > MOST_IDS:
            raise TooMuchToExport(
                f"project {key!r} has more than {MOST_FLAGS} flags or {MOST_IDS} ids in segments"
            )
        listed = [Listed(segment, await work.segments.members(segment)) for segment in segments]
        wanted = await work.allocations.running(project)
        return Contents(project=project, flags=flags, segments=listed, experiments=wanted)

    async def _planned(
        self, caller: Caller, contents: Contents, said: Document, *, prune: bool
    ) -> Plan:
        """Compare in a thread: a large document takes a second, in which others want to be answered."""
        maker = Maker(owner=caller.owner, now=self.now(), new_id=self.new_id)
        return await asyncio.to_thread(planned, contents, said, maker, prune=prune)

    async def _make(self, work: Work, caller: Caller, project: Project, step: Step) -> None:
        before, after = step.before, step.after
        if isinstance(after, Environment):
            await work.projects.add_environment(project, after)
            work.record(environment_fact(caller, "environment.created", None, after))
        elif isinstance(after, Flag):
            await self._flag(work, caller, project, (before, after))
        elif isinstance(after, Listed):
            if before is None:
                await work.segments.add(after.segment)
            await work.segments.put(after.segment, after.members)
            old = before if isinstance(before, Listed) else None
            verb = "created" if old is None else "updated"
            sides = (old.segment if old else None, after.segment)
            lists = (old.members if old else Members(), after.members)
            work.record(segment_fact(caller, f"segment.{verb}", sides, lists))
        elif isinstance(before, Flag):
            await must_serve_none(work, before, ())
            await work.flags.remove(before)
            work.record(flag_fact(caller, "flag.deleted", before, (told(before), None), REASON))
        elif isinstance(before, Listed):
            await work.segments.remove(before.segment)
            sides, lists = (before.segment, None), (before.members, Members())
            work.record(segment_fact(caller, "segment.deleted", sides, lists))

    async def _flag(
        self, work: Work, caller: Caller, project: Project, sides: tuple[object, Flag]
    ) -> None:
        before, after = sides
        if isinstance(before, Flag):
            await check_experiments(work, before, after)
            fact = flag_fact(caller, "flag.updated", after, (told(before), told(after)), REASON)
            await work.flags.put(project, after)
        else:
            fact = flag_fact(caller, "flag.created", after, (None, told(after)), REASON)
            await work.flags.add(project, after)
        await work.history.add(revision_of(after, fact))
        self._record(work, fact)

    def _record(self, work: Work, fact: Fact) -> None:
        work.record(fact)


def _takes(step: Step) -> Iterator[str]:
    """Yield the permissions that a step takes."""
    yield f"{step.kind}:{step.action}"
    if isinstance(step.after, Flag):
        before = _enabled(step.before) if isinstance(step.before, Flag) else set[str]()
        if _enabled(step.after) != before:
            yield "flag:toggle"


def _enabled(flag: Flag) -> set[str]:
    return {key for key, switch in flag.switches.items() if switch.enabled}


def _reselected(steps: Sequence[Step]) -> list[str]:
    """Return the segments that would select somebody else."""
    sides = [(step.key, step.before, step.after) for step in steps]
    return [
        key
        for key, before, after in sides
        if isinstance(before, Listed)
        and isinstance(after, Listed)
        and (before.segment.document, before.members) != (after.segment.document, after.members)
    ]


def _must_be_free(project: Project, step: Step) -> None:
    """Refuse a step that changes what is served where changes want approvals."""
    before, after = step.before, step.after
    touched: Iterable[str] = ()
    if isinstance(before, Flag) and isinstance(after, Flag):
        touched = affected(before, after)
    elif isinstance(after, Flag):
        touched = [key for key, switch in after.switches.items() if switch.enabled]
    elif isinstance(before, Flag) and before.lifecycle in SERVED:
        touched = before.switches
    must_be_free(project, step.key, frozenset(touched))
