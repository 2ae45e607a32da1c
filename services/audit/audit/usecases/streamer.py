"""Streams: whoever wants every entry of a log sent to them (the sending: `sender`)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from audit.domain.errors import BadAddress, NoSuchStream, StaleStream, TooManyStreams
from audit.domain.stream import MOST_STREAMS, State, Stream
from audit.ports import OpenWork, Poster, Work
from audit.usecases.notes import Notes
from audit.usecases.reader import whose
from chassis.caller import Caller
from chassis.facts import Actor
from chassis.pages import PageAsk, Slice

_SECRET = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to be changed of a stream; None leaves it as it is."""

    url: str | None = None
    state: State | None = None


@dataclass(frozen=True, slots=True)
class Streamer:
    """Keeps streams."""

    work: OpenWork
    notes: Notes
    poster: Poster
    dice: Callable[[int], bytes]

    async def create(
        self, caller: Caller, url: str, after: int | None, tenant: UUID | None = None
    ) -> Stream:
        """Begin a stream: with the entry after number `after`, or with the next that is written."""
        caller.must("audit:admin")
        log, now = whose(caller, tenant, "audit:admin"), self.notes.now()
        self._check(url)
        async with self.work() as work:
            head = (await work.log.lock({log}))[log]
            if await work.streams.count(log) >= MOST_STREAMS:
                raise TooManyStreams(f"a log has at most {MOST_STREAMS} streams: delete one")
            stream = Stream(
                id=self.notes.new_id(),
                tenant=log,
                url=url,
                secret=self.dice(_SECRET),
                cursor=head.seq if after is None else min(after, head.seq),
                due_at=now,
                created_at=now,
            )
            await work.streams.add(stream)
            await self.notes.record(work, Actor.of(caller), "created", None, stream)
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
        async with self.work() as work:
            return await work.streams.page(whose(caller, tenant, "audit:admin"), ask)

    async def change(
        self, caller: Caller, stream: UUID, change: Change, expected: int | None = None
    ) -> Stream:
        """Pause or resume a stream, or send it elsewhere; nothing is told of a change that changes nothing."""
        caller.must("audit:admin")
        if change.url is not None:
            self._check(change.url)
        async with self.work() as work:
            before = await self._found(work, caller, stream, expected)
            after = _changed(before, change, self.notes.now())
            if after is not before:
                await work.streams.put(after)
                await self.notes.record(work, Actor.of(caller), "updated", before, after)
        return after

    async def replay(self, caller: Caller, stream: UUID, seq: int) -> Stream:
        """Send again from an entry on."""
        caller.must("audit:admin")
        async with self.work() as work:
            before = await self._found(work, caller, stream, None)
            head = (await work.log.lock({before.tenant}))[before.tenant]
            after = before.replayed(min(seq, head.seq + 1), self.notes.now())
            await work.streams.put(after)
            await self.notes.record(work, Actor.of(caller), "replayed", before, after)
        return after

    async def delete(self, caller: Caller, stream: UUID, expected: int | None = None) -> None:
        """End a stream."""
        caller.must("audit:admin")
        async with self.work() as work:
            before = await self._found(work, caller, stream, expected)
            await work.streams.delete(before)
            await self.notes.record(work, Actor.of(caller), "deleted", before, None)

    def _check(self, url: str) -> None:
        if trouble := self.poster.trouble(url):
            raise BadAddress(trouble)

    async def _found(
        self, work: Work, caller: Caller, stream: UUID, expected: int | None
    ) -> Stream:
        found = _there(await work.streams.get(caller.tenant, stream, lock=True))
        if expected is not None and expected != found.version:
            raise StaleStream("the stream was changed meanwhile: read it again")
        return found


def _changed(stream: Stream, change: Change, now: datetime) -> Stream:
    if change.url is not None:
        stream = stream.sent_to(change.url)
    if change.state == "paused":
        return stream.paused("paused by hand")
    return stream.resumed(now) if change.state == "active" else stream


def _there(found: Stream | None) -> Stream:
    if found is None:
        raise NoSuchStream("there is no such stream")
    return found
