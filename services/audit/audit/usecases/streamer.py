"""Streams: whoever wants every entry sent to them, and the sending."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from audit.domain.errors import BadAddress, NoSuchStream, StaleStream, TooManyStreams
from audit.domain.ocsf import cloud_event
from audit.domain.stream import BATCH, MOST_STREAMS, State, Stream, signature
from audit.domain.wanted import Wanted
from audit.ports import OpenWork, Poster, Span, Work
from audit.usecases.facts import SYSTEM, event_of
from audit.usecases.reader import whose
from audit.usecases.recorder import Recorder
from chassis.caller import Caller
from chassis.facts import Actor, Fact, Target
from chassis.pages import PageAsk, Slice, cut

_SECRET = 32
_KIND = "application/cloudevents-batch+json; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be changed of a stream; None leaves it as it is."""

    url: str | None = None
    state: State | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What streams need of the outside."""

    poster: Poster
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]
    dice: Callable[[int], bytes]
    source: str


@dataclass(frozen=True, slots=True)
class Streamer:
    """Keeps streams, and sends what is due."""

    work: OpenWork
    recorder: Recorder
    means: Means

    async def create(
        self, caller: Caller, url: str, after: int | None, tenant: UUID | None = None
    ) -> Stream:
        """Begin a stream: with the entry after number `after`, or with the next that is written."""
        caller.must("audit:admin")
        log, now = whose(caller, tenant, "audit:admin"), self.means.now()
        self._check(url)
        async with self.work() as work:
            head = (await work.log.lock({log}))[log]
            if await work.streams.count(log) >= MOST_STREAMS:
                raise TooManyStreams(f"a log has at most {MOST_STREAMS} streams: delete one")
            stream = Stream(
                id=self.means.new_id(),
                tenant=log,
                url=url,
                secret=self.means.dice(_SECRET),
                cursor=head.seq if after is None else min(after, head.seq),
                due_at=now,
                created_at=now,
            )
            await work.streams.add(stream)
            await self._record(work, Actor.of(caller), "created", None, stream)
        return stream

    async def stream(self, caller: Caller, stream: UUID, tenant: UUID | None = None) -> Stream:
        """Return a stream."""
        caller.must("audit:admin")
        async with self.work() as work:
            return _there(await work.streams.get(whose(caller, tenant, "audit:admin"), stream))

    async def streams(
        self, caller: Caller, ask: PageAsk, tenant: UUID | None = None
    ) -> Slice[Stream]:
        """Return the streams of a log, newest first."""
        caller.must("audit:admin")
        after = UUID(ask.after[0]) if ask.after else None
        log = whose(caller, tenant, "audit:admin")
        async with self.work() as work:
            found = await work.streams.of(log, after, ask.limit + 1)
            total = await work.streams.count(log)
        items, more = cut(found, ask.limit, lambda one: (str(one.id),))
        return Slice(items=items, next=more, total=total)

    async def change(
        self, caller: Caller, stream: UUID, change: Change, expected: int | None = None
    ) -> Stream:
        """Pause or resume a stream, or send it elsewhere."""
        caller.must("audit:admin")
        if change.url is not None:
            self._check(change.url)
        async with self.work() as work:
            before = await self._found(work, caller, stream, expected)
            after = _changed(before, change, self.means.now())
            await work.streams.put(after)
            await self._record(work, Actor.of(caller), "updated", before, after)
        return after

    async def replay(self, caller: Caller, stream: UUID, seq: int) -> Stream:
        """Send again from an entry on."""
        caller.must("audit:admin")
        async with self.work() as work:
            before = await self._found(work, caller, stream, None)
            head = (await work.log.lock({before.tenant}))[before.tenant]
            after = before.replayed(min(seq, head.seq + 1), self.means.now())
            await work.streams.put(after)
            await self._record(work, Actor.of(caller), "replayed", before, after)
        return after

    async def delete(self, caller: Caller, stream: UUID) -> None:
        """End a stream."""
        caller.must("audit:admin")
        async with self.work() as work:
            before = await self._found(work, caller, stream, None)
            await work.streams.delete(before)
            await self._record(work, Actor.of(caller), "deleted", before, None)

    async def send_due(self) -> int:
        """Send one batch of every stream that is due; return how many entries were taken."""
        async with self.work() as work:
            due = await work.streams.due(self.means.now())
        return sum(await asyncio.gather(*(self._send(stream) for stream in due)))

    async def _send(self, stream: Stream) -> int:
        """Send what follows the cursor, then move it, if it is still there."""
        async with self.work() as work:
            span = await work.log.span(stream.tenant, None, None)
            rest = Span(max(span.low, stream.cursor + 1), span.high)
            entries = await work.log.oldest(stream.tenant, rest, Wanted(), BATCH)
        if not entries:
            return 0
        last = entries[-1].seq
        source = f"{self.means.source}/{stream.tenant}"
        body = json.dumps([cloud_event(one, source) for one in entries], ensure_ascii=False)
        why = await self._post(stream, f"{stream.id}.{entries[0].seq}.{last}", body.encode())
        now = self.means.now()
        async with self.work() as work:
            there = await work.streams.get(stream.tenant, stream.id, lock=True)
            if there is None or (there.cursor, there.version) != (stream.cursor, stream.version):
                return 0  # deleted, paused or set back meanwhile
            after = there.failed(why, now) if why else there.delivered(last)
            await work.streams.put(after)
            if after.state != there.state:
                await self._record(work, SYSTEM, "paused", there, after)
        return 0 if why else len(entries)

    async def _post(self, stream: Stream, message: str, body: bytes) -> str:
        at = round(self.means.now().timestamp())
        headers = {
            "content-type": _KIND,
            "user-agent": "Switchyard-Audit/1",
            "webhook-id": message,
            "webhook-timestamp": str(at),
            "webhook-signature": signature(stream.secret, message, at, body),
        }
        return await self.means.poster.post(stream.url, headers, body)

    def _check(self, url: str) -> None:
        if trouble := self.means.poster.trouble(url):
            raise BadAddress(trouble)

    async def _found(
        self, work: Work, caller: Caller, stream: UUID, expected: int | None
    ) -> Stream:
        found = _there(await work.streams.get(caller.tenant, stream, lock=True))
        if expected is not None and expected != found.version:
            raise StaleStream("the stream was changed meanwhile: read it again")
        return found

    async def _record(
        self, work: Work, actor: Actor, verb: str, before: Stream | None, after: Stream | None
    ) -> None:
        stream = after or before
        assert stream is not None
        fact = Fact(
            tenant=stream.tenant,
            actor=actor,
            action=f"audit_stream.{verb}",
            target=Target("audit_stream", str(stream.id), stream.url),
            before=before.said() if before else None,
            after=after.said() if after else None,
        )
        event = event_of(fact, self.means.new_id(), self.means.now())
        await self.recorder.record(work, event)


def _changed(stream: Stream, change: Change, now: datetime) -> Stream:
    if change.url is not None:
        stream = replace(stream, url=change.url, version=stream.version + 1)
    if change.state == "paused":
        return stream.paused("paused by hand")
    return stream.resumed(now) if change.state == "active" else stream


def _there(found: Stream | None) -> Stream:
    if found is None:
        raise NoSuchStream("there is no such stream")
    return found
