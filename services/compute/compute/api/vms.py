"""The REST doors of machines."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from fastapi import Depends, Query, Request, Response
from pydantic import Field

from chassis.http import (
    TAGGED,
    Asking,
    Body,
    Expected,
    Id,
    Page,
    Paging,
    View,
    doors,
    given,
    needs,
    needs_somewhere,
    tagged,
)
from compute.api.operations import PREFIX as OPERATIONS
from compute.api.operations import OperationView
from compute.api.words import (
    Cpu,
    DiskGb,
    IsoUrl,
    Labels,
    MemoryGb,
    Name,
    Reason,
    Search,
    Sha256,
    SshKeys,
    UserData,
)
from compute.domain.happening import Level
from compute.domain.order import Order, SourceType
from compute.domain.vm import Action, Changes, Status, Vm
from compute.ports import Wanted
from compute.usecases.vms import Intent, Vms

PREFIX = "/api/v1/vms"
router = doors(PREFIX, "compute")
Uses = Annotated[Vms, given(Vms)]
Sort = Literal[
    "created_at", "-created_at", "updated_at", "-updated_at", "name", "-name", "number", "-number"
]


async def _aim(vm: UUID, expected: Expected) -> Intent:
    return Intent(vm=vm, version=expected)


Aimed = Annotated[Intent, Depends(_aim)]


# --- what is sent and shown ---------------------------------------------------------------------------------------


class VmBody(Body):
    """A machine as it is asked for: from a template (`template_id`) or from an ISO image (`iso_url`, `iso_sha256`)."""

    name: Name
    source_type: Literal["template", "iso"]
    template_id: Id | None = None
    iso_url: IsoUrl | None = None
    iso_sha256: Sha256 | None = None
    cpu: Cpu
    memory_gb: MemoryGb
    disk_gb: DiskGb
    user_data: UserData | None = None
    ssh_keys: SshKeys = Field(default_factory=list[str])
    labels: Labels = Field(default_factory=dict[str, str])


class VmPatch(Body):
    """What is to change; what is not said stays."""

    name: Name = Field(default_factory=str)
    labels: Labels = Field(default_factory=dict[str, str])
    reason: Reason = ""


class VmView(View):
    """A machine. What nobody knows yet is null: an address until it was observed, a detail where there is none."""

    id: UUID
    number: int
    name: str
    status: Status
    status_detail: str | None
    cpu: int
    memory_gb: int
    disk_gb: int
    ip_address: str | None
    source_type: SourceType
    template_id: UUID | None
    template_name: str | None
    iso_url: str | None
    iso_sha256: str | None
    labels: dict[str, str]
    owner_id: str
    operation_id: UUID | None
    version: int
    created_at: datetime
    updated_at: datetime


class ActionBody(Body):
    """What the machine is to do, and why."""

    action: Literal["start", "stop", "restart", "pause", "resume", "reset"]
    reason: Reason = ""


class LogEntryView(View):
    """Something that happened to a machine; of level `console`: a line that its guest wrote to the serial console."""

    timestamp: datetime = Field(validation_alias="at")
    level: Level
    message: str


class VmPage(Page[VmView]):
    """A part of a list of machines: numbered (`total`, `page`, `limit`) or by cursor (`has_more`)."""


# --- doors --------------------------------------------------------------------------------------------------------


@router.post("", status_code=201, response_model=VmView, **needs("vm:create"))
async def create_vm(
    body: VmBody, caller: Asking, uses: Uses, request: Request, response: Response
) -> VmView:
    """Ask for a machine; 503 where nothing can run it."""
    made = await uses.create(caller, _order(body))
    response.headers["location"] = f"{PREFIX}/{made.id}"
    return _shown(made, request, response)


@router.get(
    "", response_model=VmPage, response_model_exclude_unset=True, **needs_somewhere("vm:read")
)
async def list_vms(
    caller: Asking,
    uses: Uses,
    pager: Paging,
    search: Search = "",
    status: Status | None = None,
    sort: Sort = "-created_at",
) -> Any:  # noqa: ANN401
    """List the tenant's machines, the newest first unless said."""
    wanted = Wanted(ask=pager.ask, search=search, status=status, sort=sort)
    return pager.render(await uses.list(caller, wanted), VmView.model_validate)


@router.get("/{vm}", response_model=VmView, responses=TAGGED, **needs_somewhere("vm:read"))
async def read_vm(
    vm: UUID, caller: Asking, uses: Uses, request: Request, response: Response
) -> Any:  # noqa: ANN401
    """Return one machine."""
    found = await uses.read(caller, vm)
    if tagged(response, request, found.version):
        return Response(status_code=304, headers=dict(response.headers))
    return VmView.model_validate(found)


@router.patch("/{vm}", response_model=VmView, **needs_somewhere("vm:update"))
async def update_vm(
    aimed: Aimed, body: VmPatch, caller: Asking, uses: Uses, request: Request, response: Response
) -> VmView:
    """Change a machine's name or labels."""
    changes = {name: getattr(body, name) for name in body.model_fields_set - {"reason"}}
    intent = replace(aimed, reason=body.reason)
    return _shown(await uses.update(caller, intent, cast("Changes", changes)), request, response)


@router.delete("/{vm}", status_code=204, **needs_somewhere("vm:delete"))
async def delete_vm(aimed: Aimed, caller: Asking, uses: Uses) -> None:
    """Delete a machine. It is shown, and its quota taken, until its guest and its disk are gone."""
    await uses.delete(caller, aimed)


@router.post(
    "/{vm}/actions",
    status_code=202,
    response_model=OperationView,
    **needs_somewhere("vm:power_manage"),
)
async def act_on_vm(
    aimed: Aimed, body: ActionBody, caller: Asking, uses: Uses, response: Response
) -> OperationView:
    """Start, stop, restart, pause, resume or reset a machine; what becomes of it is told by the operation."""
    intent = replace(aimed, reason=body.reason)
    operation = await uses.act(caller, intent, Action(body.action))
    response.headers["location"] = f"{OPERATIONS}/{operation.id}"
    return OperationView.model_validate(operation)


@router.get("/{vm}/logs", response_model=list[LogEntryView], **needs_somewhere("vm:read_logs"))
async def read_vm_log(
    vm: UUID, caller: Asking, uses: Uses, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> Any:  # noqa: ANN401
    """Return the last of what happened to a machine and of what its guest said, the oldest of it first."""
    return [LogEntryView.model_validate(it) for it in await uses.read_log(caller, vm, limit)]


def _order(body: VmBody) -> Order:
    return Order(
        name=body.name,
        source_type=SourceType(body.source_type),
        cpu=body.cpu,
        memory_gb=body.memory_gb,
        disk_gb=body.disk_gb,
        template_id=body.template_id,
        iso_url=body.iso_url,
        iso_sha256=body.iso_sha256 and body.iso_sha256.removeprefix("sha256:"),
        user_data=body.user_data,
        ssh_keys=tuple(body.ssh_keys),
        labels=body.labels,
    )


def _shown(vm: Vm, request: Request, response: Response) -> VmView:
    tagged(response, request, vm.version)
    return VmView.model_validate(vm)
