"""Making wishes come true: look at the host, compare, do one idempotent thing, write it down; again and again.

Level-triggered: nothing is remembered between two passes but what is in the tables and on the host, so a worker can be
killed anywhere. A machine is touched by who holds its lease, which is renewed for as long as that takes, and the host
refuses whoever held it before. Each machine that is due has a task of its own.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from uuid import UUID

from chassis.facts import Fact, Target
from compute.domain.course import Course, Deed, Terms, failed, idle, progressed, steer
from compute.domain.guest import ABSENT, Definition, Key, Seen, Switch
from compute.domain.happening import Happening, Level
from compute.domain.vm import Step, Vm
from compute.ports import OpenWork, Work
from compute.ports.hypervisor import HostTrouble, Hypervisor, StaleFence
from compute.usecases import metering
from compute.usecases.claims import WORKER, claim, held
from compute.usecases.keeping import Lost
from compute.usecases.metering import Meter
from compute.usecases.snapshotting import Snapshotting
from compute.usecases.underway import Underway
from compute.usecases.vms import cancelled, document

log = logging.getLogger(__name__)

_SWITCHES = {
    Deed.ON: Switch.ON,
    Deed.PRESS: Switch.PRESS,
    Deed.OFF: Switch.OFF,
    Deed.PAUSE: Switch.PAUSE,
    Deed.RESUME: Switch.RESUME,
    Deed.RESET: Switch.RESET,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """The worker. `terms`: how patient it is."""

    work: OpenWork
    hypervisor: Hypervisor
    terms: Terms
    now: Callable[[], datetime]
    meter: Meter
    snapshots: Snapshotting
    underway: Underway = field(default_factory=Underway)

    async def sweep(self) -> bool:
        """Go once over all machines of this host, and begin with those that are due and not under way.

        Tell whether any of them is on its way somewhere.
        """
        if (await self.hypervisor.probe()).trying:
            return True
        try:
            guests = await self.hypervisor.list()
        except HostTrouble as trouble:  # nobody knows how the guests are: nothing is done to any
            log.warning("the guests cannot be listed: %s", trouble)
            return False
        async with self.work() as work:
            vms = await work.vms.on_host(self.hypervisor.host)
            await self.meter.observe(work, vms, guests)  # before anything is done to them
            asked = await work.snapshots.due(self.hypervisor.host, self.now())
        due = [vm.id for vm in vms if self._has_to_do(vm, guests)]
        for vm_id in dict.fromkeys((*due, *asked)):
            self.underway.begin(vm_id, partial(self._attend, vm_id, with_snapshots=vm_id in asked))
        return any(vm.settled != vm.generation for vm in vms) or len(self.underway) > 0

    def _has_to_do(self, vm: Vm, guests: Mapping[UUID, Seen]) -> bool:
        if vm.id in self.underway or _waits(vm, self.now()):
            return False
        return not idle(vm, steer(vm, guests.get(vm.id, ABSENT), self.now(), self.terms))

    async def _attend(self, vm_id: UUID, *, with_snapshots: bool) -> None:
        await self.reconcile(vm_id)
        if with_snapshots:  # not beside it: what is done to a machine's disk is done alone
            await self.snapshots.process_due(vm_id)

    async def reconcile(self, vm_id: UUID) -> None:
        """Do the next thing for one machine, if nobody else does."""
        taken = await claim(self.work, self.hypervisor.host, vm_id)
        if taken is None:
            return
        vm, fence = taken
        seen = await self.hypervisor.observe(vm_id)
        course = steer(vm, seen, self.now(), self.terms)
        if _waits(vm, self.now()) or idle(vm, course):  # it was due when the guests were listed
            return
        try:
            await held(self.work, vm_id, fence, self._do(course.deed, vm, fence))
        except (StaleFence, Lost):
            log.warning("the lease on machine %s was lost on the way", vm_id)
        except HostTrouble as trouble:
            why = str(trouble)
            await self._write(vm, fence, lambda it: failed(it, why, self.now(), self.terms))
        else:
            await self._write(
                vm, fence, lambda it: progressed(it, course, seen, self.now()), course
            )

    async def _do(self, deed: Deed, vm: Vm, fence: int) -> None:
        key = Key(vm.id, vm.generation, fence)
        if deed is Deed.MAKE:
            await self.hypervisor.ensure_disk(key, _definition(vm))
        elif deed is Deed.REMOVE:
            await self.hypervisor.ensure_absent(key)
        elif deed is not Deed.NOTHING:
            if deed is Deed.ON:
                await self.hypervisor.ensure_defined(key, _definition(vm))
            await self.hypervisor.ensure_power(key, _SWITCHES[deed])

    async def _write(
        self, vm: Vm, fence: int, change: Callable[[Vm], Vm], course: Course | None = None
    ) -> None:
        """Write down how a machine is now, unless its owner has changed the wish or another has taken the lease."""
        async with self.work() as work:
            ours = await work.leases.renew(vm.id, fence)
            before = await work.vms.take_any(vm.id) if ours else None
            if before is None or before.generation != vm.generation:
                return
            after = change(before)
            await self._told(work, before, after, course)
            if after.step is Step.GONE:
                await self._freed(work, after)
            else:
                await work.vms.put(before, after)

    async def _told(self, work: Work, before: Vm, after: Vm, course: Course | None) -> None:
        """Leave what changed in the machine's log and, where people see it, for the audit log; end operations."""
        for happening in _happenings(before, after, course, self.now()):
            await work.log.add(after.id, happening)
        if (before.status, before.trouble) != (after.status, after.trouble):
            work.record(changed(before, after))
        for operation in await work.operations.open_of(after.id):
            if (ended := operation.judged(after, self.now())) is not operation:
                await work.operations.put(ended)

    async def _freed(self, work: Work, vm: Vm) -> None:
        """Forget a machine whose guest is seen to be gone; only now is its quota free."""
        await cancelled(work, vm, self.now())
        await metering.stopped(work, vm.id, None, self.meter.new_id, self.now())
        kept = await work.snapshots.forget(vm.id)
        await work.images.forget(vm.id)
        await work.log.forget(vm.id)
        await work.vms.remove(vm)
        await work.quotas.give_back(vm.tenant, vm.amount + kept)
        await work.leases.drop(vm.id)


