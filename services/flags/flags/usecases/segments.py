"""Managing segments."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor, Fact, Target
from chassis.pages import PageAsk, Position, Slice, cut
from flags.domain.errors import SegmentInUse, SegmentNotFound, StaleSegment
from flags.domain.place import Project
from flags.domain.segment import Entry, Members, Moves, Segment, Sides, moved, told
from flags.domain.uses import Use
from flags.ports import Hold, OpenWork, Work
from flags.usecases.checking import check_segment, named
from flags.usecases.gating import must_select_the_same
from flags.usecases.homes import home


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentAim:
    """Which segment is meant (id or key), in which project, in which version (None: any)."""

    segment: str
    project: str
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Segments:
    """Everything one can do to segments."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def create(self, caller: Caller, project: str, fields: Mapping[str, Any]) -> Segment:
        """Make a segment, with nobody on its lists."""
        caller.must("segment:create", project=project)
        now = self.now()
        async with self.work() as work:
            place = await self._home(work, caller, project, "changed")
            segment = Segment(
                id=self.new_id(),
                tenant=caller.tenant,
                project_id=place.id,
                created_at=now,
                updated_at=now,
                **fields,
            )
            await check_segment(work, place, segment)
            await work.segments.add(segment)
            await self._tell(work, caller, place, "segment.created", (None, segment))
        return segment

    async def get(self, caller: Caller, aim: SegmentAim) -> Segment:
        """Return one segment, by id or key."""
        caller.must("segment:read", project=aim.project)
        async with self.work() as work:
            place = await self._home(work, caller, aim.project)
            return _found(await work.segments.get(place, aim.segment), aim.segment)

    async def page(
        self, caller: Caller, project: str, search: str | None, ask: PageAsk
    ) -> Slice[Segment]:
        """List the segments of a project."""
        caller.must("segment:read", project=project)
        async with self.work() as work:
            return await work.segments.page(await self._home(work, caller, project), search, ask)

    async def entries(self, caller: Caller, aim: SegmentAim, ask: PageAsk) -> Slice[Entry]:
        """List who is listed in a segment, a page at a time."""
        caller.must("segment:read", project=aim.project)
        every = (await self.members(caller, aim)).entries()
        start = bisect_right(every, ask.after, key=_place) if ask.after else ask.offset
        items, after = cut(every[start : start + ask.limit + 1], ask.limit, _place)
        return Slice(items=items, next=after, total=len(every))

    async def members(self, caller: Caller, aim: SegmentAim) -> Members:
        """Return who is listed in a segment."""
        caller.must("segment:read", project=aim.project)
        async with self.work() as work:
            place = await self._home(work, caller, aim.project)
            found = _found(await work.segments.get(place, aim.segment), aim.segment)
            return await work.segments.members(found)

    async def used(self, caller: Caller, aim: SegmentAim) -> Sequence[Use]:
        """Return which flags and segments ask for a segment."""
        caller.must("segment:read", project=aim.project)
        async with self.work() as work:
            place = await self._home(work, caller, aim.project)
            found = _found(await work.segments.get(place, aim.segment), aim.segment)
            return await work.uses.of_segment(place, found.key)

    async def update(self, caller: Caller, aim: SegmentAim, fields: Mapping[str, Any]) -> Segment:
        """Change a segment but for its lists."""
        caller.must("segment:update", project=aim.project)
        async with self.work() as work:
            place, before = await self._locked(work, caller, aim)
            after = before.changed(fields, self.now())
            if after is not before:
                await check_segment(work, place, after)
                if after.document != before.document:
                    await must_select_the_same(work, place, [before.key])
                await work.segments.put(after)
                await self._tell(work, caller, place, "segment.updated", (before, after))
        return after

    async def move(self, caller: Caller, aim: SegmentAim, moves: Moves) -> Segment:
        """Put people on a segment's lists, or take them off; what is so already stays so."""
        caller.must("segment:update", project=aim.project)
        async with self.work() as work:
            place, before = await self._locked(work, caller, aim)
            lists = await work.segments.members(before)
            new = lists.changed(moves)
            if new == lists:
                return before
            await must_select_the_same(work, place, [before.key])
            now = self.now()
            after = replace(
                before,
                included=len(new.included),
                excluded=len(new.excluded),
                version=before.version + 1,
                updated_at=now,
            )
            await work.segments.put(after, new)
            await work.projects.bump(place, [e.key for e in place.environments])
            fact = segment_fact(caller, "segment.members_moved", (before, after), (lists, new))
            work.record(fact)
        return after

    async def delete(self, caller: Caller, aim: SegmentAim) -> None:
        """Forget a segment that nobody asks for."""
        caller.must("segment:delete", project=aim.project)
        async with self.work() as work:
            place, segment = await self._locked(work, caller, aim)
            if users := await work.uses.of_segment(place, segment.key):
                raise SegmentInUse(
                    f"segment {segment.key!r} is asked for by {named(users)}: change those first"
                )
            lists = (await work.segments.members(segment), Members())
            await work.segments.remove(segment)
            await work.projects.bump(place, [e.key for e in place.environments])
            work.record(segment_fact(caller, "segment.deleted", (segment, None), lists))

    async def _locked(self, work: Work, caller: Caller, aim: SegmentAim) -> tuple[Project, Segment]:
        place = await self._home(work, caller, aim.project, "changed")
        segment = _found(await work.segments.get(place, aim.segment, lock=True), aim.segment)
        if aim.version not in (None, segment.version):
            raise StaleSegment(
                f"segment {segment.key!r} is at version {segment.version} by now, not {aim.version}: read it again"
            )
        return place, segment

    async def _tell(
        self,
        work: Work,
        caller: Caller,
        project: Project,
        action: str,
        change: tuple[Segment | None, Segment | None],
    ) -> None:
        """Have every environment served anew, and leave a fact."""
        await work.projects.bump(project, [e.key for e in project.environments])
        work.record(segment_fact(caller, action, change))

    async def _home(
        self, work: Work, caller: Caller, key: str, hold: Hold | None = None
    ) -> Project:
        return await home(work, caller.tenant, key, self.now(), self.new_id, hold)


def _place(entry: Entry) -> Position:
    return entry.list, entry.id


def _found(segment: Segment | None, name: str) -> Segment:
    if segment is None:
        raise SegmentNotFound(f"there is no segment {name!r} in this project")
    return segment


def segment_fact(
    caller: Caller,
    action: str,
    change: tuple[Segment | None, Segment | None],
    lists: tuple[Members, Members] | None = None,
) -> Fact:
    """Return a fact about a segment, and about who was moved if its lists are given as they were and are."""
    before, after = change
    sides: Sides = moved(*lists) if lists and lists[0] != lists[1] else ({}, {})
    subject = after or before
    assert subject is not None
    return Fact(
        tenant=caller.tenant,
        actor=Actor.of(caller),
        action=action,
        target=Target("segment", str(subject.id), subject.key),
        before=None if before is None else {**told(before), **sides[0]},
        after=None if after is None else {**told(after), **sides[1]},
    )
