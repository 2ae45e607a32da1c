"""Reading the log."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal
from uuid import UUID

from audit.domain.entry import Entry
from audit.domain.errors import NoSuchEntry, OtherTenant, TooDeep
from audit.domain.wanted import Wanted
from audit.ports import Asked, Log, OpenWork, Span
from audit.usecases.views import Views
from chassis.caller import Caller
from chassis.pages import PageAsk, Position, Slice, cut

WINDOW = 10_000
Relation = Literal["eq", "gte"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A part of the log, and whether its total is exact or the least there are."""

    part: Slice[Entry]
    relation: Relation = "eq"


@dataclass(frozen=True, slots=True)
class Reader:
    """Shows a tenant its log. What several filters ask for together is counted among `window` entries at most.

    `views` tells in the log who reads it; None: nobody is told of.
    """

    work: OpenWork
    window: int = WINDOW
    views: Views | None = None

    async def search(self, caller: Caller, wanted: Wanted, ask: PageAsk) -> Found:
        """Return the wanted entries, newest first, and for a numbered page how many there are."""
        caller.must("audit:read")
        tenant = whose(caller, wanted.tenant)
        await self._tell(caller, tenant, wanted)
        async with self.work() as work:
            span = await work.log.span(tenant, wanted.from_date, wanted.to_date)
            if ask.after:
                older = replace(span, high=min(span.high, int(ask.after[0]) - 1))
                found = await work.log.newest(tenant, older, wanted, ask.limit + 1)
                return _found(found, ask, None)
            if len(wanted.strands) + len(wanted.terms) > 1 or wanted.terms:
                return await self._combined(work.log, tenant, span, wanted, ask)
            return await _along(work.log, tenant, span, wanted, ask)

    async def entry(self, caller: Caller, event_id: UUID, tenant: UUID | None = None) -> Entry:
        """Return one entry by the id of its event."""
        caller.must("audit:read")
        log = whose(caller, tenant)
        await self._tell(caller, log, Wanted())
        async with self.work() as work:
            found = await work.log.get(log, event_id)
        if found is None:
            raise NoSuchEntry("there is no such audit entry")
        return found

    async def _tell(self, caller: Caller, tenant: UUID, wanted: Wanted) -> None:
        """Leave in the log that it is read, where that is to be told."""
        if self.views is not None:
            await self.views.seen(caller, tenant, wanted)

    async def _combined(
        self, log: Log, tenant: UUID, span: Span, wanted: Wanted, ask: PageAsk
    ) -> Found:
        """Look along the smallest strand: for all there are, or as many as the window holds."""
        along = await _smallest(log, tenant, span, wanted)
        seen = await log.window(tenant, span, wanted, along, self.window)
        here = seen.seqs[ask.offset : ask.offset + ask.limit + 1]
        found = list(await log.these(tenant, here)) if here else []
        if seen.whole:
            return _found(found, ask, len(seen.seqs))
        if ask.offset > len(seen.seqs):
            raise TooDeep(
                f"page {ask.page} of a list by several filters is too far down: follow next_cursor, "
                "or ask for a range of dates"
            )
        if len(found) <= ask.limit:
            more = ask.limit + 1 - len(found)
            found += await log.newest(tenant, Span(span.low, seen.down_to - 1), wanted, more)
        if len(found) <= ask.limit:  # there was nothing more, so now we know
            return _found(found, ask, ask.offset + len(found))
        least = max(len(seen.seqs), ask.offset + len(found))
        return replace(_found(found, ask, least), relation="gte")


def whose(caller: Caller, wanted: UUID | None, permission: str = "audit:read") -> UUID:
    """Return whose log is meant; OtherTenant if it is another's and the caller's permission is not for everywhere."""
    if wanted is None or wanted == caller.tenant:
        return caller.tenant
    if not caller.may_everywhere(permission):
        raise OtherTenant("Insufficient permissions: only the platform reaches other tenants' logs")
    return wanted


async def _along(log: Log, tenant: UUID, span: Span, wanted: Wanted, ask: PageAsk) -> Found:
    """List a strand, or the whole log: its total is a subtraction, and so is where page N begins."""
    strand = next(iter(wanted.strands.items()), None)
    ordinals = span if strand is None else await log.stretch(tenant, strand, span)
    if ask.offset >= len(ordinals):
        return _found((), ask, len(ordinals))
    if ask.offset:
        first = ordinals.high - ask.offset
        if strand is not None:
            first = await log.place(tenant, strand, span, first)
        span = replace(span, high=first)
    found = await log.newest(tenant, span, wanted, ask.limit + 1)
    return _found(found, ask, len(ordinals))


async def _smallest(log: Log, tenant: UUID, span: Span, wanted: Wanted) -> Asked | None:
    sizes = {s: len(await log.stretch(tenant, s, span)) for s in wanted.strands.items()}
    return min(sizes, key=lambda strand: sizes[strand], default=None)


def _found(entries: Sequence[Entry], ask: PageAsk, total: int | None) -> Found:
    items, after = cut(entries, ask.limit, _position)
    return Found(part=Slice(items=items, next=after, total=total))


def _position(entry: Entry) -> Position:
    return (str(entry.seq),)
