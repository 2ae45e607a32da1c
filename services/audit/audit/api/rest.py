"""The REST doors: read the log; the others are in files of their own."""

from typing import Annotated
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from audit.api import export, keeping, streams, trees
from audit.api.asked import KNOWN, Asked
from audit.api.views import EntryView, PageView, shown
from audit.usecases.reader import Reader
from chassis.http import TAGGED, Asking, Paging, doors, etag, given, needs, tagged

router = doors("/api/v1/audit-logs", "audit")
Uses = Annotated[Reader, given(Reader)]


@router.get("", response_model=PageView, dependencies=KNOWN, **needs("audit:read"))
async def search(caller: Asking, pager: Paging, filters: Asked, reader: Uses) -> Response:
    """List the entries of the tenant's log, newest first."""
    found = await reader.search(caller, filters.wanted(), pager.ask)
    page = pager.render(found.part, shown)
    return JSONResponse(page if pager.by_cursor else {**page, "total_relation": found.relation})


@router.get(
    "/{event_id}",
    response_model=EntryView,
    responses=TAGGED,
    dependencies=KNOWN,
    **needs("audit:read"),
)
async def entry(
    event_id: UUID,
    caller: Asking,
    reader: Uses,
    request: Request,
    response: Response,
    tenant_id: UUID | None = None,
) -> Response:
    """Return one entry of the tenant's log."""
    found = await reader.entry(caller, event_id, tenant_id)
    if tagged(response, request, found.seq):
        return Response(status_code=304, headers={"etag": etag(found.seq)})
    return JSONResponse(shown(found), headers={"etag": etag(found.seq)})


routers = (export.router, router, trees.router, trees.of_entries, keeping.router, streams.router)
