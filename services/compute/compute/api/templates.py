"""The REST doors of templates."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Request, Response

from chassis.http import TAGGED, Asking, Page, Paging, View, doors, given, needs, tagged
from compute.api.words import Search
from compute.domain.order import Template
from compute.ports import Wanted
from compute.usecases.templates import Templates

router = doors("/api/v1/vm-templates", "compute")
Uses = Annotated[Templates, given(Templates)]
Sort = Literal["created_at", "-created_at", "name", "-name"]


class TemplateView(View):
    """An image that machines are made from; `is_global` if it is for every tenant."""

    id: UUID
    name: str
    description: str
    architecture: str
    min_memory_gb: int
    min_disk_gb: int
    is_global: bool
    created_at: datetime


class TemplatePage(Page[TemplateView]):
    """A part of a list of templates: numbered (`total`, `page`, `limit`) or by cursor (`has_more`)."""


@router.get(
    "", response_model=TemplatePage, response_model_exclude_unset=True, **needs("template:read")
)
async def list_templates(
    caller: Asking, uses: Uses, pager: Paging, search: Search = "", sort: Sort = "name"
) -> Any:  # noqa: ANN401
    """List the templates that the tenant may use, by name unless said."""
    wanted = Wanted(ask=pager.ask, search=search, sort=sort)
    return pager.render(await uses.list(caller, wanted), _view)


@router.get("/{template}", response_model=TemplateView, responses=TAGGED, **needs("template:read"))
async def read_template(
    template: UUID, caller: Asking, uses: Uses, request: Request, response: Response
) -> Any:  # noqa: ANN401
    """Return one template. It never changes, so its ETag does not either."""
    found = await uses.read(caller, template)
    if tagged(response, request, 1):
        return Response(status_code=304, headers=dict(response.headers))
    return _view(found)


def _view(template: Template) -> TemplateView:
    return TemplateView(
        id=template.id,
        name=template.name,
        description=template.description,
        architecture=template.architecture,
        min_memory_gb=template.min_memory_gb,
        min_disk_gb=template.min_disk_gb,
        is_global=template.tenant is None,
        created_at=template.created_at,
    )
