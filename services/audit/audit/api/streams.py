"""The REST doors of streams."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Request, Response
from pydantic import Field

from audit.api.asked import KNOWN
from audit.domain.stream import Stream, secret_text
from audit.usecases.streamer import Change, Streamer
from chassis.http import (
    TAGGED,
    Asking,
    Body,
    Expected,
    Page,
    Paging,
    View,
    doors,
    etag,
    given,
    needs,
    tagged,
)

router = doors("/api/v1/audit/streams", "audit")
Uses = Annotated[Streamer, given(Streamer)]
Url = Annotated[str, Field(min_length=9, max_length=2048)]
Seq = Annotated[int, Field(ge=1, le=2**53)]


class StreamBody(Body):
    """Where entries are sent, and from which number on; without it from the next that is written."""

    url: Url
    from_seq: Seq | None = None


class StreamChange(Body):
    """What is to be changed."""

    url: Url | None = None
    state: Literal["active", "paused"] | None = None


class ReplayBody(Body):
    """The number of the entry that is sent next."""

    from_seq: Seq


class StreamView(View):
    """A stream. Everything up to `cursor` was acknowledged; `why` says what paused it, or what fails."""

    id: UUID
    url: str
    state: str
    why: str
    cursor: int
    failures: int
    due_at: datetime
    created_at: datetime
    version: int


class NewStreamView(StreamView):
    """A stream that was just made, with the secret that its messages are signed with: it is shown once."""

    secret: str


@router.post(
    "", response_model=NewStreamView, status_code=201, dependencies=KNOWN, **needs("audit:admin")
)
async def create(
    caller: Asking, streamer: Uses, body: StreamBody, response: Response
) -> NewStreamView:
    """Send every entry of the tenant's log to a receiver: CloudEvents with OCSF data, by Standard Webhooks."""
    after = None if body.from_seq is None else body.from_seq - 1
    stream = await streamer.create(caller, body.url, after)
    response.headers["location"] = f"{router.prefix}/{stream.id}"
    response.headers["etag"] = etag(stream.version)
    shown = StreamView.model_validate(stream).model_dump()
    return NewStreamView(**shown, secret=secret_text(stream.secret))


@router.get("", response_model=Page[StreamView], dependencies=KNOWN, **needs("audit:admin"))
async def streams(caller: Asking, streamer: Uses, pager: Paging) -> dict[str, object]:
    """List the tenant's streams, newest first."""
    return pager.render(await streamer.streams(caller, pager.ask), StreamView.model_validate)


@router.get(
    "/{stream_id}",
    response_model=StreamView,
    responses=TAGGED,
    dependencies=KNOWN,
    **needs("audit:admin"),
)
async def stream(
    stream_id: UUID, caller: Asking, streamer: Uses, request: Request, response: Response
) -> Stream | Response:
    """Return a stream."""
    found = await streamer.stream(caller, stream_id)
    if tagged(response, request, found.version):
        return Response(status_code=304, headers={"etag": etag(found.version)})
    return found


@router.patch("/{stream_id}", response_model=StreamView, dependencies=KNOWN, **needs("audit:admin"))
async def change(
    stream_id: UUID,
    caller: Asking,
    streamer: Uses,
    body: StreamChange,
    response: Response,
    expected: Expected,
) -> Stream:
    """Pause or resume a stream, or send it elsewhere."""
    wanted = Change(url=body.url, state=body.state)
    found = await streamer.change(caller, stream_id, wanted, expected)
    response.headers["etag"] = etag(found.version)
    return found


@router.post(
    "/{stream_id}/replay", response_model=StreamView, dependencies=KNOWN, **needs("audit:admin")
)
async def replay(
    stream_id: UUID, caller: Asking, streamer: Uses, body: ReplayBody, response: Response
) -> Stream:
    """Send again, from an entry on."""
    found = await streamer.replay(caller, stream_id, body.from_seq)
    response.headers["etag"] = etag(found.version)
    return found


@router.delete("/{stream_id}", status_code=204, dependencies=KNOWN, **needs("audit:admin"))
async def delete(stream_id: UUID, caller: Asking, streamer: Uses, expected: Expected) -> None:
    """End a stream."""
    await streamer.delete(caller, stream_id, expected)
