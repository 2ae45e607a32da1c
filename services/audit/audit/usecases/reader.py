"""Reading the log."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from audit.domain.entry import Entry
from audit.domain.errors import NoSuchEntry, OtherTenant
from audit.domain.wanted import Wanted
from audit.ports import Log, OpenWork, Span
from chassis.caller import Caller
from chassis.pages import PageAsk, Position, Slice, cut


@dataclass(frozen=True, slots=True)
class Reader:
    """Shows a tenant its log."""

    work: OpenWork

    async def search(self, caller: Caller, wanted: Wanted, ask: PageAsk) -> Slice[Entry]:
        """Return the wanted entries, newest first, and for a numbered page how many there are: exactly."""
        caller.must("audit:read")
        tenant = _tenant(caller, wanted.tenant)
        async with self.work() as work:
            span = await work.log.span(tenant, wanted.from_date, wanted.to_date)
            if ask.after:
                older = replace(span, high=min(span.high, int(ask.after[0]) - 1))
                return _sliced(await _some(work.log, tenant, older, wanted, ask), ask, None)
            total = await _total(work.log, tenant, span, wanted)
            found = await _some(work.log, tenant, span, wanted, ask) if total > ask.offset else ()
            return _sliced(found, ask, total)

    async def entry(self, caller: Caller, event_id: UUID, tenant: UUID | None = None) -> Entry:
        """Return one entry by the id of its event."""
        caller.must("audit:read")
        async with self.work() as work:
            found = await work.log.get(_tenant(caller, tenant), event_id)
        if found is None:
            raise NoSuchEntry("there is no such audit entry")
        return found


def _tenant(caller: Caller, wanted: UUID | None) -> UUID:
    """Return whose log is meant; OtherTenant if the caller may not see it."""
    if wanted is None or wanted == caller.tenant:
        return caller.tenant
    if not caller.may_everywhere("audit:read"):
        raise OtherTenant("Insufficient permissions: only the platform reads other tenants' logs")
    return wanted


async def _total(log: Log, tenant: UUID, span: Span, wanted: Wanted) -> int:
    """Count what is wanted; numbers have no gaps, so a range of time need not be counted."""
    return await log.count(tenant, span, wanted) if wanted.narrow else len(span)


async def _some(
    log: Log, tenant: UUID, span: Span, wanted: Wanted, ask: PageAsk
) -> Sequence[Entry]:
    """Return the entries asked for and one more if there is one; without a filter a page's place is arithmetic."""
    skip = ask.offset
    if not wanted.narrow:
        span, skip = replace(span, high=span.high - skip), 0
    return await log.newest(tenant, span, wanted, skip=skip, limit=ask.limit + 1)


def _sliced(found: Sequence[Entry], ask: PageAsk, total: int | None) -> Slice[Entry]:
    items, after = cut(found, ask.limit, _position)
    return Slice(items=items, next=after, total=total)


def _position(entry: Entry) -> Position:
    return (str(entry.seq),)
