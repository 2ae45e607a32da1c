"""A unit of work, in memory."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from chassis.errors import Unavailable
from flags.domain.compile import StoredSegment
from flags.domain.flag import SERVED
from flags.domain.place import Place
from flags.domain.revision import stored_now
from flags.domain.rollout import UNFINISHED
from flags.domain.schedule import ScheduleStatus
from flags.ports.serving import Reading
from services.flags.tests.fakes.plans import MemoryPlans, MemoryRequests
from services.flags.tests.fakes.projects import MemoryFlags, MemoryProjects, MemoryUsage, MemoryUses
from services.flags.tests.fakes.rules import MemoryAllocations, MemoryRevisions, MemorySegments


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
    looks: int = 0

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
        if project is None or place.environment not in [e.key for e in project.environments]:
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
        self.looks += 1
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
