"""Projects and their environments. A tenant is born with one project, made by whoever comes first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor, Fact, Target
from chassis.pages import PageAsk, Slice
from flags.domain.errors import ProjectKeyTaken, ProjectNotFound
from flags.domain.place import BORN_WITH, DEFAULT_PROJECT, Environment, Project, place_of
from flags.ports import OpenWork, Work


@dataclass(frozen=True, slots=True)
class Projects:
    """Everything one can do to projects."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def create(self, caller: Caller, key: str, name: str) -> Project:
        """Make a project with its two first environments."""
        caller.must("flag:create")
        project = self._made(caller.tenant, key, name)
        async with self.work() as work:
            if key == DEFAULT_PROJECT or not await work.projects.add(project):
                raise ProjectKeyTaken(f"there is a project {key!r} already")
            work.record(_created(caller, project))
        return project

    async def page(self, caller: Caller, ask: PageAsk) -> Slice[Project]:
        """List the caller's projects."""
        caller.must("flag:read")
        async with self.work() as work:
            await self.home(work, caller.tenant, DEFAULT_PROJECT)
            return await work.projects.page(caller.tenant, ask)

    async def environments(self, caller: Caller, project: str | None) -> Sequence[Environment]:
        """List the environments of a project."""
        caller.must("flag:read")
        place = place_of(caller, project, None)
        async with self.work() as work:
            return (await self.home(work, caller.tenant, place.project)).environments

    async def home(self, work: Work, tenant: UUID, key: str) -> Project:
        """Return a project; the default one comes into being when it is first asked for."""
        if found := await work.projects.get(tenant, key):
            return found
        if key == DEFAULT_PROJECT:
            born = self._made(tenant, key, "Default")
            if await work.projects.add(born):
                return born
            if found := await work.projects.get(tenant, key):  # somebody was a moment faster
                return found
        raise ProjectNotFound(f"there is no project {key!r}")

    def _made(self, tenant: UUID, key: str, name: str) -> Project:
        now = self.now()
        environments = tuple(
            Environment(id=self.new_id(), key=key, name=name, created_at=now)
            for key, name in BORN_WITH.items()
        )
        return Project(
            id=self.new_id(),
            tenant=tenant,
            key=key,
            name=name,
            environments=environments,
            created_at=now,
        )


def _created(caller: Caller, project: Project) -> Fact:
    environments = [environment.key for environment in project.environments]
    return Fact(
        tenant=caller.tenant,
        actor=Actor.of(caller),
        action="project.created",
        target=Target("project", str(project.id), project.key),
        after={"key": project.key, "name": project.name, "environments": environments},
    )