def _waits(vm: Vm, now: datetime) -> bool:
    """Tell whether what went wrong with a machine is not to be tried again yet."""
    return vm.due_at is not None and vm.due_at > now


def _definition(vm: Vm) -> Definition:
    return Definition(
        name=vm.name,
        cpu=vm.cpu,
        memory_gb=vm.memory_gb,
        disk_gb=vm.disk_gb,
        template=vm.template_id,
        medium=vm.medium,
        user_data=vm.user_data,
        ssh_keys=vm.ssh_keys,
    )


def _happenings(before: Vm, after: Vm, course: Course | None, now: datetime) -> Sequence[Happening]:
    told: list[Happening] = []
    if course and course.news and (course.follows or before.step is not after.step):
        told.append(Happening(now, Level.WARNING, course.news))
    if after.trouble and after.trouble != before.trouble:
        told.append(Happening(now, Level.ERROR, after.trouble))
    elif (before.status, before.status_detail) != (after.status, after.status_detail):
        detail = f": {after.status_detail}" if after.status_detail else ""
        told.append(Happening(now, Level.INFO, f"{after.status}{detail}"))
    return told


def changed(before: Vm, after: Vm) -> Fact:
    """Return the fact that people see a machine otherwise than before."""
    return Fact(
        tenant=after.tenant,
        actor=WORKER,
        action="vm.status_changed",
        target=Target("vm", str(after.id), after.name),
        before=document(before),
        after=document(after),
        reason=after.trouble or "",
    )
