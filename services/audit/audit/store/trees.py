"""Tiles and checkpoints in PostgreSQL.

A full tile is kept for ever, with what it comes to. The last tile of a level is not kept: its hashes are the leaves of
the entries, or what the full tiles below it come to.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from audit.domain.entry import CHECKPOINTS
from audit.domain.merkle import Frontier, leaf_hash
from audit.domain.tiles import WIDTH, Tile, root, split
from audit.ports import Signed
from audit.store.tables import CheckpointRow, HeadRow, SignerRow, TileRow

_KEY = "checkpoints"
_UNSIGNED = text(
    """
    SELECT tenant FROM audit.head WHERE leaves > coalesce((
        SELECT size FROM audit.checkpoint WHERE checkpoint.tenant = head.tenant
        ORDER BY size DESC LIMIT 1), 0)
    ORDER BY tenant
    """
)
_NEWEST = text(
    "SELECT tenant, size, root, note, at FROM audit.checkpoint WHERE tenant = :tenant"
    " ORDER BY size DESC LIMIT 1"
)
# A full tile is there; of the last one of a level, its hashes are what is below it.
_TILES = text(
    """
    SELECT asked.level, asked.number, coalesce(tile.hashes, CASE asked.level
        WHEN 0 THEN (SELECT string_agg(leaf, NULL ORDER BY seq) FROM audit.entry
            WHERE entry.tenant = :tenant AND seq BETWEEN asked.number * 256 + 1 AND asked.number * 256 + 256)
        ELSE (SELECT string_agg(below.root, NULL ORDER BY below.number) FROM audit.tile AS below
            WHERE below.tenant = :tenant AND below.level = asked.level - 1
            AND below.number BETWEEN asked.number * 256 AND asked.number * 256 + 255) END, '')
    FROM unnest(CAST(:levels AS smallint[]), CAST(:numbers AS bigint[])) AS asked (level, number)
    LEFT JOIN audit.tile ON tile.tenant = :tenant AND tile.level = asked.level AND tile.number = asked.number
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
        return _signed((await self._session.execute(_NEWEST, {"tenant": tenant})).one_or_none())

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
        """Read all of them at once; only the hashes of checkpoints are to be computed."""
        asked = sorted(tiles)
        told = {"levels": [level for level, _ in asked], "numbers": [number for _, number in asked]}
        rows = await self._session.execute(_TILES, {"tenant": tenant, **told})
        found: dict[Tile, Sequence[bytes]] = {
            (level, number): split(hashes) for level, number, hashes in rows
        }
        if tenant == CHECKPOINTS:
            for tile in tiles:
                if not tile[0] and not found[tile]:
                    found[tile] = await self._notes(tile)
        return found

    async def _notes(self, tile: Tile) -> Sequence[bytes]:
        """Return the leaves of the last tile of the log of checkpoints, which has no entries."""
        one, low = CheckpointRow, tile[1] * WIDTH + 1
        notes = select(one.note).where(one.number.between(low, low + WIDTH - 1))
        found = await self._session.scalars(notes.order_by(one.number))
        return [leaf_hash(note.encode()) for note in found]

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


def _signed(row: Any) -> Signed | None:  # noqa: ANN401 - a row of SQLAlchemy
    if row is None:
        return None
    return Signed(
        tenant=row.tenant, size=row.size, root=row.root, note=row.note, at=row.at.astimezone(UTC)
    )
