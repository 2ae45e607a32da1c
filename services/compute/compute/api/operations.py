"""The REST door of operations: read, wait for, or follow as server-sent events."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse

from chassis.errors import Fault
from chassis.http import TAGGED, Asking, View, doors, given, needs_somewhere, tagged
from compute.domain.operation import Operation, Outcome
from compute.usecases.operations import Operations

PREFIX = "/api/v1/operations"
router = doors(PREFIX, "compute")
Uses = Annotated[Operations, given(Operations)]
EVENTS = "text/event-stream"
LONGEST = 30


class OperationView(View):
    """Something that was asked of a machine, or of a snapshot of it.

    `detail` says why it failed or was cancelled, null where it did not.
    """

    id: UUID
    vm_id: UUID
    snapshot_id: UUID | None
    action: str
    status: Outcome
    detail: str | None
    asked_by: str
    created_at: datetime
    finished_at: datetime | None


@router.get(
    "/{operation}",
    response_model=OperationView,
    responses={**TAGGED, 200: {"content": {EVENTS: {"schema": {"type": "string"}}}}},
    **needs_somewhere("vm:read", **{"x-door": "stream"}),
)
async def read_operation(
    operation: UUID,
    caller: Asking,
    uses: Uses,
    request: Request,
    response: Response,
    wait: Annotated[int, Query(ge=0, le=LONGEST)] = 0,
) -> Any:  # noqa: ANN401
    """Return an operation, up to `wait` seconds later if it has not ended; as events to who accepts only those."""
    if request.headers.get("accept", "").startswith(EVENTS):
        identity = request.app.state.wiring.identity
        found = uses.follow(caller, operation, lambda: identity.of(request.headers))
        # Who may not see it is refused as everywhere, before a stream begins.
        events = _events(await anext(found), found)
        return StreamingResponse(events, media_type=EVENTS, headers=_UNCACHED)
    found = await uses.read(caller, operation, wait)
    if tagged(response, request, found.version):
        return Response(status_code=304, headers=dict(response.headers))
    return OperationView.model_validate(found)


_UNCACHED = {"cache-control": "no-store", "x-accel-buffering": "no"}


async def _events(first: Operation, more: AsyncIterator[Operation]) -> AsyncIterator[bytes]:
    """Write events until it has ended, or who follows it may not any more: asking again says why."""
    yield _event(first)
    with suppress(Fault):
        async for later in more:
            yield _event(later)


def _event(operation: Operation) -> bytes:
    said = OperationView.model_validate(operation).model_dump_json()
    return f"event: operation\nid: {operation.version}\ndata: {said}\n\n".encode()
