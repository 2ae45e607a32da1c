"""Layers and holdouts, in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import Conflict
from chassis.pages import Position, Slice, cut
from experiments.domain.errors import HoldoutKeyTaken, LayerKeyTaken
from experiments.domain.experiment import Status
from experiments.domain.layers import Holdout, Layer, Slot
from experiments.ports.assigning import WantedNamed
from experiments.store.experiments import status_at
from experiments.store.listing import named, ordered, position
from experiments.store.tables import ExperimentRow, HoldoutRow, LayerRow

Row = TypeVar("Row", LayerRow, HoldoutRow)
E = ExperimentRow
_SAME = (
    "id", "tenant", "key", "name", "description", "owner_id", "version", "created_at", "updated_at",
)  # fmt: skip
_OVER = (Status.COMPLETED.value, Status.ARCHIVED.value)


class SqlLayers:
    """The layers over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, tenant: UUID, name: str) -> Layer | None:
        """Return the layer with this id or key; None if there is none."""
        row = await _one(self._session, named(LayerRow, tenant, name))
        return _layer(row) if row else None

    async def take(self, tenant: UUID, name: str) -> Layer | None:
        """Return the layer with this id or key, locked until the work ends; None if there is none."""
        row = await _one(self._session, named(LayerRow, tenant, name).with_for_update())
        return _layer(row) if row else None

    async def page(self, tenant: UUID, wanted: WantedNamed) -> Slice[Layer]:
        """Return a part of a tenant's layers."""
        rows, after, total = await _page(self._session, LayerRow, tenant, wanted)
        return Slice(items=[_layer(row) for row in rows], next=after, total=total)

    async def add(self, layer: Layer) -> None:
        """Keep a new layer; LayerKeyTaken if the tenant has one with its key."""
        taken = LayerKeyTaken(f"there is a layer {layer.key!r} already")
        await _add(self._session, LayerRow(**_columns(layer)), "layer_key", taken)

    async def put(self, layer: Layer) -> None:
        """Keep a locked layer as it is now."""
        mine = LayerRow.id == layer.id
        await self._session.execute(update(LayerRow).where(mine).values(**_columns(layer)))

    async def remove(self, layer: Layer) -> None:
        """Forget a locked layer."""
        await self._session.execute(delete(LayerRow).where(LayerRow.id == layer.id))

    async def slots(self, layer: UUID, now: datetime) -> Sequence[tuple[str, Slot]]:
        """Return which experiments (by key) that are not over at `now` have which places, in order of places."""
        query = (
            select(E.key, E.slot_start, E.slot_end)
            .where(E.layer_id == layer, status_at(now).not_in(_OVER))
            .order_by(E.slot_start)
        )
        rows = (await self._session.execute(query)).all()
        return [(key, Slot(layer, start or 0, end or 0)) for key, start, end in rows]

    async def named_by(self, layer: UUID) -> Sequence[str]:
        """Return the keys of all experiments that name a layer, those that are over too."""
        query = select(E.key).where(E.layer_id == layer).order_by(E.key)
        return (await self._session.scalars(query)).all()


class SqlHoldouts:
    """The holdouts over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, tenant: UUID, name: str) -> Holdout | None:
        """Return the holdout with this id or key; None if there is none."""
        row = await _one(self._session, named(HoldoutRow, tenant, name))
        return _holdout(row) if row else None

    async def take(self, tenant: UUID, name: str) -> Holdout | None:
        """Return the holdout with this id or key, locked until the work ends; None if there is none."""
        row = await _one(self._session, named(HoldoutRow, tenant, name).with_for_update())
        return _holdout(row) if row else None

    async def page(self, tenant: UUID, wanted: WantedNamed) -> Slice[Holdout]:
        """Return a part of a tenant's holdouts."""
        rows, after, total = await _page(self._session, HoldoutRow, tenant, wanted)
        return Slice(items=[_holdout(row) for row in rows], next=after, total=total)

    async def all(self, tenant: UUID) -> Sequence[Holdout]:
        """Return every holdout of a tenant, the oldest first."""
        query = select(HoldoutRow).where(HoldoutRow.tenant == tenant).order_by(HoldoutRow.id)
        return [_holdout(row) for row in await self._session.scalars(query)]

    async def add(self, holdout: Holdout) -> None:
        """Keep a new holdout; HoldoutKeyTaken if the tenant has one with its key."""
        taken = HoldoutKeyTaken(f"there is a holdout {holdout.key!r} already")
        row = HoldoutRow(**_columns(holdout), share=holdout.share)
        await _add(self._session, row, "holdout_key", taken)

    async def put(self, holdout: Holdout) -> None:
        """Keep a locked holdout as it is now."""
        mine = HoldoutRow.id == holdout.id
        await self._session.execute(update(HoldoutRow).where(mine).values(**_columns(holdout)))

    async def remove(self, holdout: Holdout) -> None:
        """Forget a locked holdout."""
        await self._session.execute(delete(HoldoutRow).where(HoldoutRow.id == holdout.id))


async def _add(
    session: AsyncSession, row: LayerRow | HoldoutRow, constraint: str, taken: Conflict
) -> None:
    try:
        async with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        if constraint not in str(error.orig):
            raise
        raise taken from None


async def _one(session: AsyncSession, query: Select[Row]) -> Row | None:
    return await session.scalar(query.execution_options(populate_existing=True))


async def _page(
    session: AsyncSession, table: type[Row], tenant: UUID, wanted: WantedNamed
) -> tuple[Sequence[Row], Position | None, int]:
    which, ask = table.tenant == tenant, wanted.ask
    if wanted.search:
        fields = (table.key, table.name, table.description)
        which &= or_(*(f.icontains(wanted.search, autoescape=True) for f in fields))
    total = await session.scalar(select(func.count()).select_from(table).where(which))
    page = ordered(table, select(table).where(which), wanted.sort, ask.after)
    rows = (await session.scalars(page.limit(ask.limit + 1).offset(ask.offset))).all()
    items, after = cut(rows, ask.limit, lambda row: position(row, wanted.sort))
    return items, after, total or 0


def _columns(it: Layer | Holdout) -> dict[str, Any]:
    return {name: getattr(it, name) for name in _SAME}


def _layer(row: LayerRow) -> Layer:
    return Layer(**{name: getattr(row, name) for name in _SAME})


def _holdout(row: HoldoutRow) -> Holdout:
    return Holdout(**{name: getattr(row, name) for name in _SAME}, share=row.share)
