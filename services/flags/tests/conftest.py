"""People, places, and stand-ins for the ports of flags that live in memory."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID, uuid4

import pytest

from chassis.caller import Caller
from chassis.errors import Unauthenticated, Unavailable
from chassis.pages import Slice, cut
from flags.domain.analyse import Neighbour, Neighbours, segment_uses
from flags.domain.compile import StoredSegment
from flags.domain.errors import AuthorGone, FlagKeyTaken, SegmentKeyTaken
from flags.domain.flag import SERVED, Switch
from flags.domain.guard import Evidence
from flags.domain.neighbourhood import uses_of_experiments
from flags.domain.place import Place
from flags.domain.reading import membership_of, targeting_of
from flags.domain.revision import stored_at, stored_now
from flags.domain.rollout import UNFINISHED, Rollout
from flags.domain.schedule import ScheduleStatus
from flags.domain.segment import Members
from flags.domain.usage import Count, Used
from flags.domain.uses import Use, used_by
from flags.ports import Reading
from flags.usecases.allocations import Allocations
from flags.usecases.clockwork import Clockwork
from flags.usecases.emergency import Emergency
from flags.usecases.exchange import Exchange
from flags.usecases.explaining import Explaining
from flags.usecases.flags import Flags
from flags.usecases.guarding import Guarding
from flags.usecases.projects import Projects
from flags.usecases.requests import ChangeRequests
from flags.usecases.revisions import Revisions
from flags.usecases.rollouts import Rollouts
from flags.usecases.rulesets import Rulesets
from flags.usecases.schedules import Schedules
from flags.usecases.segments import Segments
from flags.usecases.usage import Counting, Usages

DAWN = datetime(2026, 1, 1, tzinfo=UTC)
EVERYTHING = frozenset({"experiment:read"}) | frozenset(
    f"{kind}:{verb}"
    for kind in ("flag", "segment", "environment")
    for verb in ("read", "create", "update", "delete", "toggle", "evaluate")
)


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

    async def page(self, tenant, ask):
        mine = sorted((p for p in self._kept.values() if p.tenant == tenant), key=lambda p: p.key)
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
            if environment in project.environments:
                rest = tuple(e for e in project.environments if e != environment)
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


class MemoryPlans:
    """Scheduled changes, or rollouts, over a dictionary."""

    def __init__(self, kept, waiting):
        self._kept, self._waiting = kept, waiting

    def _of(self, flag, environment=None):
        return [
            p
            for _, p in sorted(self._kept.items())
            if p.spot.flag_id == flag.id and environment in (None, p.spot.environment)
        ]

    async def add(self, plan):
        self._kept[plan.id] = plan

    async def put(self, plan):
        self._kept[plan.id] = plan

    async def get(self, flag, id_, *, lock=False):
        return next((p for p in self._of(flag) if p.id == id_), None)

    async def page(self, flag, environment, ask):
        mine = self._of(flag, environment)[::-1]
        rest = [p for p in mine if not ask.after or str(p.id) < ask.after[0]][ask.offset :]
        items, after = cut(rest[: ask.limit + 1], ask.limit, lambda p: (str(p.id),))
        return Slice(items=items, next=after, total=len(mine))

    async def count(self, flag):
        return len([p for p in self._of(flag) if p.status in self._waiting])

    async def pending(self, flag, environment):
        return [p for p in self._of(flag, environment) if p.status in self._waiting]

    async def unfinished(self, flag, environment):
        return next(iter(await self.pending(flag, environment)), None)

    async def claim(self, now):
        due = [
            p
            for p in self._kept.values()
            if p.status in self._waiting and p.next_at and p.next_at <= now and not _guarded(p)
        ]
        return min(due, key=lambda p: (p.next_at, p.id), default=None)

    async def to_look_at(self, now):
        due = [p for p in self._kept.values() if p.look_at and p.look_at <= now]
        return min(due, key=lambda p: (p.look_at, p.id), default=None)


def _guarded(plan):
    return isinstance(plan, Rollout) and plan.ramp.guard is not None


class MemoryRequests:
    """Change requests over a dictionary."""

    def __init__(self, kept, flags):
        self._kept, self._flags = kept, flags

    async def add(self, request):
        self._kept[request.id] = request

    async def put(self, request):
        self._kept[request.id] = request

    async def get(self, project, request, *, lock=False):
        found = self._kept.get(request)
        return found if found and found.spot.project_id == project.id else None

    async def page(self, project, wanted, ask):
        mine = [
            r
            for _, r in sorted(self._kept.items(), reverse=True)
            if r.spot.project_id == project.id
            and wanted.status in (None, r.status)
            and wanted.environment in (None, r.spot.environment)
            and wanted.flag in (None, r.spot.flag)
            and wanted.owner in (None, self._flags[r.spot.flag_id].owner_id)
        ]
        rest = [r for r in mine if not ask.after or str(r.id) < ask.after[0]][ask.offset :]
        items, after = cut(rest[: ask.limit + 1], ask.limit, lambda r: (str(r.id),))
        return Slice(items=items, next=after, total=len(mine))


class KnownAuthors:
    """Authors who may what a test says; by default, what they always could."""

    def __init__(self, *callers):
        self.callers = {caller.owner: caller for caller in callers}
        self.away = False

    def caller(self, author, spot):
        if self.away:
            raise Unavailable("iam is away")
        if author.account not in self.callers:
            raise AuthorGone("the account is gone")
        return self.callers[author.account]


class Lab:
    """Experiments that tell what a test says: evidence, or a failure to be raised. `between` runs while it is asked."""

    def __init__(self):
        self.says = Evidence(watched=frozenset({"errors"}), units=100)
        self.asked = []
        self.between = None

    async def evidence(self, tenant, experiment):
        self.asked.append((tenant, experiment))
        if self.between is not None:
            await self.between()
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


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
        return Slice(items=items, next=after, total=len(mine))

    async def served_at(self, project, environment, moment):
        newest = {r.flag_id: r for r in self._kept if r.at <= moment}
        flags = [f for f in self._flags.values() if f.project_id == project.id and f.id in newest]
        rows = [stored_at(f, newest[f.id].document, environment) for f in flags]
        return [row for row in rows if row is not None]


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
        return Neighbours(
            flags={
                u.key: Neighbour(variants[u.key], uses)
                for u, uses in found
                if u.environment == environment
            },
            segments={u.key: uses for u, uses in found if u.kind == "segment"},
        )

    async def of_flag(self, project, key):
        return [u for u, uses in sorted(self._of(project), key=_by_name) if key in uses.flags]

    async def of_segment(self, project, key):
        return [u for u, uses in sorted(self._of(project), key=_by_name) if key in uses.segments]


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

    async def of_flag(self, flag):
        found = [k for k in self._kept.values() if k.flag_id == flag.id and k.document]
        return sorted(found, key=lambda k: k.experiment_id)


def _by_name(found):
    return (found[0].kind, found[0].key, found[0].environment)


@dataclass
class MemoryWork:
    """The work, and the shelf, over the same dictionaries; what fails half-way is undone."""

    kept_projects: dict = field(default_factory=dict)
    kept_flags: dict = field(default_factory=dict)
    kept_segments: dict = field(default_factory=dict)
    kept_revisions: list = field(default_factory=list)
    kept_usage: dict = field(default_factory=dict)
    kept_schedules: dict = field(default_factory=dict)
    kept_rollouts: dict = field(default_factory=dict)
    kept_allocations: dict = field(default_factory=dict)
    kept_requests: dict = field(default_factory=dict)
    facts: list = field(default_factory=list)
    told: list = field(default_factory=list)
    away: bool = False
    closed: bool = False
    reads: int = 0

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator["MemoryWork"]:
        if self.closed:
            raise Unavailable("the database does not answer")
        kept = (
            self.kept_projects,
            self.kept_flags,
            self.kept_segments,
            self.kept_usage,
            self.kept_schedules,
            self.kept_rollouts,
            self.kept_allocations,
            self.kept_requests,
        )
        lists = self.facts, self.told, self.kept_revisions
        before = [dict(one) for one in kept], [list(one) for one in lists]
        self.projects = MemoryProjects(self.kept_projects, self.told, self.kept_flags)
        self.flags = MemoryFlags(self.kept_flags)
        self.segments = MemorySegments(self.kept_segments)
        self.history = MemoryRevisions(self.kept_revisions, self.kept_flags)
        self.schedules = MemoryPlans(self.kept_schedules, {ScheduleStatus.PENDING})
        self.rollouts = MemoryPlans(self.kept_rollouts, UNFINISHED)
        self.requests = MemoryRequests(self.kept_requests, self.kept_flags)
        self.usage = MemoryUsage(self.kept_usage, self.kept_projects, self.kept_flags)
        self.allocations = MemoryAllocations(self.kept_allocations)
        self.uses = MemoryUses(self.kept_flags, self.kept_segments, self.kept_allocations)
        try:
            yield self
        except BaseException:
            for now, then in zip(kept, before[0], strict=True):
                now.clear()
                now.update(then)
            for now, then in zip(lists, before[1], strict=True):
                now[:] = then
            raise

    def record(self, fact):
        self.facts.append(fact)

    async def read(self, place):
        self.reads += 1
        if self.away:
            raise Unavailable("the database does not answer")
        project = self.kept_projects.get((place.tenant, place.project))
        if project is None:
            return Reading(0, ())
        where, wanted = project.environment(place.environment).id, {}
        for k in sorted(self.kept_allocations.values(), key=lambda k: k.experiment_id):
            if k.document and k.environment_id == where:
                wanted[k.flag_id] = (*wanted.get(k.flag_id, ()), k.document)
        rows = [
            replace(_stored(f, place.environment), allocations=wanted.get(f.id, ()))
            for f in self.kept_flags.values()
            if f.project_id == project.id and f.lifecycle in SERVED
        ]
        segments = [
            StoredSegment(key=s.key, document=s.document, included=m.included, excluded=m.excluded)
            for s, m in self.kept_segments.values()
            if s.project_id == project.id
        ]
        return Reading(project.environment(place.environment).revision, rows, segments)

    async def revisions(self, places):
        if self.away:
            raise Unavailable("the database does not answer")
        return {
            Place(p.tenant, p.key, e.key): e.revision
            for p in self.kept_projects.values()
            for e in p.environments
            if Place(p.tenant, p.key, e.key) in places
        }


def _stored(flag, environment):
    return stored_now(flag, environment)


class KnownPeople:
    """An identity that knows callers by a name in the Authorization header."""

    def __init__(self, **people):
        self.people = people

    async def of(self, headers):
        name = headers.get("authorization", "").removeprefix("Bearer ")
        if name not in self.people:
            raise Unauthenticated("an access token or an API key is needed", code="no_credential")
        return self.people[name]


@pytest.fixture
def work():
    return MemoryWork()


@pytest.fixture
def ana():
    return Caller(
        subject=str(uuid4()), tenant=uuid4(), permissions=EVERYTHING, name="ana", credential="s1"
    )


@pytest.fixture
def here(ana):
    return Place(ana.tenant, "default", "production")


@pytest.fixture
def clock():
    ticks = count()
    return lambda: DAWN + timedelta(seconds=next(ticks))


@pytest.fixture
def new_id():
    numbers = count(1)
    base = uuid4().int >> 32 << 32
    return lambda: UUID(int=base + next(numbers))


@pytest.fixture
def flags(work, clock, new_id):
    return Flags(work, clock, new_id)


@pytest.fixture
def projects(work, clock, new_id):
    return Projects(work, clock, new_id)


@pytest.fixture
def segments(work, clock, new_id):
    return Segments(work, clock, new_id)


@pytest.fixture
def revisions(work, clock, new_id):
    return Revisions(work, clock, new_id)


@pytest.fixture
def allocations(work, clock, new_id):
    return Allocations(work, clock, new_id)


@pytest.fixture
def explaining(work, rulesets, clock, new_id):
    return Explaining(work, work, rulesets.seen, clock, new_id)


@pytest.fixture
def identity(ana):
    return KnownPeople(ana=ana)


@pytest.fixture
def rulesets(work):
    return Rulesets(work)


@pytest.fixture
def usages(work, clock, new_id):
    return Usages(work, clock, new_id)


@pytest.fixture
def counting(rulesets, work, clock):
    return Counting(rulesets, work, clock)


@pytest.fixture
def schedules(work, clock, new_id):
    return Schedules(work, clock, new_id)


@pytest.fixture
def rollouts(work, clock, new_id):
    return Rollouts(work, clock, new_id)


@pytest.fixture
def emergency(work, clock, new_id):
    return Emergency(work, clock, new_id)


@pytest.fixture
def requests(work, clock, new_id):
    return ChangeRequests(work, clock, new_id)


@pytest.fixture
def exchange(work, clock, new_id):
    return Exchange(work, clock, new_id)


@pytest.fixture
def authors(ana):
    return KnownAuthors(ana)


@pytest.fixture
def clockwork(work, authors, clock, new_id):
    return Clockwork(work, authors, clock, new_id)


@pytest.fixture
def lab():
    return Lab()


@pytest.fixture
def guarding(clockwork, lab):
    return Guarding(clockwork, lab)
