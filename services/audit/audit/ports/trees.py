"""What is asked of the trees: heads, tiles and the key that signs them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from audit.domain.merkle import Frontier
from audit.domain.tiles import Tile


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
