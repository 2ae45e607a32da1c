"""Projects, flags and how they are used, in memory."""

from dataclasses import replace

from chassis.pages import Slice, cut
from flags.domain.analyse import Neighbour, Neighbours, segment_uses
from flags.domain.errors import FlagKeyTaken
from flags.domain.flag import SERVED, Switch
from flags.domain.neighbourhood import uses_of_experiments
from flags.domain.place import Place
from flags.domain.reading import membership_of, targeting_of
from flags.domain.usage import Count, Used
from flags.domain.uses import NOTHING, Use, used_by
from services.flags.tests.fakes.rules import _by_name


class MemoryProjects:
    """The project book over a dictionary."""

    def __init__(self, kept, told, flags):
        self._kept, self._told, self._flags = kept, told, flags

    async def get(self, tenant, key, hold=None):
        return self._kept.get((tenant, key))

    async def add(self, project):
        if (project.tenant, project.key) in self._kept:
            return False
        self._kept[project.tenant, project.key] = project
        return True

    async def page(self, tenant, sought, ask):
        text = (sought.search or "").lower()
        found = [
            p
            for p in self._kept.values()
            if p.tenant == tenant
            and sought.key in (None, p.key)
            and any(text in said.lower() for said in (p.key, p.name))
        ]
        mine = sorted(found, key=lambda p: p.key)
        rest = [p for p in mine if not ask.after or p.key > ask.after[0]][ask.offset :]
        items, after = cut(rest[: ask.limit + 1], ask.limit, lambda p: (p.key,))
        return Slice(items=items, next=after, total=len(mine))

    async def add_environment(self, project, environment):
        now = self._kept[project.tenant, project.key]
        if any(e.key == environment.key for e in now.environments):
            return False
        first = now.environments[0].key
        self._environments(now, (*now.environments, environment))
        for flag in [f for f in self._flags.values() if f.project_id == project.id]:
            like = flag.switches[first]
            switch = Switch(default_variant=like.default_variant, off_variant=like.off_variant)
            switches = {**flag.switches, environment.key: switch}
            self._flags[flag.id] = replace(flag, switches=switches)
        return True

    async def put_environment(self, before, after):
        for project in list(self._kept.values()):
            if before in project.environments:
                swapped = tuple(after if e == before else e for e in project.environments)
                self._environments(project, swapped)
                return True
        return False

    async def remove_environment(self, environment):
        for project in list(self._kept.values()):
            if environment.id in [e.id for e in project.environments]:
                rest = tuple(e for e in project.environments if e.id != environment.id)
                self._environments(project, rest)
                for flag in [f for f in self._flags.values() if f.project_id == project.id]:
                    left = {k: s for k, s in flag.switches.items() if k != environment.key}
                    self._flags[flag.id] = replace(flag, switches=left)

    def _environments(self, project, environments):
        self._kept[project.tenant, project.key] = replace(project, environments=environments)

    async def bump(self, project, environments):
        now = self._kept[project.tenant, project.key]
        bumped = tuple(
            replace(e, revision=e.revision + (e.key in environments)) for e in now.environments
        )
        self._kept[now.tenant, now.key] = replace(now, environments=bumped)
        for e in bumped:
            if e.key in environments:
                self._told.append((Place(project.tenant, project.key, e.key), e.revision))


class MemoryFlags:
    """The flag book over a dictionary."""

    def __init__(self, kept):
        self._kept = kept

    async def get(self, project, name, *, lock=False):
        mine = [f for f in self._kept.values() if f.project_id == project.id]
        return next((f for f in mine if name in (f.key, str(f.id))), None)

    async def add(self, project, flag):
        if await self.get(project, flag.key):
            raise FlagKeyTaken(f"there is a flag {flag.key!r} already")
        self._kept[flag.id] = flag

    async def put(self, project, flag):
        self._kept[flag.id] = flag

    async def remove(self, flag):
        del self._kept[flag.id]

    async def page(self, project, wanted, ask):
        field_, down = wanted.order.field, wanted.order.descending
        place = lambda f: (getattr(f, field_), f.id)  # noqa: E731
        mine = [f for f in self._kept.values() if f.project_id == project.id and _fits(f, wanted)]
        mine.sort(key=place, reverse=down)
        rest = mine[ask.offset :]
        if ask.after:
            ids = [str(f.id) for f in mine]
            rest = mine[ids.index(ask.after[1]) + 1 :]
        items, after = cut(
            rest[: ask.limit + 1], ask.limit, lambda f: (str(getattr(f, field_)), str(f.id))
        )
        return Slice(items=items, next=after, total=len(mine))

    async def every(self, project, most):
        mine = [f for f in self._kept.values() if f.project_id == project.id]
        return sorted(mine, key=lambda f: f.key)[:most]

    async def served(self, project, owner):
        mine = [f for f in self._kept.values() if f.project_id == project.id]
        found = [f for f in mine if f.lifecycle in SERVED and owner in (None, f.owner_id)]
        return sorted(found, key=lambda f: f.key)


