"""Projects and environments, in REST."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Response

from chassis.http import (
    Asking,
    Body,
    Page,
    Paging,
    View,
    doors,
    etag,
    given,
    needs,
    needs_somewhere,
)
from flags.api.words import NO_PLACE, Name, ProjectQuery, Slug
from flags.domain.place import Environment, Project
from flags.usecases.projects import Projects

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
async def list_projects(caller: Asking, pager: Paging, projects: Uses) -> dict[str, Any]:
    """List the tenant's projects."""
    return pager.render(await projects.page(caller, pager.ask), ProjectView.model_validate)


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
