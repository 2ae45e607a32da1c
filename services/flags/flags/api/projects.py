"""Projects and environments, in REST."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response
from pydantic import Field

from chassis.http import (
    TAGGED,
    Asking,
    Body,
    Expected,
    Page,
    Paging,
    View,
    doors,
    etag,
    given,
    needs,
    needs_somewhere,
    tagged,
)
from flags.api.words import NO_PLACE, SLUG, Name, ProjectQuery, Slug, Text
from flags.domain.listing import Sought
from flags.domain.place import Environment, Project
from flags.usecases.projects import EnvironmentAim, Projects

router = doors("/api/v1", "projects")
Uses = Annotated[Projects, given(Projects)]


class ProjectBody(Body):
    """A project to be made."""

    key: Slug
    name: Name


class EnvironmentView(View):
    """An environment as clients see it."""

    id: UUID
    key: str
    name: str
    approvals: int = 0
    version: int
    created_at: datetime


class ProjectView(View):
    """A project as clients see it."""

    id: UUID
    key: str
    name: str
    environments: list[EnvironmentView]
    version: int
    created_at: datetime


class ProjectPage(Page[ProjectView]):
    """A page of projects."""


class EnvironmentList(View):
    """All environments of a project."""

    items: list[EnvironmentView]


@router.get(
    "/projects",
    response_model=ProjectPage,
    response_model_exclude_unset=True,
    **needs_somewhere("flag:read"),
)
async def list_projects(
    caller: Asking,
    pager: Paging,
    projects: Uses,
    search: Annotated[Text | None, Query()] = None,
    key: Annotated[Slug | None, Query()] = None,
) -> dict[str, Any]:
    """List the tenant's projects, by key: all, those with a text in their key or name, or the one with a key."""
    part = await projects.page(caller, Sought(key=key, search=search), pager.ask)
    return pager.render(part, ProjectView.model_validate)


@router.post("/projects", response_model=ProjectView, status_code=201, **needs("flag:create"))
async def create_project(
    body: ProjectBody, caller: Asking, projects: Uses, response: Response
) -> Project:
    """Make a project, with environments `production` and `development`."""
    project = await projects.create(caller, body.key, body.name)
    response.headers["location"] = f"/api/v1/projects?key={project.key}"
    response.headers["etag"] = etag(project.version)
    return project


@router.get(
    "/environments", response_model=EnvironmentList, **needs_somewhere("flag:read", **NO_PLACE)
)
async def list_environments(
    caller: Asking, projects: Uses, project: ProjectQuery = None
) -> dict[str, list[Environment]]:
    """List the environments of a project."""
    return {"items": list(await projects.environments(caller, project))}


class EnvironmentBody(Body):
    """An environment to be made."""

    key: Slug
    name: Name


class EnvironmentPatch(Body):
    """What is to change. `approvals`: so many others have to approve a change of a flag here; 0: nobody has to."""

    name: Name = Field(default_factory=str)
    approvals: Annotated[int, Field(ge=0, le=10)] = 0


EnvironmentPath = Annotated[str, Path(pattern=SLUG, max_length=63)]


async def _which(
    environment: EnvironmentPath, version: Expected, project: ProjectQuery = None
) -> EnvironmentAim:
    return EnvironmentAim(project=project, key=environment, version=version)


Which = Annotated[EnvironmentAim, Depends(_which)]


@router.post(
    "/environments",
    response_model=EnvironmentView,
    status_code=201,
    **needs_somewhere("environment:create", **NO_PLACE),
)
async def create_environment(
    body: EnvironmentBody,
    caller: Asking,
    projects: Uses,
    response: Response,
    project: ProjectQuery = None,
) -> Environment:
    """Make an environment, in which every flag of the project is disabled."""
    made = await projects.add_environment(caller, project, body.key, body.name)
    response.headers["location"] = f"/api/v1/environments/{made.key}"
    response.headers["etag"] = etag(made.version)
    return made


@router.get(
    "/environments/{environment}",
    response_model=EnvironmentView,
    responses=TAGGED,
    **needs_somewhere("environment:read"),
)
async def get_environment(
    which: Which, caller: Asking, projects: Uses, request: Request, response: Response
) -> Environment | Response:
    """Return one environment."""
    found = await projects.environment(caller, which)
    if tagged(response, request, found.version):
        return Response(status_code=304, headers=dict(response.headers))
    return found


@router.patch(
    "/environments/{environment}",
    response_model=EnvironmentView,
    **needs_somewhere("environment:update"),
)
async def change_environment(
    which: Which, body: EnvironmentPatch, caller: Asking, projects: Uses, response: Response
) -> Environment:
    """Give an environment another name, or say how many approvals a change of a flag takes there."""
    fields = body.model_dump(exclude_unset=True)
    changed = await projects.change_environment(caller, which, fields)
    response.headers["etag"] = etag(changed.version)
    return changed


@router.delete(
    "/environments/{environment}", status_code=204, **needs_somewhere("environment:delete")
)
async def delete_environment(which: Which, caller: Asking, projects: Uses) -> None:
    """Forget an environment, with what every flag does in it; production stays."""
    await projects.delete_environment(caller, which)
