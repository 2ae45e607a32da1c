"""Handing out the log: in parts that follow each other, so that a million entries need no more memory than a few."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from audit.domain import export as lines
from audit.domain.entry import Entry, instant
from audit.domain.merkle import cover
from audit.domain.tiles import HEIGHT, WIDTH
from audit.domain.wanted import Wanted
from audit.ports import OpenWork, Signed, Span
from audit.usecases.facts import event_of
from audit.usecases.hashes import finder
from audit.usecases.reader import whose
from audit.usecases.recorder import Recorder
from audit.usecases.signer import Signer
from chassis.caller import Caller
from chassis.facts import Actor, Fact, Target

_AT_ONCE = 500
Format = Literal["jsonl", "csv"]


@dataclass(frozen=True, slots=True)
class Exporter:
    """Exports a log up to a checkpoint, which is the last thing in it."""

    work: OpenWork
    recorder: Recorder
    signer: Signer
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def export(self, caller: Caller, wanted: Wanted, form: Format) -> AsyncIterator[bytes]:
        """Record that somebody takes the log along, then return it in parts."""
        caller.must("audit:export")
        tenant = whose(caller, wanted.tenant, "audit:export")
        fact = Fact(
            tenant=tenant,
            actor=Actor.of(caller),
            action="audit_log.exported",
            target=Target("audit_log", str(tenant)),
            after={"format": form, "filters": wanted.filters},
        )
        async with self.work() as work:
            await self.recorder.record(work, event_of(fact, self.new_id(), self.now()))
        signed = await self.signer.sign(tenant)
        assert signed is not None
        if form == "csv":
            return self._table(signed, wanted)
        about = {
            "tenant": str(tenant),
            "origin": self.signer.origin(tenant),
            "vkey": await self.signer.vkey(tenant),
            "exported_at": instant(self.now()),
            "filters": wanted.filters,
        }
        return self._lines(signed, wanted, lines.header(about))

    async def _lines(self, signed: Signed, wanted: Wanted, header: bytes) -> AsyncIterator[bytes]:
        yield header
        leaf = 0
        async for entries in self._entries(signed, wanted):
            gaps = _gaps(leaf, entries)
            between = await self._skipped(signed.tenant, gaps)
            part = [between.get(entry.seq - 1, b"") + lines.entry_line(entry) for entry in entries]
            leaf = entries[-1].seq
            yield b"".join(part)
        if leaf < signed.size:
            rest = await self._skipped(signed.tenant, [(leaf, signed.size)])
            yield rest[signed.size]
        tiles = signed.size // WIDTH
        for first in range(0, tiles, WIDTH):
            nodes = [(HEIGHT, n) for n in range(first, min(first + WIDTH, tiles))]
            async with self.work() as work:
                find = await finder(work, signed.tenant, nodes)
            yield lines.tiles_line([find(node) for node in nodes])
        yield lines.footer(signed.note)

    async def _table(self, signed: Signed, wanted: Wanted) -> AsyncIterator[bytes]:
        yield lines.table_header()
        async for entries in self._entries(signed, wanted):
            yield b"".join(lines.table_row(entry) for entry in entries)
        yield lines.table_footer(signed.note)

    async def _entries(self, signed: Signed, wanted: Wanted) -> AsyncIterator[Sequence[Entry]]:
        """Read on in transactions of their own: none stays open while the client is slow."""
        async with self.work() as work:
            span = await work.log.span(signed.tenant, wanted.from_date, wanted.to_date)
        span = replace(span, high=min(span.high, signed.size))
        while len(span):
            async with self.work() as work:
                entries = await work.log.oldest(signed.tenant, span, wanted, _AT_ONCE)
            if not entries:
                return
            yield entries
            span = Span(entries[-1].seq + 1, span.high)

    async def _skipped(self, tenant: UUID, gaps: Sequence[tuple[int, int]]) -> dict[int, bytes]:
        """Return the line of each gap by where it ends."""
        if not gaps:
            return {}
        async with self.work() as work:
            find = await finder(work, tenant, [node for gap in gaps for node in cover(*gap)])
        return {
            high: lines.skipped_line(low, high, [find(node) for node in cover(low, high)])
            for low, high in gaps
        }


def _gaps(leaf: int, entries: Sequence[Entry]) -> list[tuple[int, int]]:
    """Return the leaves that lie before each of these entries and are not exported."""
    places = [leaf, *(entry.seq for entry in entries)]
    return [
        (before, entry.seq - 1)
        for before, entry in zip(places, entries, strict=False)
        if before < entry.seq - 1
    ]
