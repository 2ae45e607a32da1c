"""What the audit service needs: a log that can be appended to and read, inside a transaction; keys of people."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from audit.domain.entry import Entry
from audit.domain.keeping import Erasure, Retention
from audit.domain.sequence import Counts, Head, Leaf, Seen
from audit.domain.strands import Strands
from audit.domain.wanted import Wanted
from audit.domain.writing import Prepared
from audit.ports.people import People
from audit.ports.streams import Streams
from audit.ports.trees import Trees


@dataclass(frozen=True, slots=True)
class Span:
    """A range of numbers in a tenant's log, both ends included; empty when `low` is above `high`."""

    low: int
    high: int

    def __len__(self) -> int:
        return max(0, self.high - self.low + 1)


Asked = tuple[int, str]  # which of STRANDS, and its value


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What a look at the newest part of a list found: numbers, newest first; `down_to` is the oldest looked at.

    `whole`: nothing older is left to be looked at.
    """

    seqs: Sequence[int]
    down_to: int
    whole: bool


class Kept(NamedTuple):
    """An entry as it is kept: its bytes, and its personal parts under their people's keys."""

    leaf: Leaf
    sealed: Mapping[str, bytes]


class SeenBefore(Exception):
    """An event is in its log already: ask which, and enter the others."""


class Log(Protocol):
    """The logs of all tenants."""

    async def lock(self, tenants: Collection[UUID]) -> Mapping[UUID, Head]:
        """Return the heads of these tenants, begun if need be; nobody else appends to them until the work ends."""
        ...

    async def seen(self, events: Sequence[Prepared]) -> Seen:
        """Return the numbers of those events that are in the log already."""
        ...

    async def counts(self, strands: Strands) -> Counts:
        """Return the newest ordinal of each of these strands; 0 for one that is new."""
        ...

    async def enter(self, kept: Sequence[Kept], heads: Sequence[Head]) -> Mapping[UUID, str]:
        """Add entries and move the heads to their ends; return the newest signed checkpoints that there are.

        SeenBefore, and the transaction is lost, if an event is there already.
        """
        ...

    async def behind(self) -> Sequence[UUID]:
        """Return the tenants whose tree is behind their log."""
        ...

    async def plain(self, tenant: UUID, after: int, limit: int) -> Sequence[bytes]:
        """Return the bytes of entries from before logs were trees, oldest first."""
        ...

    async def adopt(self, kept: Sequence[Kept], heads: Sequence[Head]) -> None:
        """Give such entries their final bytes, leaves and ordinals, and move the heads' trees."""
        ...

    async def get(self, tenant: UUID, event_id: UUID) -> Entry | None:
        """Return an entry by its event's id; None if the tenant has none such."""
        ...

    async def span(self, tenant: UUID, since: datetime | None, until: datetime | None) -> Span:
        """Return the numbers of what was recorded in a range of time, both ends included, and is still there."""
        ...

    async def stretch(self, tenant: UUID, strand: Asked, span: Span) -> Span:
        """Return the ordinals that a strand has in a span."""
        ...

    async def place(self, tenant: UUID, strand: Asked, span: Span, ordinal: int) -> int:
        """Return the number of the entry that is `ordinal` in a strand; it lies in the span."""
        ...

    async def newest(self, tenant: UUID, span: Span, wanted: Wanted, limit: int) -> Sequence[Entry]:
        """Return the wanted entries of a span, newest first."""
        ...

    async def oldest(self, tenant: UUID, span: Span, wanted: Wanted, limit: int) -> Sequence[Entry]:
        """Return the wanted entries of a span, oldest first."""
        ...

    async def window(
        self, tenant: UUID, span: Span, wanted: Wanted, along: Asked | None, most: int
    ) -> Window:
        """Look at the newest `most` entries of a span, those of one strand only if one is given."""
        ...

    async def these(self, tenant: UUID, seqs: Sequence[int]) -> Sequence[Entry]:
        """Return the entries with these numbers, newest first."""
        ...


class Keeping(Protocol):
    """How long logs are kept, and who was erased."""

    async def retention(self, tenant: UUID, *, lock: bool = False) -> Retention:
        """Return the terms of a log; nobody else changes them until the work ends, if they are locked."""
        ...

    async def put(self, terms: Retention) -> None:
        """Set the terms of a log."""
        ...

    async def limited(self) -> Sequence[Retention]:
        """Return all terms by which something may go."""
        ...

    async def drop(self, tenant: UUID, before: datetime, most: int) -> tuple[int, int]:
        """Drop the oldest entries of a log; return the first and the last number that went, (1, 0) if none did."""
        ...

    async def forget(self, erasure: Erasure) -> Erasure:
        """Delete a person's key for good; return the first erasure of this person."""
        ...

    async def erasures(self, tenant: UUID, after: UUID | None, limit: int) -> Sequence[Erasure]:
        """Return erasures, newest first."""
        ...


class Work(Protocol):
    """One transaction."""

    @property
    def streams(self) -> Streams:
        """Receivers of everything."""
        ...

    @property
    def keeping(self) -> Keeping:
        """How long logs are kept."""
        ...

    @property
    def trees(self) -> Trees:
        """What is published of the logs."""
        ...

    @property
    def log(self) -> Log:
        """The logs."""
        ...

    @property
    def people(self) -> People:
        """Those of whom the logs speak."""
        ...


OpenWork = Callable[[], AbstractAsyncContextManager[Work]]
