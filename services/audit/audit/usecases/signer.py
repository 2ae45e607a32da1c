"""Publishing the state of the logs: full tiles, and a signed checkpoint of each log that grew.

Every checkpoint of a tenant's log is a leaf of the platform's log of checkpoints, which is signed too: who watches that
one log sees to it that no tenant's log is ever told in two ways.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from audit.domain.entry import CHECKPOINTS
from audit.domain.errors import BrokenTree
from audit.domain.merkle import leaf_hash
from audit.domain.note import Checkpoint, signed, vkey
from audit.domain.tiles import HEIGHT, WIDTH
from audit.ports import OpenWork, Signed, Vault, Work
from audit.usecases.hashes import of_ranges

log = logging.getLogger(__name__)
Keys = tuple[bytes, Callable[[bytes], bytes]]
_KEY = b"checkpoints"
_AT_ONCE = 256


@dataclass(slots=True)
class Signer:
    """Signs under `name`. `new_key` makes a private key, `signing` returns its public one and what signs."""

    work: OpenWork
    vault: Vault
    now: Callable[[], datetime]
    name: str
    new_key: Callable[[], bytes]
    signing: Callable[[bytes], Keys]
    _keys: Keys | None = field(default=None, init=False)

    def origin(self, tenant: UUID) -> str:
        """Return the name of a log."""
        return f"{self.name}/{'checkpoints' if tenant == CHECKPOINTS else tenant}"

    async def vkey(self, tenant: UUID) -> str:
        """Return what verifies the checkpoints of a log."""
        async with self.work() as work:
            public, _ = await self._key(work)
        return vkey(self.origin(tenant), public)

    async def sign_grown(self) -> int:
        """Sign every log that grew; return how many did."""
        async with self.work() as work:
            grown = await work.trees.unsigned()
        for tenant in sorted(grown, key=lambda one: one == CHECKPOINTS):
            try:
                await self.sign(tenant)
            except BrokenTree as broken:  # the others shall not suffer for it
                log.error("%s", broken.detail)
        return len(grown)

    async def sign(self, tenant: UUID) -> Signed | None:
        """Return a checkpoint of all that a log holds now; None for an empty log."""
        async with self.work() as work:
            edge = await work.trees.edge(tenant)
            there = await work.trees.at(tenant, edge.size)
        if there or not edge.size:
            return there
        await self._tile(tenant, edge.size)
        async with self.work() as work:
            if await work.trees.known(tenant, edge.size):
                return await work.trees.at(tenant, edge.size)
            await _check(work, tenant, edge.size, edge.root())
            public, sign = await self._key(work)
            state = Checkpoint(self.origin(tenant), edge.size, edge.root())
            new = Signed(
                tenant=tenant,
                size=state.size,
                root=state.root,
                note=signed(state, public, sign),
                at=self.now(),
            )
            await work.trees.keep(new, await self._logged(work, new))
        return new

    async def _logged(self, work: Work, new: Signed) -> int | None:
        if new.tenant == CHECKPOINTS:
            return None
        return await work.trees.grow(CHECKPOINTS, leaf_hash(new.note.encode()), self.now())

    async def _tile(self, tenant: UUID, size: int) -> None:
        """Keep every tile that is full now, in transactions of a bounded size."""
        level = 0
        while tiles := size >> (HEIGHT * (level + 1)):
            while await self._tile_some(tenant, level, tiles):
                continue
            level += 1

    async def _tile_some(self, tenant: UUID, level: int, tiles: int) -> bool:
        """Keep some of the tiles that a level still lacks; tell whether any were."""
        async with self.work() as work:
            first = await work.trees.full(tenant, level)
            numbers = range(first, min(tiles, first + _AT_ONCE))
            for number in numbers:
                hashes = await work.trees.tile(tenant, (level, number))
                if len(hashes) != WIDTH:
                    raise BrokenTree(f"tile {level}/{number} of the log {tenant} has holes")
                await work.trees.keep_tile(tenant, (level, number), hashes)
        return bool(numbers)

    async def _key(self, work: Work) -> Keys:
        if self._keys is None:
            sealed = await work.trees.key()
            if sealed is None:
                private = self.new_key()
                await work.trees.keep_key(self.signing(private)[0], self.vault.wrap(private, _KEY))
                sealed = await work.trees.key()
                assert sealed is not None
                return self.signing(self.vault.unwrap(sealed, _KEY))  # not yet committed
            self._keys = self.signing(self.vault.unwrap(sealed, _KEY))
        return self._keys


async def _check(work: Work, tenant: UUID, size: int, root: bytes) -> None:
    """Refuse to sign what the kept hashes do not come to."""
    (found,) = await of_ranges(work, tenant, [(0, size)])
    if found != root:
        raise BrokenTree(f"the hashes of the log {tenant} do not come to what its head says")
