"""The REST doors of snapshots."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request, Response

from chassis.http import (
    TAGGED,
    Asking,
    Body,
    Expected,
    Page,
    Paging,
    View,
    doors,
    given,
    needs_somewhere,
    tagged,
)
from compute.api.operations import PREFIX as OPERATIONS
from compute.api.operations import OperationView
from compute.api.words import Name, Reason
from compute.domain.operation import Operation
from compute.domain.snapshot import SnapshotStatus, Task
from compute.usecases.snapshots import CHANGE, READ, Snapshots
from compute.usecases.vms import Intent

router = doors("/api/v1/vms/{vm}/snapshots", "compute")
Uses = Annotated[Snapshots, given(Snapshots)]


async def _aim(vm: UUID, snapshot: UUID, expected: Expected) -> tuple[Intent, UUID]:
    return Intent(vm=vm, version=expected), snapshot


Aimed = Annotated[tuple[Intent, UUID], Depends(_aim)]


class SnapshotBody(Body):
    """A snapshot as it is asked for, and why."""

    name: Name
    reason: Reason = ""


class ReasonBody(Body):
    """Why."""

    reason: Reason = ""


class SnapshotView(View):
    """How the disk of a machine was at one moment. `status_detail` says why the last thing asked of it failed.

    `disk_gb`: what it takes of the quota, which is as much as the disk that it is of.
    """

    id: UUID
    vm_id: UUID
    name: str
    status: SnapshotStatus
    status_detail: str | None
    created_by: str
    disk_gb: int
    operation_id: UUID
    version: int
    created_at: datetime
    updated_at: datetime


class SnapshotPage(Page[SnapshotView]):
    """A part of a list of snapshots: numbered (`total`, `page`, `limit`) or by cursor (`has_more`)."""


@router.get(
    "", response_model=SnapshotPage, response_model_exclude_unset=True, **needs_somewhere(READ)
)
async def list_snapshots(vm: UUID, caller: Asking, uses: Uses, pager: Paging) -> Any:  # noqa: ANN401
    """List a machine's snapshots, the newest first."""
    return pager.render(await uses.list(caller, vm, pager.ask), SnapshotView.model_validate)


@router.post("", status_code=202, response_model=OperationView, **needs_somewhere(CHANGE))
async def take_snapshot(
    vm: UUID, body: SnapshotBody, caller: Asking, uses: Uses, response: Response
) -> OperationView:
    """Take a snapshot of a machine's disk; what becomes of it is told by the operation."""
    intent = Intent(vm=vm, reason=body.reason)
    return _asked(await uses.take(caller, intent, body.name), response)


@router.get("/{snapshot}", response_model=SnapshotView, responses=TAGGED, **needs_somewhere(READ))
async def read_snapshot(
    vm: UUID, snapshot: UUID, caller: Asking, uses: Uses, request: Request, response: Response
) -> Any:  # noqa: ANN401
    """Return one snapshot."""
    found = await uses.read(caller, vm, snapshot)
    if tagged(response, request, found.version):
        return Response(status_code=304, headers=dict(response.headers))
    return SnapshotView.model_validate(found)


@router.delete(
    "/{snapshot}", status_code=202, response_model=OperationView, **needs_somewhere(CHANGE)
)
async def delete_snapshot(
    aimed: Aimed, caller: Asking, uses: Uses, response: Response
) -> OperationView:
    """Delete a snapshot; it is gone once the operation has ended."""
    intent, snapshot = aimed
    return _asked(await uses.ask(caller, intent, snapshot, Task.DROP), response)


@router.post(
    "/{snapshot}/restore",
    status_code=202,
    response_model=OperationView,
    **needs_somewhere(CHANGE),
)
async def restore_snapshot(
    aimed: Aimed, caller: Asking, uses: Uses, response: Response, body: ReasonBody | None = None
) -> OperationView:
    """Put the disk of a machine that is stopped back to how it was; what was written since is lost."""
    intent, snapshot = aimed
    intent = replace(intent, reason=body.reason if body else "")
    return _asked(await uses.ask(caller, intent, snapshot, Task.RESTORE), response)


def _asked(operation: Operation, response: Response) -> OperationView:
    response.headers["location"] = f"{OPERATIONS}/{operation.id}"
    return OperationView.model_validate(operation)
