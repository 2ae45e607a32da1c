"""What decides about flags, in memory."""

from dataclasses import replace

from chassis.pages import Slice, cut
from flags.domain.errors import SegmentKeyTaken
from flags.domain.revision import stored_at
from flags.domain.segment import Members


class MemorySegments:
    """The segment book over a dictionary of (segment, members)."""

    def __init__(self, kept):
        self._kept = kept

    async def get(self, project, name, *, lock=False):
        mine = [s for s, _ in self._kept.values() if s.project_id == project.id]
        return next((s for s in mine if name in (s.key, str(s.id))), None)

    async def every(self, project):
        mine = [s for s, _ in self._kept.values() if s.project_id == project.id]
        return sorted(mine, key=lambda s: s.key)

    async def members(self, segment):
        return self._kept[segment.id][1]

    async def add(self, segment):
        if any(
            s.project_id == segment.project_id and s.key == segment.key
            for s, _ in self._kept.values()
        ):
            raise SegmentKeyTaken(f"there is a segment {segment.key!r} already")
        self._kept[segment.id] = (segment, Members())

    async def put(self, segment, members=None):
        self._kept[segment.id] = (segment, members or self._kept[segment.id][1])

    async def remove(self, segment):
        del self._kept[segment.id]

    async def page(self, project, search, ask):
        text = (search or "").lower()
        mine = sorted(
            (s for s, _ in self._kept.values() if s.project_id == project.id), key=lambda s: s.key
        )
        found = [s for s in mine if any(text in t.lower() for t in (s.key, s.name, s.description))]
        rest = [s for s in found if not ask.after or s.key > ask.after[0]][ask.offset :]
        items, after = cut(rest[: ask.limit + 1], ask.limit, lambda s: (s.key,))
        return Slice(items=items, next=after, total=len(found))


class MemoryRevisions:
    """The revision book over a list."""

    def __init__(self, kept, flags):
        self._kept, self._flags = kept, flags

    async def add(self, revision):
        self._kept.append(revision)

    async def get(self, flag, number):
        return next((r for r in self._kept if (r.flag_id, r.number) == (flag.id, number)), None)

    async def page(self, flag, ask):
        mine = sorted((r for r in self._kept if r.flag_id == flag.id), key=lambda r: -r.number)
        rest = [r for r in mine if not ask.after or r.number < int(ask.after[0])][ask.offset :]
        items, after = cut(rest[: ask.limit + 1], ask.limit, lambda r: (str(r.number),))
        items = [replace(r, document={}) for r in items]
        return Slice(items=items, next=after, total=len(mine))

    async def served_at(self, project, environment, moment):
        newest = {r.flag_id: r for r in self._kept if r.at <= moment}
        flags = [f for f in self._flags.values() if f.project_id == project.id and f.id in newest]
        rows = [stored_at(f, newest[f.id].document, environment) for f in flags]
        return [row for row in rows if row is not None]


class MemoryAllocations:
    """What experiments want, over a dictionary."""

    def __init__(self, kept):
        self._kept = kept

    async def take(self, experiment_id):
        return self._kept.get(experiment_id)

    async def put(self, kept):
        before = self._kept.get(kept.experiment_id)
        if before and before.version >= kept.version:
            return False
        self._kept[kept.experiment_id] = kept
        return True

    async def running(self, project):
        there = [e.id for e in project.environments]
        found = [k for k in self._kept.values() if k.environment_id in there and k.document]
        return sorted(found, key=lambda k: k.experiment_id)

    async def of_flag(self, flag):
        found = [k for k in self._kept.values() if k.flag_id == flag.id and k.document]
        return sorted(found, key=lambda k: k.experiment_id)


def _by_name(found):
    return (found[0].kind, found[0].key, found[0].environment)
