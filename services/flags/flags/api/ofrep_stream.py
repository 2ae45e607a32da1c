"""OFREP's stream of changes: server-sent events that tell a client to evaluate all flags again (OFREP, ADR 8).

An event's id is the revision that is in force. Who comes back with the id of an older one (`Last-Event-ID`), or without
any, is told to look again at once: whatever happened between two connections is not missed.
"""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

import orjson
from fastapi import Header, Query, Response
from fastapi.responses import StreamingResponse

from chassis.http import doors, given, public
from flags.api.changes import changes, come_back
from flags.api.desks import Desk
from flags.api.ofrep import Ofrep
from flags.api.tickets import PATH, BadTicket

router = doors(PATH.rpartition("/")[0], "ofrep")
Uses = Annotated[Ofrep, given(Ofrep)]
ALIVE = b": alive\n\n"
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `refetchEvaluation` for as long as the API key holds",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get("/events", response_class=Response, responses=_STREAM, **public(**{"x-door": "stream"}))
async def stream_changes(
    ofrep: Uses,
    token: Annotated[str, Query(max_length=200)] = "",
    last_event_id: Annotated[str, Header(max_length=100)] = "",
) -> StreamingResponse:
    """Stream what tells a client to evaluate all flags again; the URL is in the answer to the evaluation of all."""
    if ofrep.tickets is None:
        raise BadTicket("there are no streams here")
    desk = await ofrep.desks.by_digest(ofrep.tickets.read(token, ofrep.clock()), PATH)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    events = events_of(ofrep, desk, last_event_id.strip())
    return StreamingResponse(events, headers=headers, media_type="text/event-stream")


async def events_of(ofrep: Ofrep, desk: Desk, known: str) -> AsyncGenerator[bytes]:
    """Yield the events of one connection, to a client that knows the revision `known`."""
    yield come_back()
    async for ruleset in changes(ofrep.desks, desk):
        if ruleset is None or str(ruleset.revision) == known:
            yield ALIVE
        else:
            yield _event(ruleset.revision, int(desk.held.since))
        known = ""


def _event(revision: int, since: int) -> bytes:
    said = {"type": "refetchEvaluation", "etag": f'"{revision}"', "lastModified": since}
    return b"id: %d\nevent: message\ndata: %s\n\n" % (revision, orjson.dumps(said))
