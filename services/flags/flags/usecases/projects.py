"""Managing projects, and listing their environments."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from authz.standing import Thing
from chassis.caller import Caller
from chassis.facts import Actor, Fact, Target
from chassis.pages import MAX_LIMIT, PageAsk, Slice, cut
from flags.domain.errors import (
    EnvironmentKept,
    EnvironmentKeyTaken,
    InExperiment,
    ProjectKeyTaken,
    StaleEnvironment,
    TooManyEnvironments,
)
from flags.domain.listing import Sought
from flags.domain.place import (
    DEFAULT_ENVIRONMENT,
    DEFAULT_PROJECT,
    MOST_ENVIRONMENTS,
    Environment,
    Project,
    first_revision,
    founded,
    place_of,
)
from flags.ports import Hold, OpenWork, Work
from flags.usecases.homes import home, some_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentAim:
    """Which environment is meant, in which project (None: the caller's), in which version (None: any)."""

    project: str | None
    key: str
    version: int | None = None


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

    async def page(self, caller: Caller, sought: Sought, ask: PageAsk) -> Slice[Project]:
        """List the tenant's projects; to whom may not read the flags of all, those where they may read some."""
        caller.must_for_some("flag:read")
        async with self.work() as work:
            await self._home(work, caller.tenant, DEFAULT_PROJECT)
            if caller.may("flag:read"):
                return await work.projects.page(caller.tenant, sought, ask)
            every = await _every(work, caller.tenant, sought)
        # What is not shown is left out before pages are cut: these have no holes, and count only what is shown.
        mine = [p for p in every if caller.may("flag:read", Thing(caller.owner, p.key))]
        rest = [p for p in mine if not ask.after or p.key > ask.after[0]][ask.offset :]
        items, after = cut(rest[: ask.limit + 1], ask.limit, lambda project: (project.key,))
        return Slice(items=items, next=after, total=len(mine))

    async def environments(self, caller: Caller, project: str | None) -> Sequence[Environment]:
        """List the environments of a project."""
        caller.must_for_some("flag:read")
        place = place_of(caller, project, None)
        caller.must_or_own("flag:read", project=place.project)
        async with self.work() as work:
            return (await self._home(work, caller.tenant, place.project)).environments

    async def add_environment(
        self, caller: Caller, project: str | None, key: str, name: str
    ) -> Environment:
        """Make an environment, in which every flag is disabled and serves what it serves in the first one."""
        caller.must_for_some("environment:create")
        place = place_of(caller, project, None)
        caller.must("environment:create", project=place.project)
        now = self.now()
        made = Environment(
            id=self.new_id(), key=key, name=name, revision=first_revision(now), created_at=now
        )
        async with self.work() as work:
            found = await self._home(work, caller.tenant, place.project, "alone")
            if len(found.environments) >= MOST_ENVIRONMENTS:
                raise TooManyEnvironments(f"a project has at most {MOST_ENVIRONMENTS} environments")
            if not await work.projects.add_environment(found, made):
                raise EnvironmentKeyTaken(f"there is an environment {key!r} already")
            # Its flags are there from now on: who asked before holds nothing, at revision 0.
            whole = replace(found, environments=(*found.environments, made))
            await work.projects.bump(whole, [key])
            work.record(environment_fact(caller, "environment.created", None, made))
        return made

    async def environment(self, caller: Caller, aim: EnvironmentAim) -> Environment:
        """Return one environment."""
        caller.must("environment:read", project=_project_of(caller, aim))
        async with self.work() as work:
            return (await self._aimed(work, caller, aim))[1]

    async def change_environment(
        self, caller: Caller, aim: EnvironmentAim, fields: Mapping[str, Any]
    ) -> Environment:
        """Give an environment another name, or another number of approvals that a change takes; its key stays."""
        caller.must("environment:update", project=_project_of(caller, aim))
        async with self.work() as work:
            _, before = await self._aimed(work, caller, aim, "alone")
            after = replace(before, **fields)
            if after == before:
                return before
            after = replace(after, version=before.version + 1)
            if not await work.projects.put_environment(before, after):
                raise _stale(before)
            work.record(environment_fact(caller, "environment.updated", before, after))
        return after

    async def delete_environment(self, caller: Caller, aim: EnvironmentAim) -> None:
        """Forget an environment, with what every flag does in it; production stays."""
        caller.must("environment:delete", project=_project_of(caller, aim))
        async with self.work() as work:
            project, found = await self._aimed(work, caller, aim, "alone")
            if aim.key == DEFAULT_ENVIRONMENT:
                raise EnvironmentKept(f"{aim.key!r} stands for a request that names no environment")
            await _must_run_nothing(work, project, found)
            await work.projects.bump(project, [found.key])
            await work.projects.remove_environment(found)
            work.record(environment_fact(caller, "environment.deleted", found, None))

    async def _aimed(
        self, work: Work, caller: Caller, aim: EnvironmentAim, hold: Hold | None = None
    ) -> tuple[Project, Environment]:
        project = await self._home(work, caller.tenant, _project_of(caller, aim), hold)
        found = project.environment(aim.key)
        if aim.version not in (None, found.version):
            raise _stale(found)
        return project, found

    async def _home(self, work: Work, tenant: UUID, key: str, hold: Hold | None = None) -> Project:
        return await home(work, tenant, key, self.now(), self.new_id, hold)


async def _every(work: Work, tenant: UUID, sought: Sought) -> list[Project]:
    part = await work.projects.page(tenant, sought, PageAsk(limit=MAX_LIMIT))
    found = list(part.items)
    while part.next:
        ask = PageAsk(limit=MAX_LIMIT, after=part.next)
        part = await work.projects.page(tenant, sought, ask)
        found += part.items
    return found


async def _must_run_nothing(work: Work, project: Project, environment: Environment) -> None:
    """Refuse to take an environment away from an experiment that assigns units in it."""
    for kept in await work.allocations.running(project):
        if kept.environment_id == environment.id:
            name = (kept.document or {}).get("experiment")
            raise InExperiment(
                f"experiment {name!r} is running in environment {environment.key!r}: end it first"
            )


def _project_of(caller: Caller, aim: EnvironmentAim) -> str:
    return place_of(caller, aim.project, None).project


def _stale(environment: Environment) -> StaleEnvironment:
    return StaleEnvironment(f"environment {environment.key!r} was changed by now: read it again")


def environment_fact(
    caller: Caller, action: str, before: Environment | None, after: Environment | None
) -> Fact:
    """Return a fact about an environment."""
    subject = after or before
    assert subject is not None
    old, new = (_told(e) if e else None for e in (before, after))
    return Fact(
        tenant=caller.tenant,
        actor=Actor.of(caller),
        action=action,
        target=Target("environment", str(subject.id), subject.key),
        before=old,
        after=new,
    )


def _told(environment: Environment) -> dict[str, Any]:
    said = {"key": environment.key, "name": environment.name}
    return {**said, "approvals": environment.approvals} if environment.approvals else said


def _created(caller: Caller, project: Project) -> Fact:
    environments = [environment.key for environment in project.environments]
    return Fact(
        tenant=caller.tenant,
        actor=Actor.of(caller),
        action="project.created",
        target=Target("project", str(project.id), project.key),
        after={"key": project.key, "name": project.name, "environments": environments},
    )
