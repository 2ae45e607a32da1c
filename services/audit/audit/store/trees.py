"""Tiles and checkpoints in PostgreSQL.

A full tile is kept for ever, with what it comes to. The last tile of a level is not kept: its hashes are the leaves of
the entries, or what the full tiles below it come to.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from audit.domain.entry import CHECKPOINTS
from audit.domain.merkle import Frontier, leaf_hash
from audit.domain.tiles import WIDTH, Tile, root, split
from audit.ports import Signed
from audit.store.tables import CheckpointRow, EntryRow, HeadRow, SignerRow, TileRow

_KEY = "checkpoints"
_UNSIGNED = text(
    """
    SELECT tenant FROM audit.head WHERE leaves > coalesce((
        SELECT size FROM audit.checkpoint WHERE checkpoint.tenant = head.tenant
        ORDER BY size DESC LIMIT 1), 0)
    ORDER BY tenant
    """
)
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('audit checkpoint'), hashtext(:tenant))")


class SqlTrees:
    """Trees over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def unsigned(self) -> Sequence[UUID]:
        """Compare trees with their checkpoints."""
        return list(await self._session.scalars(_UNSIGNED))

    async def edge(self, tenant: UUID) -> Frontier:
        """Read the head without locking it."""
        row = await self._session.get(HeadRow, tenant)
        return Frontier() if row is None else Frontier.of(row.leaves, row.edge)

    async def newest(self, tenant: UUID) -> Signed | None:
        """Read the end of the checkpoints."""
        row = CheckpointRow
        query = select(row).filter_by(tenant=tenant).order_by(row.size.desc()).limit(1)
        return _signed(await self._session.scalar(query))

    async def at(self, tenant: UUID, size: int) -> Signed | None:
        """Look a checkpoint up."""
        return _signed(await self._session.get(CheckpointRow, (tenant, size)))

    async def keep(self, signed: Signed, number: int | None) -> None:
        """Insert a checkpoint."""
        row = CheckpointRow(
            tenant=signed.tenant,
            size=signed.size,
            root=signed.root,
            at=signed.at,
            note=signed.note,
            number=number,
        )
        self._session.add(row)
        await self._session.flush()

    async def known(self, tenant: UUID, size: int) -> bool:
        """Lock the right to sign, then look."""
        await self._session.execute(_LOCK, {"tenant": str(tenant)})
        return await self.at(tenant, size) is not None

    async def grow(self, tenant: UUID, leaf: bytes, now: datetime) -> int:
        """Lock the head and move it by one."""
        await self._session.execute(
            insert(HeadRow).values(tenant=tenant).on_conflict_do_nothing(index_elements=["tenant"])
        )
        head = (
            await self._session.scalars(select(HeadRow).filter_by(tenant=tenant).with_for_update())
        ).one()
        edge = Frontier.of(head.leaves, head.edge)
        edge.grow(leaf)
        head.seq = head.leaves = edge.size
        head.edge, head.ts = edge.packed(), max(now, head.ts)
        await self._session.flush()
        return edge.size

    async def tile(self, tenant: UUID, tile: Tile) -> Sequence[bytes]:
        """Read a full tile, or put the last one together."""
        return (await self.tiles(tenant, [tile]))[tile]

    async def tiles(self, tenant: UUID, tiles: Collection[Tile]) -> Mapping[Tile, Sequence[bytes]]:
        """Read the full ones at once, and put the others together."""
        row = TileRow
        query = select(row.level, row.number, row.hashes).filter_by(tenant=tenant)
        rows = await self._session.execute(query.where(tuple_(row.level, row.number).in_(tiles)))
        found: dict[Tile, Sequence[bytes]] = {
            (one.level, one.number): split(one.hashes) for one in rows
        }
        for tile in tiles:
            if tile not in found:
                found[tile] = await self._last(tenant, tile)
        return found

    async def _last(self, tenant: UUID, tile: Tile) -> Sequence[bytes]:
        level, number = tile
        row = TileRow
        low, high = number * WIDTH, number * WIDTH + WIDTH - 1
        if level:
            below = select(row.root).filter_by(tenant=tenant, level=level - 1)
            below = below.where(row.number.between(low, high)).order_by(row.number)
            return list(await self._session.scalars(below))
        return await self._leaves(tenant, low + 1, high + 1)

    async def _leaves(self, tenant: UUID, low: int, high: int) -> Sequence[bytes]:
        if tenant == CHECKPOINTS:
            one = CheckpointRow
            notes = select(one.note).where(one.number.between(low, high)).order_by(one.number)
            return [leaf_hash(note.encode()) for note in await self._session.scalars(notes)]
        row = EntryRow
        leaves = select(row.leaf).where(row.tenant == tenant, row.seq.between(low, high))
        found = await self._session.scalars(leaves.order_by(row.seq))
        return [leaf for leaf in found if leaf is not None]

    async def full(self, tenant: UUID, level: int) -> int:
        """Count by the newest number."""
        row = TileRow
        newest = select(func.max(row.number)).filter_by(tenant=tenant, level=level)
        last = await self._session.scalar(newest)
        return 0 if last is None else last + 1

    async def keep_tile(self, tenant: UUID, tile: Tile, hashes: Sequence[bytes]) -> None:
        """Insert a tile; one that is there already is the same."""
        level, number = tile
        new = insert(TileRow).values(
            tenant=tenant, level=level, number=number, hashes=b"".join(hashes), root=root(hashes)
        )
        await self._session.execute(new.on_conflict_do_nothing())

    async def key(self) -> bytes | None:
        """Read the key."""
        return await self._session.scalar(select(SignerRow.sealed).filter_by(name=_KEY))

    async def keep_key(self, public: bytes, sealed: bytes) -> None:
        """Insert the key, unless another process was faster."""
        new = insert(SignerRow).values(name=_KEY, public=public, sealed=sealed)
        await self._session.execute(new.on_conflict_do_nothing())


def _signed(row: CheckpointRow | None) -> Signed | None:
    if row is None:
        return None
    return Signed(
        tenant=row.tenant, size=row.size, root=row.root, note=row.note, at=row.at.astimezone(UTC)
    )
