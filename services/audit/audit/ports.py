"""What the audit service needs: a log that can be appended to and read, inside a transaction."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from audit.domain.entry import Entry, Event
from audit.domain.sequence import Head, Seen
from audit.domain.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Span:
    """A range of numbers in a tenant's log, both ends included; empty when `low` is above `high`."""

    low: int
    high: int

    def __len__(self) -> int:
        return max(0, self.high - self.low + 1)


class Log(Protocol):
    """The logs of all tenants."""

    async def lock(self, tenants: Collection[UUID]) -> Mapping[UUID, Head]:
        """Return the heads of these tenants, begun if need be; nobody else appends to them until the work ends."""
        ...

    async def seen(self, events: Sequence[Event]) -> Seen:
        """Return the numbers of those events that are in the log already."""
        ...

    async def append(self, entries: Sequence[Entry], heads: Sequence[Head]) -> None:
        """Add entries and move the heads to their ends."""
        ...

    async def get(self, tenant: UUID, event_id: UUID) -> Entry | None:
        """Return an entry by its event's id; None if the tenant has none such."""
        ...

    async def span(self, tenant: UUID, since: datetime | None, until: datetime | None) -> Span:
        """Return the numbers of what was recorded in a range of time, both ends included."""
        ...

    async def count(self, tenant: UUID, span: Span, wanted: Wanted) -> int:
        """Return how many entries of a span are wanted."""
        ...

    async def newest(
        self, tenant: UUID, span: Span, wanted: Wanted, *, skip: int, limit: int
    ) -> Sequence[Entry]:
        """Return the wanted entries of a span, newest first."""
        ...


class Work(Protocol):
    """One transaction."""

    @property
    def log(self) -> Log:
        """The logs."""
        ...


OpenWork = Callable[[], AbstractAsyncContextManager[Work]]
