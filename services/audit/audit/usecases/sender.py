"""The sending of streams: what their receivers have not acknowledged yet."""

import json
from dataclasses import dataclass

from audit.domain.ocsf import cloud_event
from audit.domain.stream import BATCH, Stream, signature
from audit.domain.wanted import Wanted
from audit.ports import OpenWork, Poster, Span
from audit.usecases.facts import SYSTEM
from audit.usecases.notes import Notes

_KIND = "application/cloudevents-batch+json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends entries to receivers. `source` is the URL that tells this installation's logs from others'."""

    work: OpenWork
    notes: Notes
    poster: Poster
    source: str

    async def due(self) -> list[Stream]:
        """Return the active streams that have something to send now, of all tenants."""
        async with self.work() as work:
            return list(await work.streams.due(self.notes.now()))

    async def send(self, stream: Stream) -> Stream | None:
        """Send what follows the cursor; return the stream as it is then, None when it is nobody's turn any more.

        That is: nothing is left, the receiver refused, or somebody else moved the cursor meanwhile.
        """
        async with self.work() as work:
            span = await work.log.span(stream.tenant, None, None)
            rest = Span(max(span.low, stream.cursor + 1), span.high)
            entries = await work.log.oldest(stream.tenant, rest, Wanted(), BATCH)
        if not entries:
            return None
        last = entries[-1].seq
        source = f"{self.source}/{stream.tenant}"
        body = json.dumps([cloud_event(one, source) for one in entries], ensure_ascii=False)
        why = await self._post(stream, f"{stream.id}.{entries[0].seq}.{last}", body.encode())
        moved = await self._moved(stream, last, why)
        return None if why else moved

    async def _moved(self, stream: Stream, last: int, why: str) -> Stream | None:
        """Keep what became of it, if the stream is still where it was."""
        async with self.work() as work:
            there = await work.streams.get(stream.tenant, stream.id, lock=True)
            if there is None or (there.cursor, there.version) != (stream.cursor, stream.version):
                return None  # deleted, paused or set back meanwhile
            after = there.failed(why, self.notes.now()) if why else there.delivered(last)
            await work.streams.put(after)
            if after.state != there.state:
                await self.notes.record(work, SYSTEM, "paused", there, after)
        return after

    async def _post(self, stream: Stream, message: str, body: bytes) -> str:
        at = round(self.notes.now().timestamp())
        headers = {
            "content-type": _KIND,
            "user-agent": "Switchyard-Audit/1",
            "webhook-id": message,
            "webhook-timestamp": str(at),
            "webhook-signature": signature(stream.secret, message, at, body),
        }
        return await self.poster.post(stream.url, headers, body)
