"""Proving the log: checkpoints, tiles, and proofs of inclusion and of consistency."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from audit.domain.entry import CHECKPOINTS, Entry
from audit.domain.errors import BadTreeRange, NoCheckpoint, NoSuchEntry, NoSuchTile
from audit.domain.merkle import consistency, inclusion
from audit.domain.note import proof_text
from audit.domain.tiles import WIDTH, Tile, width
from audit.ports import OpenWork, Signed, Work
from audit.usecases.hashes import of_ranges
from audit.usecases.reader import whose
from audit.usecases.signer import Signer
from chassis.caller import Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """Which log is meant: one's own, a tenant's, or that of all checkpoints."""

    tenant: UUID | None = None
    checkpoints: bool = False

    def of(self, caller: Caller) -> UUID:
        """Return whose log it is; OtherTenant if the caller may not see it."""
        return CHECKPOINTS if self.checkpoints else whose(caller, self.tenant)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A proof that an entry is in a log."""

    entry: Entry
    hashes: Sequence[bytes]
    signed: Signed

    @property
    def index(self) -> int:
        """The place of the leaf, from 0."""
        return self.entry.seq - 1

    def text(self) -> str:
        """Return the proof as C2SP writes it."""
        return proof_text(self.entry.body, self.index, self.hashes, self.signed.note)


@dataclass(frozen=True, slots=True)
class Prover:
    """Shows what a log is, without anybody's word for it."""

    work: OpenWork
    signer: Signer

    async def checkpoint(self, caller: Caller, log: Whose) -> Signed:
        """Return the newest checkpoint; the first is made when it is asked for."""
        caller.must("audit:read")
        tenant = log.of(caller)
        async with self.work() as work:
            found = await work.trees.newest(tenant)
        return found or _there(await self.signer.sign(tenant))

    async def vkey(self, caller: Caller, log: Whose) -> str:
        """Return what verifies a log's checkpoints."""
        caller.must("audit:read")
        return await self.signer.vkey(log.of(caller))

    async def tile(self, caller: Caller, log: Whose, tile: Tile, wide: int = WIDTH) -> bytes:
        """Return the hashes of a tile, `wide` of them, within what is signed."""
        caller.must("audit:read")
        tenant = log.of(caller)
        async with self.work() as work:
            newest = await work.trees.newest(tenant)
            if newest is None or width(tile, newest.size) < wide:
                raise NoSuchTile("the newest checkpoint has no such tile")
            return b"".join((await work.trees.tile(tenant, tile))[:wide])

    async def consistency(self, caller: Caller, log: Whose, old: int, new: int) -> Sequence[bytes]:
        """Return the proof that a log only grew from `old` to `new` leaves."""
        caller.must("audit:read")
        if not 0 <= old <= new:
            raise BadTreeRange("`from` is after `to`: a log only grows")
        tenant = log.of(caller)
        async with self.work() as work:
            newest = await work.trees.newest(tenant)
            if newest is None or new > newest.size:
                raise BadTreeRange("`to` is beyond the newest checkpoint: ask for that one first")
            return await of_ranges(work, tenant, consistency(old, new))

    async def proof(self, caller: Caller, event_id: UUID, tenant: UUID | None = None) -> Proof:
        """Return the proof that an entry is in the log, in the newest signed state."""
        caller.must("audit:read")
        log = whose(caller, tenant)
        async with self.work() as work:
            entry = await work.log.get(log, event_id)
            newest = await work.trees.newest(log)
            if entry is None:
                raise NoSuchEntry("there is no such audit entry")
            if newest is not None and newest.size >= entry.seq:
                return await _proof(work, entry, newest)
        newest = _there(await self.signer.sign(log))
        async with self.work() as work:
            return await _proof(work, entry, newest)


async def _proof(work: Work, entry: Entry, signed: Signed) -> Proof:
    ranges = inclusion(entry.seq - 1, signed.size)
    hashes = await of_ranges(work, signed.tenant, ranges)
    return Proof(entry=entry, hashes=hashes, signed=signed)


def _there(found: Signed | None) -> Signed:
    if found is None:
        raise NoCheckpoint("this log is empty: there is nothing to sign yet")
    return found
