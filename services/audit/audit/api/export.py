"""The REST door that hands out the log."""

from typing import Annotated, Literal

from fastapi import Query, Response
from fastapi.responses import StreamingResponse

from audit.api.asked import KNOWN, Asked
from audit.usecases.exporter import Exporter
from chassis.http import Asking, doors, given, needs

router = doors("/api/v1/audit-logs", "audit")
Uses = Annotated[Exporter, given(Exporter)]
_TYPES = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}
_TEXT = {"schema": {"type": "string"}}


@router.get(
    "/export",
    response_class=Response,
    responses={200: {"content": {"application/jsonl": _TEXT, "text/csv": _TEXT}}},
    dependencies=KNOWN,
    **needs("audit:export", **{"x-door": "stream"}),
)
async def export(
    caller: Asking,
    filters: Asked,
    exporter: Uses,
    form: Annotated[Literal["jsonl", "csv"], Query(alias="format")] = "jsonl",
) -> Response:
    """Hand out the entries, oldest first, as JSON lines that prove themselves or as a table. It is recorded."""
    parts = await exporter.export(caller, filters.wanted(), form)
    headers = {
        "content-disposition": f'attachment; filename="audit.{form}"',
        "cache-control": "no-store",
    }
    return StreamingResponse(parts, media_type=_TYPES[form], headers=headers)
