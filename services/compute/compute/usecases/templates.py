"""What machines can be made from: what came with the deployment, and what tenants make of images and machines."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from authz.standing import Thing
from chassis.caller import Caller
from chassis.errors import FieldError
from chassis.facts import Actor, Fact, Target
from chassis.pages import Slice
from compute.domain.errors import TemplateNotFound
from compute.domain.image import Image
from compute.domain.image_errors import (
    BadImageUrl,
    GlobalTemplateForbidden,
    NoSuchVm,
    TemplateInUse,
    TooManyTemplates,
    VmNotStopped,
)
from compute.domain.order import Template
from compute.domain.quota import Amount
from compute.domain.vm import Status
from compute.ports import OpenWork, Wanted, Work
from compute.ports.hypervisor import Hypervisor
from compute.ports.images import Depot

MOST = 100  # templates that one tenant may have of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTemplate:
    """A template as it is asked for: of an image at an address, or of a machine. Memory and disk in GiB."""

    name: str
    description: str
    architecture: str
    min_memory_gb: int
    min_disk_gb: int
    image_url: str | None = None
    image_sha256: str | None = None
    source_vm_id: UUID | None = None
    is_global: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Templates:
    """Everything one can do with templates."""

    work: OpenWork
    hypervisor: Hypervisor
    depot: Depot
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def read(self, caller: Caller, template_id: UUID) -> Template:
        """Return one template that the tenant may use."""
        caller.must("template:read")
        async with self.work() as work:
            return _there(await work.templates.find(caller.tenant, template_id), template_id)

    async def list(self, caller: Caller, wanted: Wanted) -> Slice[Template]:
        """Return a part of the templates that the tenant may use."""
        caller.must("template:read")
        async with self.work() as work:
            return await work.templates.list(caller.tenant, wanted)

    async def create(self, caller: Caller, new: NewTemplate) -> Template:
        """Write down that a template is wanted; its image is had afterwards. Unavailable where nothing runs it."""
        caller.must("template:create")
        if new.is_global:
            _must_everywhere(caller, "template:create")
        self._check(new)
        (await self.hypervisor.probe()).must_run_machines()
        template = self._made(caller, new)
        async with self.work() as work:
            await work.quotas.lock(caller.tenant, Amount())  # who counts at the same time waits
            if await work.templates.count(caller.tenant) >= MOST:
                raise TooManyTemplates(f"a tenant has {MOST} templates at most: delete one")
            await _source_stopped(work, caller, new)
            await work.templates.add(template)
            if template.image is not None:
                await work.images.add(template.image)
            work.record(_told(caller, "created", template))
        return template

    async def delete(self, caller: Caller, template_id: UUID, reason: str = "") -> None:
        """Forget a template that no machine was made from; its files go afterwards."""
        caller.must("template:delete")
        async with self.work() as work:
            found = await work.templates.take(caller.tenant, template_id)
            template = _there(found, template_id)
            if template.tenant is None:
                _must_everywhere(caller, "template:delete")
            if count := await work.templates.used(template_id):
                raise TemplateInUse(f"{count} machines are made from it: delete them first")
            await work.templates.remove(template)
            work.record(replace(_told(caller, "deleted", template), reason=reason))

    def _check(self, new: NewTemplate) -> None:
        if new.image_url is not None and (why := self.depot.trouble(new.image_url)):
            raise BadImageUrl(why, errors=(FieldError("/image_url", why, BadImageUrl.code),))

    def _made(self, caller: Caller, new: NewTemplate) -> Template:
        id_, now = self.new_id(), self.now()
        tenant = None if new.is_global else caller.tenant
        image = Image(
            id=id_,
            tenant=tenant,
            url=new.image_url,
            wanted_sha256=new.image_sha256,
            source_vm_id=new.source_vm_id,
            created_at=now,
            updated_at=now,
            due_at=now,
        )
        return Template(
            id=id_,
            tenant=tenant,
            name=new.name,
            description=new.description,
            architecture=new.architecture,
            min_memory_gb=new.min_memory_gb,
            min_disk_gb=new.min_disk_gb,
            created_at=now,
            image=image,
        )


async def _source_stopped(work: Work, caller: Caller, new: NewTemplate) -> None:
    """Refuse to copy a machine that is not there, not the caller's to read, or not stopped."""
    if new.source_vm_id is None:
        return
    found = await work.vms.find(caller.tenant, new.source_vm_id)
    if found is None or not caller.may("vm:read", Thing(found.owner_id, id=str(found.id))):
        said = f"there is no machine {new.source_vm_id}"
        raise NoSuchVm(said, errors=(FieldError("/source_vm_id", said, NoSuchVm.code),))
    if found.status is not Status.STOPPED:
        detail = f" ({found.status_detail})" if found.status_detail else ""
        raise VmNotStopped(f"machine {found.name!r} is {found.status}{detail}: stop it first")


def _there(found: Template | None, template_id: UUID) -> Template:
    if found is None:
        raise TemplateNotFound(f"there is no template {template_id}")
    return found


def _must_everywhere(caller: Caller, permission: str) -> None:
    if not caller.may_everywhere(permission):
        said = "Insufficient permissions: templates for all are the platform's administrators'"
        raise GlobalTemplateForbidden(said, needed=permission)


def _told(caller: Caller, verbed: str, template: Template) -> Fact:
    document = _document(template)
    return Fact(
        tenant=template.tenant or caller.tenant,
        actor=Actor.of(caller),
        action=f"template.{verbed}",
        target=Target("template", str(template.id), template.name),
        before=document if verbed == "deleted" else None,
        after=None if verbed == "deleted" else document,
    )


def _document(template: Template) -> dict[str, Any]:
    image = template.image
    return {
        "name": template.name,
        "description": template.description,
        "is_global": template.tenant is None,
        "image_url": image.url if image else None,
        "source_vm_id": str(image.source_vm_id) if image and image.source_vm_id else None,
    }
