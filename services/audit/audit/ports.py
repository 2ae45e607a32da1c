"""What the audit service needs: a log that can be appended to and read, inside a transaction; keys of people."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from audit.domain.entry import Entry
from audit.domain.keeping import Erasure, Retention
from audit.domain.merkle import Frontier
from audit.domain.sequence import Counts, Head, Leaf, Seen
from audit.domain.strands import Strands
from audit.domain.stream import Stream
from audit.domain.tiles import Tile
from audit.domain.wanted import Wanted
from audit.domain.writing import Prepared
from chassis.pages import PageAsk, Slice

PersonId = tuple[UUID, str]  # in whose log, and who


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody whom a log speaks of: their wrapped key (None: erased) and what they were called, folded."""

    tenant: UUID
    id: str
    key: bytes | None
    names: str = ""


class Kept(NamedTuple):
    """An entry as it is kept: its bytes, and its personal parts under their people's keys."""

    leaf: Leaf
    sealed: Mapping[str, bytes]


class SeenBefore(Exception):
    """An event is in its log already: ask which, and enter the others."""


class Vault(Protocol):
    """Keys, and encryption under them."""

    def fresh(self) -> bytes:
        """Return a new key, wrapped."""
        ...

    def seal(self, key: bytes, text: bytes, about: bytes) -> bytes:
        """Return a text, sealed under a wrapped key to what it is about."""
        ...

    def unseal(self, key: bytes, sealed: bytes, about: bytes) -> bytes | None:
        """Return a text; None if it was not sealed so."""
        ...

    def wrap(self, text: bytes, about: bytes) -> bytes:
        """Return a secret of our own, sealed."""
        ...

    def unwrap(self, sealed: bytes, about: bytes) -> bytes:
        """Return what was wrapped."""
        ...


class People(Protocol):
    """Those of whom the logs speak."""

    async def find(self, ids: Collection[PersonId]) -> Mapping[PersonId, Person]:
        """Return those who are known."""
        ...

    async def keep(self, people: Sequence[Person]) -> Mapping[PersonId, Person]:
        """Add people, or their names to those who are known; return them as they are now. The erased stay so."""
        ...


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signed checkpoint of a log."""

    tenant: UUID
    size: int
    root: bytes
    note: str
    at: datetime


class Trees(Protocol):
    """What is published of the logs: tiles and checkpoints."""

    async def unsigned(self) -> Sequence[UUID]:
        """Return the logs that grew since their newest checkpoint."""
        ...

    async def edge(self, tenant: UUID) -> Frontier:
        """Return the right edge of a log's tree as it is now."""
        ...

    async def newest(self, tenant: UUID) -> Signed | None:
        """Return the newest checkpoint of a log."""
        ...

    async def at(self, tenant: UUID, size: int) -> Signed | None:
        """Return the checkpoint of a log at a size."""
        ...

    async def keep(self, signed: Signed, number: int | None) -> None:
        """Keep a checkpoint, and its place in the log of checkpoints."""
        ...

    async def known(self, tenant: UUID, size: int) -> bool:
        """Tell whether a log has a checkpoint at this size; if not, nobody else makes one until the work ends."""
        ...

    async def grow(self, tenant: UUID, leaf: bytes, now: datetime) -> int:
        """Add a leaf to a log that has no entries; return its number."""
        ...

    async def tile(self, tenant: UUID, tile: Tile) -> Sequence[bytes]:
        """Return the hashes of a tile that are there: a full one for ever, the last one as far as it goes."""
        ...

    async def tiles(self, tenant: UUID, tiles: Collection[Tile]) -> Mapping[Tile, Sequence[bytes]]:
        """Return the hashes of several tiles."""
        ...

    async def full(self, tenant: UUID, level: int) -> int:
        """Return how many full tiles of a level are kept."""
        ...

    async def keep_tile(self, tenant: UUID, tile: Tile, hashes: Sequence[bytes]) -> None:
        """Keep a full tile."""
        ...

    async def key(self) -> bytes | None:
        """Return the sealed private key that signs."""
        ...

    async def keep_key(self, public: bytes, sealed: bytes) -> None:
        """Keep a new key that signs, unless there is one."""
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

    async def erasures(self, tenant: UUID, ask: PageAsk) -> Slice[Erasure]:
        """Return a page of erasures, newest first."""
        ...


class Streams(Protocol):
    """Receivers of everything."""

    async def get(self, tenant: UUID, stream: UUID, *, lock: bool = False) -> Stream | None:
        """Return a stream; None if the tenant has none such."""
        ...

    async def page(self, tenant: UUID, ask: PageAsk) -> Slice[Stream]:
        """Return a page of a tenant's streams, newest first."""
        ...

    async def count(self, tenant: UUID) -> int:
        """Return how many streams a tenant has."""
        ...

    async def due(self, now: datetime) -> Sequence[Stream]:
        """Return the active streams that have something to send."""
        ...

    async def add(self, stream: Stream) -> None:
        """Add a stream."""
        ...

    async def put(self, stream: Stream) -> None:
        """Change a stream."""
        ...

    async def delete(self, stream: Stream) -> None:
        """Delete a stream."""
        ...


class Poster(Protocol):
    """The way out."""

    def trouble(self, url: str) -> str:
        """Return why a URL can never be sent to; nothing if it can be tried."""
        ...

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> str:
        """Send; return why it was not taken, nothing if it was."""
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
