"""What is asked of the world about snapshots."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from chassis.pages import PageAsk, Slice
from compute.domain.quota import Amount
from compute.domain.snapshot import Snapshot


class SnapshotBook(Protocol):
    """The snapshots of every machine."""

    async def find(self, vm_id: UUID, snapshot_id: UUID) -> Snapshot | None:
        """Return a snapshot of a machine; None if there is none."""
        ...

    async def take(self, vm_id: UUID, snapshot_id: UUID) -> Snapshot | None:
        """Return what `find` returns, locked until the work ends."""
        ...

    async def list(self, vm_id: UUID, ask: PageAsk) -> Slice[Snapshot]:
        """Return a part of a machine's snapshots, the newest first."""
        ...

    async def count(self, vm_id: UUID) -> int:
        """Return how many snapshots a machine has."""
        ...

    async def open_of(self, vm_id: UUID) -> Sequence[Snapshot]:
        """Return the snapshots of a machine with something to be done, in the order in which it was asked for."""
        ...

    async def due(self, host: str, now: datetime) -> Collection[UUID]:
        """Return the machines of a host with something to be done by now."""
        ...

    async def add(self, snapshot: Snapshot) -> None:
        """Keep a new snapshot."""
        ...

    async def put(self, snapshot: Snapshot) -> None:
        """Keep a snapshot as it is now."""
        ...

    async def remove(self, snapshot: Snapshot) -> None:
        """Forget a snapshot."""
        ...

    async def forget(self, vm_id: UUID) -> Amount:
        """Forget all snapshots of a machine, whose disk is gone with them in it; return what they had of the quota."""
        ...
