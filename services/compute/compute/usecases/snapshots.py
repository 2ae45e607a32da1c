"""Snapshots of machines. What is asked is written down here and done at the machine's host by the worker."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor, Fact, Seen, Target, changed
from chassis.pages import PageAsk, Slice
from compute.domain.happening import Happening, Level
from compute.domain.operation import Operation
from compute.domain.quota import Amount
from compute.domain.snapshot import MOST, Snapshot, Task, must_be_off, must_be_takable
from compute.domain.snapshot_errors import SnapshotBusy, SnapshotNotFound, TooManySnapshots
from compute.domain.vm import Vm
from compute.ports import OpenWork, Work
from compute.usecases.vms import Intent, allowed

READ, CHANGE = "vm:read", "vm:update"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshots:
    """Everything one can do with the snapshots of a machine: who may change it may take and restore them.

    `limit`: what a tenant may have at most.
    """

    work: OpenWork
    limit: Amount
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def list(self, caller: Caller, vm_id: UUID, ask: PageAsk) -> Slice[Snapshot]:
        """Return a part of a machine's snapshots, the newest first."""
        caller.must_for_some(READ)
        async with self.work() as work:
            allowed(caller, READ, await work.vms.find(caller.tenant, vm_id), vm_id)
            return await work.snapshots.list(vm_id, ask)

    async def read(self, caller: Caller, vm_id: UUID, snapshot_id: UUID) -> Snapshot:
        """Return one snapshot."""
        caller.must_for_some(READ)
        async with self.work() as work:
            allowed(caller, READ, await work.vms.find(caller.tenant, vm_id), vm_id)
            return _there(await work.snapshots.find(vm_id, snapshot_id), snapshot_id)

    async def take(self, caller: Caller, intent: Intent, name: str) -> Operation:
        """Write down that a snapshot is wanted; of a machine that runs, it is as after a power cut. QuotaExceeded."""
        caller.must_for_some(CHANGE)
        async with self.work() as work:
            vm = await _taken(work, caller, intent)
            must_be_takable(vm)
            await _no_restore(work, vm)
            if await work.snapshots.count(vm.id) >= MOST:
                raise TooManySnapshots(f"a machine has {MOST} snapshots at most: delete one")
            snapshot = self._new(caller, vm, name)
            await work.quotas.take(vm.tenant, self.limit, snapshot.amount)
            await work.snapshots.add(snapshot)
            return await self._noted(work, caller, vm, (None, snapshot), intent)

    async def ask(self, caller: Caller, intent: Intent, snapshot_id: UUID, task: Task) -> Operation:
        """Write down that a snapshot is to be restored (of a machine that is off) or dropped."""
        caller.must_for_some(CHANGE)
        async with self.work() as work:
            vm = await _taken(work, caller, Intent(vm=intent.vm))
            before = _there(await work.snapshots.take(vm.id, snapshot_id), snapshot_id)
            before.expect(intent.version)
            await _no_restore(work, vm)
            if task is Task.RESTORE:
                must_be_off(vm)
                await _nothing_open(work, vm)
            after = before.asked(task, self.new_id(), self.now())
            await work.snapshots.put(after)
            return await self._noted(work, caller, vm, (before, after), intent)

    def _new(self, caller: Caller, vm: Vm, name: str) -> Snapshot:
        now = self.now()
        return Snapshot(
            id=self.new_id(),
            tenant=vm.tenant,
            vm_id=vm.id,
            name=name,
            created_by=caller.name or caller.subject,
            created_at=now,
            updated_at=now,
            operation_id=self.new_id(),
            disk_gb=vm.disk_gb,
        )

    async def _noted(
        self,
        work: Work,
        caller: Caller,
        vm: Vm,
        change: tuple[Snapshot | None, Snapshot],
        intent: Intent,
    ) -> Operation:
        """Make the operation, write it into the machine's log and the audit log, and tell the worker."""
        before, after = change
        assert after.task is not None
        operation = Operation(
            id=after.operation_id,
            tenant=vm.tenant,
            vm_id=vm.id,
            owner_id=vm.owner_id,
            action=after.task.action,
            generation=vm.generation,
            asked_by=caller.name or caller.subject,
            created_at=self.now(),
            snapshot_id=after.id,
        )
        await work.operations.add(operation)
        text = f"{operation.action} {after.name!r} was asked for by {operation.asked_by}"
        await work.log.add(vm.id, Happening(self.now(), Level.INFO, text))
        actor = Actor.of(caller)
        work.record(told(actor, f"{after.task}_asked", before, after, intent.reason))
        work.stir()
        return operation


async def _taken(work: Work, caller: Caller, intent: Intent) -> Vm:
    vm = allowed(caller, CHANGE, await work.vms.take(caller.tenant, intent.vm), intent.vm)
    vm.expect(intent.version)
    return vm


async def _no_restore(work: Work, vm: Vm) -> None:
    """Refuse what would meet a disk that is just being put back."""
    open_ = await work.snapshots.open_of(vm.id)
    if busy := next((it for it in open_ if it.task is Task.RESTORE), None):
        raise SnapshotBusy(f"snapshot {busy.name!r} is being restored: wait until that is done")


async def _nothing_open(work: Work, vm: Vm) -> None:
    if busy := next(iter(await work.snapshots.open_of(vm.id)), None):
        raise SnapshotBusy(f"snapshot {busy.name!r} is {busy.status}: wait until that is done")


def _there(found: Snapshot | None, snapshot_id: UUID) -> Snapshot:
    if found is None:
        raise SnapshotNotFound(f"there is no snapshot {snapshot_id} of this machine")
    return found


def told(
    actor: Actor, verbed: str, before: Snapshot | None, after: Snapshot | None, reason: str = ""
) -> Fact:
    """Return the fact that something was done to a snapshot, or asked of it."""
    return changed(actor, verbed, before and _seen(before), after and _seen(after), reason)


def _seen(snapshot: Snapshot) -> Seen:
    document = {
        "vm_id": str(snapshot.vm_id),
        "name": snapshot.name,
        "disk_gb": snapshot.disk_gb,
        "status": snapshot.status.value,
        "status_detail": snapshot.status_detail,
        "version": snapshot.version,
    }
    return snapshot.tenant, Target("snapshot", str(snapshot.id), snapshot.name), document
