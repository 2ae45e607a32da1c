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
from flags.domain.errors import FlagKeyTaken
from flags.domain.flag import Lifecycle
from flags.domain.place import Place
from flags.domain.ruleset import Stored
from flags.ports import Reading
from flags.usecases.flags import Flags
from flags.usecases.projects import Projects
from flags.usecases.rulesets import Rulesets

DAWN = datetime(2026, 1, 1, tzinfo=UTC)
EVERYTHING = frozenset(
    f"flag:{verb}" for verb in ("read", "create", "update", "delete", "toggle", "evaluate")
)


class MemoryProjects:
    """The project book over a dictionary."""

    def __init__(self, kept, told):
        self._kept, self._told = kept, told

    async def get(self, tenant, key):
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


@dataclass
class MemoryWork:
    """The work, and the shelf, over the same dictionaries; what fails half-way is undone."""

    kept_projects: dict = field(default_factory=dict)
    kept_flags: dict = field(default_factory=dict)
    facts: list = field(default_factory=list)
    told: list = field(default_factory=list)
    away: bool = False
    reads: int = 0

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator["MemoryWork"]:
        before = dict(self.kept_projects), dict(self.kept_flags), list(self.facts), list(self.told)
        self.projects = MemoryProjects(self.kept_projects, self.told)
        self.flags = MemoryFlags(self.kept_flags)
        try:
            yield self
        except BaseException:
            kept = self.kept_projects, self.kept_flags
            for now, then in zip(kept, before[:2], strict=True):
                now.clear()
                now.update(then)
            self.facts[:], self.told[:] = before[2:]
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
        rows = [
            _stored(f, place.environment)
            for f in self.kept_flags.values()
            if f.project_id == project.id and f.lifecycle is Lifecycle.ACTIVE
        ]
        return Reading(project.environment(place.environment).revision, rows)

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
    switch = flag.switch(environment)
    return Stored(
        key=flag.key,
        type=flag.type.value,
        variants=dict(flag.variants),
        enabled=switch.enabled,
        default_variant=switch.default_variant,
        off_variant=switch.off_variant,
        client_side=flag.client_side,
    )


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
def identity(ana):
    return KnownPeople(ana=ana)


@pytest.fixture
def rulesets(work):
    return Rulesets(work)
