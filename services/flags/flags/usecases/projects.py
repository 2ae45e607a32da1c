"""Managing projects, and listing their environments."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from authz.standing import Thing
from chassis.caller import Caller
from chassis.facts import Actor, Fact, Target
from chassis.pages import PageAsk, Slice
from flags.domain.errors import ProjectKeyTaken
from flags.domain.place import DEFAULT_PROJECT, Environment, Project, founded, place_of
from flags.ports import OpenWork, Work
from flags.usecases.homes import home, some_ids


@dataclass(frozen=True, slots=True)
class Projects:
    """Everything one can do to projects."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def create(self, caller: Caller, key: str, name: str) -> Project:
        """Make a project with its two first environments."""
        caller.must("flag:create")
        project = founded(caller.tenant, key, name, some_ids(self.new_id), self.now())
        async with self.work() as work:
            if key == DEFAULT_PROJECT or not await work.projects.add(project):
                raise ProjectKeyTaken(f"there is a project {key!r} already")
            work.record(_created(caller, project))
        return project

    async def page(self, caller: Caller, ask: PageAsk) -> Slice[Project]:
        """List the tenant's projects; to whom may not read the flags of all, those where they may read some."""
        caller.must_for_some("flag:read")
        async with self.work() as work:
            await self._home(work, caller.tenant, DEFAULT_PROJECT)
            part = await work.projects.page(caller.tenant, ask)
        if caller.may("flag:read"):
            return part
        shown = [p for p in part.items if caller.may("flag:read", Thing(caller.owner, p.key))]
        return replace(part, items=shown, total=None)

    async def environments(self, caller: Caller, project: str | None) -> Sequence[Environment]:
        """List the environments of a project."""
        caller.must_for_some("flag:read")
        place = place_of(caller, project, None)
        caller.must_or_own("flag:read", project=place.project)
        async with self.work() as work:
            return (await self._home(work, caller.tenant, place.project)).environments

    async def _home(self, work: Work, tenant: UUID, key: str) -> Project:
        return await home(work, tenant, key, self.now(), self.new_id)


def _created(caller: Caller, project: Project) -> Fact:
    environments = [environment.key for environment in project.environments]
    return Fact(
        tenant=caller.tenant,
        actor=Actor.of(caller),
        action="project.created",
        target=Target("project", str(project.id), project.key),
        after={"key": project.key, "name": project.name, "environments": environments},
    )
