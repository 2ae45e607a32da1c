"""Snapshots of machines in PostgreSQL."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import PageAsk, Slice
from compute.domain.quota import Amount
from compute.domain.snapshot import Snapshot, Task
from compute.store.lists import Listing
from compute.store.tables import SnapshotRow, VmRow

_LISTING = Listing(SnapshotRow, {"created_at": SnapshotRow.created_at})
_SAME = tuple(field.name for field in fields(Snapshot) if field.name != "task")


@dataclass(frozen=True, slots=True)
class _Newest:
    """The part of a list that is asked for, the newest first."""

    ask: PageAsk
    sort: str = "-created_at"


class SqlSnapshotBook:
    """The snapshots over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, vm_id: UUID, snapshot_id: UUID) -> Snapshot | None:
        """Return a snapshot of a machine; None if there is none."""
        named = (SnapshotRow.id == snapshot_id) & (SnapshotRow.vm_id == vm_id)
        row = await self._session.scalar(select(SnapshotRow).where(named))
        return _snapshot_of(row) if row else None

    async def take(self, vm_id: UUID, snapshot_id: UUID) -> Snapshot | None:
        """Return what `find` returns, locked until the work ends."""
        named = (SnapshotRow.id == snapshot_id) & (SnapshotRow.vm_id == vm_id)
        query = select(SnapshotRow).where(named).with_for_update()
        row = await self._session.scalar(query.execution_options(populate_existing=True))
        return _snapshot_of(row) if row else None

    async def list(self, vm_id: UUID, ask: PageAsk) -> Slice[Snapshot]:
        """Return a part of a machine's snapshots, the newest first."""
        which = SnapshotRow.vm_id == vm_id
        rows, after, total = await _LISTING.part(self._session, which, _Newest(ask))
        return Slice(items=[_snapshot_of(row) for row in rows], next=after, total=total)

    async def count(self, vm_id: UUID) -> int:
        """Return how many snapshots a machine has."""
        query = select(func.count()).select_from(SnapshotRow).where(SnapshotRow.vm_id == vm_id)
        return await self._session.scalar(query) or 0

    async def open_of(self, vm_id: UUID) -> Sequence[Snapshot]:
        """Return the snapshots of a machine with something to be done, in the order in which it was asked for."""
        mine = (SnapshotRow.vm_id == vm_id) & SnapshotRow.task.is_not(None)
        query = select(SnapshotRow).where(mine).order_by(SnapshotRow.operation_id)
        return [_snapshot_of(row) for row in await self._session.scalars(query)]

    async def due(self, host: str, now: datetime) -> Collection[UUID]:
        """Return the machines of a host with something to be done by now."""
        soon = or_(SnapshotRow.due_at.is_(None), SnapshotRow.due_at <= now)
        query = select(SnapshotRow.vm_id).join(VmRow, VmRow.id == SnapshotRow.vm_id)
        here = query.where(VmRow.host == host, SnapshotRow.task.is_not(None), soon)
        return set(await self._session.scalars(here))

    async def add(self, snapshot: Snapshot) -> None:
        """Keep a new snapshot."""
        self._session.add(SnapshotRow(**_columns(snapshot)))
        await self._session.flush()

    async def put(self, snapshot: Snapshot) -> None:
        """Keep a snapshot as it is now."""
        row = update(SnapshotRow).where(SnapshotRow.id == snapshot.id)
        await self._session.execute(row.values(**_columns(snapshot)))

    async def remove(self, snapshot: Snapshot) -> None:
        """Forget a snapshot."""
        await self._session.execute(delete(SnapshotRow).where(SnapshotRow.id == snapshot.id))

    async def forget(self, vm_id: UUID) -> Amount:
        """Forget all snapshots of a machine, whose disk is gone with them in it; return what they had of the quota."""
        gone = delete(SnapshotRow).where(SnapshotRow.vm_id == vm_id)
        sizes = await self._session.scalars(gone.returning(SnapshotRow.disk_gb))
        return Amount(disk_gb=sum(sizes))


def _columns(snapshot: Snapshot) -> dict[str, Any]:
    task = snapshot.task.value if snapshot.task else None
    return {name: getattr(snapshot, name) for name in _SAME} | {"task": task}


def _snapshot_of(row: SnapshotRow) -> Snapshot:
    same = {name: getattr(row, name) for name in _SAME}
    return Snapshot(**same, task=Task(row.task) if row.task else None)