def _fits(flag, wanted):
    said = (flag.key, flag.name, flag.description)
    return all(
        (
            wanted.search is None or any(wanted.search.lower() in s.lower() for s in said),
            wanted.enabled in (None, flag.switch(wanted.environment).enabled),
            wanted.type in (None, flag.type),
            wanted.lifecycle in (None, flag.lifecycle),
            wanted.tag is None or wanted.tag in flag.tags,
            wanted.owner_id in (None, flag.owner_id),
        )
    )


class MemoryUsage:
    """The book of usage over a dictionary of (environment, flag, hour, variant, reason) → count."""

    def __init__(self, kept, projects, flags):
        self._kept, self._projects, self._flags = kept, projects, flags

    async def count(self, counts):
        for slot, number in counts:
            project = self._projects.get((slot.place.tenant, slot.place.project))
            flags = [f for f in self._flags.values() if f.key == slot.served.flag]
            for flag in [f for f in flags if project and f.project_id == project.id]:
                environment = project.environment(slot.place.environment)
                key = (environment.id, flag.id, slot.hour, *slot.served[1:])
                self._kept[key] = self._kept.get(key, 0) + number

    def _of(self, environment, flag=None):
        return [
            (hour, variant, reason, number, f)
            for (e, f, hour, variant, reason), number in sorted(self._kept.items())
            if e == environment.id and flag in (None, f)
        ]

    async def of_flag(self, flag, environment, period):
        found = {}
        for hour, variant, reason, number, _ in self._of(environment, flag.id):
            if period.since <= hour < period.until:
                key = (hour if period.by == "hour" else hour.replace(hour=0), variant, reason)
                found[key] = found.get(key, 0) + number
        return [Count(*key, number) for key, number in sorted(found.items())]

    async def last(self, flag, environment):
        return max((hour for hour, *_ in self._of(environment, flag.id)), default=None)

    async def lately(self, environment, since):
        return [
            Used(
                flag_id=flag,
                variants=frozenset(r[1] for r in rows if r[0] >= since),
                last=max(r[0] for r in rows),
            )
            for flag in {r[4] for r in self._of(environment)}
            if (rows := self._of(environment, flag))
        ]

    async def begun(self, environment):
        return min((hour for hour, *_ in self._of(environment)), default=None)

    async def forget(self, before):
        known = {p: {e.id for e in p.environments} for p in self._projects.values()}
        environments = set().union(*known.values())
        for key in list(self._kept):
            if key[2] < before or key[1] not in self._flags or key[0] not in environments:
                del self._kept[key]


class MemoryUses:
    """Who uses what, found by looking at everything."""

    def __init__(self, flags, segments, allocations):
        self._flags, self._segments, self._allocations = flags, segments, allocations

    def _of(self, project):
        for flag in self._flags.values():
            if flag.project_id == project.id:
                for key, switch in sorted(flag.switches.items()):
                    yield Use("flag", flag.key, key), used_by(targeting_of(switch.targeting))
        for segment, _ in self._segments.values():
            if segment.project_id == project.id:
                yield Use("segment", segment.key), segment_uses(membership_of(segment.document))
        for kept in self._allocations.values():
            if kept.document:
                use = Use("experiment", kept.document["experiment"])
                yield use, uses_of_experiments([kept.document])

    async def neighbours(self, project, environment):
        found = list(self._of(project))
        variants = {f.key: tuple(f.variants) for f in self._flags.values()}
        where, wanted = project.environment(environment).id, {}
        for kept in self._allocations.values():
            if kept.document and kept.environment_id == where:
                key = self._flags[kept.flag_id].key
                uses = uses_of_experiments([kept.document])
                wanted[key] = wanted.get(key, NOTHING) | uses
        return Neighbours(
            flags={
                u.key: Neighbour(variants[u.key], uses | wanted.get(u.key, NOTHING))
                for u, uses in found
                if u.environment == environment
            },
            segments={u.key: uses for u, uses in found if u.kind == "segment"},
        )

    async def of_flag(self, project, key):
        return [u for u, uses in sorted(self._of(project), key=_by_name) if key in uses.flags]

    async def of_segment(self, project, key):
        return [u for u, uses in sorted(self._of(project), key=_by_name) if key in uses.segments]
