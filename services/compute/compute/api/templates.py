"""The REST doors of templates."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Request, Response
from pydantic import StringConstraints, model_validator

from chassis.http import (
    TAGGED,
    Asking,
    Body,
    Id,
    Page,
    Paging,
    View,
    doors,
    given,
    needs,
    tagged,
)
from compute.api.words import DiskGb, MemoryGb, Name, Search, Sha256
from compute.domain.image import ImageState
from compute.domain.order import Template
from compute.ports import Wanted
from compute.usecases.templates import NewTemplate, Templates

PREFIX = "/api/v1/vm-templates"
router = doors(PREFIX, "compute")
Uses = Annotated[Templates, given(Templates)]
Sort = Literal["created_at", "-created_at", "name", "-name"]


class TemplateBody(Body):
    """A template as it is asked for: of an image (`image_url`, qcow2 or raw) or of a machine (`source_vm_id`)."""

    name: Name
    description: Annotated[str, StringConstraints(max_length=4096)] = ""
    architecture: Literal["x86_64"] = "x86_64"
    min_memory_gb: MemoryGb = 1
    min_disk_gb: DiskGb = 1
    image_url: Annotated[str, StringConstraints(min_length=1, max_length=2048)] | None = None
    image_sha256: Sha256 | None = None
    source_vm_id: Id | None = None
    is_global: bool = False

    @model_validator(mode="after")
    def _has_one_source(self) -> "TemplateBody":
        if (self.image_url is None) is (self.source_vm_id is None):
            raise ValueError("say either image_url or source_vm_id")
        if self.image_sha256 is not None and self.image_url is None:
            raise ValueError("image_sha256 is the checksum of what lies at image_url")
        return self

    def asked(self) -> NewTemplate:
        """Return what is asked for."""
        said = self.model_dump(exclude={"image_sha256"})
        checksum = self.image_sha256 and self.image_sha256.removeprefix("sha256:")
        return NewTemplate(**said, image_sha256=checksum)


class TemplateView(View):
    """An image that machines are made from; `is_global` if it is for every tenant. Sizes in bytes.

    `status` ready: machines can be made from it; waiting, fetching: it is on its way; failed: `status_detail` says why.
    """

    id: UUID
    name: str
    description: str
    architecture: str
    min_memory_gb: int
    min_disk_gb: int
    is_global: bool
    status: ImageState
    status_detail: str | None
    received_bytes: int | None
    total_bytes: int | None
    image_url: str | None
    image_sha256: str | None
    source_vm_id: UUID | None
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
    """Return one template, and how far its image is."""
    found = await uses.read(caller, template)
    if tagged(response, request, found.revision):
        return Response(status_code=304, headers=dict(response.headers))
    return _view(found)


@router.post("", status_code=201, response_model=TemplateView, **needs("template:create"))
async def create_template(
    body: TemplateBody, caller: Asking, uses: Uses, request: Request, response: Response
) -> TemplateView:
    """Ask for a template; its image is fetched or copied afterwards, and `status` says how far it is."""
    made = await uses.create(caller, body.asked())
    response.headers["location"] = f"{PREFIX}/{made.id}"
    tagged(response, request, made.revision)
    return _view(made)


@router.delete("/{template}", status_code=204, **needs("template:delete"))
async def delete_template(template: UUID, caller: Asking, uses: Uses) -> None:
    """Delete a template that no machine was made from."""
    await uses.delete(caller, template)


def _view(template: Template) -> TemplateView:
    image = template.image
    return TemplateView(
        id=template.id,
        name=template.name,
        description=template.description,
        architecture=template.architecture,
        min_memory_gb=template.min_memory_gb,
        min_disk_gb=template.min_disk_gb,
        is_global=template.tenant is None,
        status=template.state,
        status_detail=image.detail if image else None,
        received_bytes=image.progress.received_bytes if image else None,
        total_bytes=image.progress.total_bytes if image else None,
        image_url=image.url if image else None,
        image_sha256=(image.sha256 or image.wanted_sha256) if image else None,
        source_vm_id=image.source_vm_id if image else None,
        created_at=template.created_at,
    )
