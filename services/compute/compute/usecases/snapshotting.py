"""Doing what is asked of snapshots, at the machine's host and under its lease.

The host's verb is "ensure", so what was done and not written down is done again and changes nothing. Putting a disk
back is asked for only while the machine is off, and nobody may start it until that is done: so twice is as good as
once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from compute.domain.guest import Key
from compute.domain.happening import Happening, Level
from compute.domain.snapshot import Snapshot, Task
from compute.domain.vm import Vm, Wish
from compute.ports import OpenWork, Work
from compute.ports.hypervisor import HostTrouble, Hypervisor, SnapshotVerb, StaleFence
from compute.usecases.claims import WORKER, claim, held
from compute.usecases.keeping import Lost
from compute.usecases.snapshots import told

_VERBS: Mapping[Task, SnapshotVerb] = {
    Task.TAKE: "take",
    Task.RESTORE: "restore",
    Task.DROP: "drop",
}
_DONE = {Task.TAKE: "taken", Task.RESTORE: "restored", Task.DROP: "deleted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshotting:
    """The worker of snapshots."""

    work: OpenWork
    hypervisor: Hypervisor
    now: Callable[[], datetime]

    async def process_due(self, vm_id: UUID) -> None:
        """Do what is due for the snapshots of one machine, if nobody else does, in the order in which it was asked."""
        taken = await claim(self.work, self.hypervisor.host, vm_id)
        if taken is None or taken[0].wish is Wish.VANISH:
            return
        vm, fence = taken
        async with self.work() as work:
            open_ = await work.snapshots.open_of(vm_id)
        for snapshot in open_:
            if snapshot.due_at is None or snapshot.due_at <= self.now():
                await self._do(vm, fence, snapshot)

    async def _do(self, vm: Vm, fence: int, snapshot: Snapshot) -> None:
        assert snapshot.task is not None
        key, trouble = Key(vm.id, vm.generation, fence), None
        deed = self.hypervisor.snapshot(key, str(snapshot.id), _VERBS[snapshot.task])
        try:
            await held(self.work, vm.id, fence, deed)
        except (StaleFence, Lost):
            return
        except HostTrouble as why:
            trouble = str(why)
        async with self.work() as work:
            if await work.leases.renew(vm.id, fence):
                await self._write(work, snapshot, trouble)

    async def _write(self, work: Work, snapshot: Snapshot, trouble: str | None) -> None:
        """Write down what came of a task, unless it is no longer the one that was done."""
        now, task = self.now(), snapshot.task
        before = await work.snapshots.take(snapshot.vm_id, snapshot.id)
        if before is None or task is None or before.operation_id != snapshot.operation_id:
            return
        after = before.failed(trouble, now) if trouble else before.done(now)
        gone = task is Task.DROP and not trouble
        if gone:
            await work.snapshots.remove(before)
            await work.quotas.give_back(before.tenant, before.amount)
        else:
            await work.snapshots.put(after)
        if after.task is None:
            await self._end(work, task, before, None if gone else after)

    async def _end(self, work: Work, task: Task, before: Snapshot, after: Snapshot | None) -> None:
        """End the operation, and tell of it."""
        now, trouble = self.now(), after.trouble if after else None
        operation = await work.operations.find(before.tenant, before.operation_id)
        if operation is not None:
            await work.operations.put(operation.ended(trouble, now))
        verbed = f"{task}_failed" if trouble else _DONE[task]
        level = Level.ERROR if trouble else Level.INFO
        text = f"snapshot {before.name!r} was {_DONE[task]}"
        if trouble:
            text = f"snapshot {before.name!r} could not be {_DONE[task]}: {trouble}"
        await work.log.add(before.vm_id, Happening(now, level, text))
        work.record(told(WORKER, verbed, before, after, trouble or ""))
