"""Managing machines. Nothing here talks to a host: what is wished is written down, and made true elsewhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from authz.standing import Thing
from chassis.caller import Caller
from chassis.errors import FieldError
from chassis.facts import Actor, Fact, Seen, Target, changed
from chassis.pages import Slice
from compute.domain.errors import ActionDoesNotFit, NoSuchTemplate, VmNotFound
from compute.domain.happening import Happening, Level
from compute.domain.image import Image
from compute.domain.image_errors import BadImageUrl
from compute.domain.operation import Operation
from compute.domain.order import Order, Template
from compute.domain.quota import Amount
from compute.domain.snapshot import Task
from compute.domain.vm import Action, Changes, Vm, Wish
from compute.ports import OpenWork, Wanted, Work
from compute.ports.hypervisor import Hypervisor
from compute.ports.images import Depot


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Which machine a change is meant for, in which version (None: any), and why."""

    vm: UUID
    version: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vms:
    """Everything one can do to a machine. `limit` is what a tenant may have at most."""

    work: OpenWork
    hypervisor: Hypervisor
    depot: Depot
    limit: Amount
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def create(self, caller: Caller, order: Order) -> Vm:
        """Write down that a machine is wanted. Unavailable, and nothing is written, where nothing can run it."""
        caller.must("vm:create")
        self._check(order)
        probe = await self.hypervisor.probe()
        async with self.work() as work:
            template = await self._template(work, caller, order)
            order.check_can_be_made(probe)
            number = await work.quotas.take(caller.tenant, self.limit, order.amount)
            vm = self._ordered(caller, order, template, number)
            await work.vms.add(vm)
            if vm.waits_for_medium:
                await work.images.add(self._medium(vm))
            await self._noted(work, caller, vm, "create")
            work.record(told(caller, "created", None, vm))
        return vm

    async def act(self, caller: Caller, intent: Intent, action: Action) -> Operation:
        """Write down that a machine is to start, stop, …; ActionDoesNotFit where it cannot."""
        caller.must_for_some("vm:power_manage")
        async with self.work() as work:
            before = await self._taken(work, caller, "vm:power_manage", intent)
            await _disk_is_whole(work, before, action)
            after = before.told(action, self.new_id(), self.now())
            await work.vms.put(before, after)
            operation = await self._noted(work, caller, after, action)
            work.record(told(caller, f"{action}_asked", before, after, intent.reason))
        return operation

    async def read_log(self, caller: Caller, vm_id: UUID, limit: int) -> Sequence[Happening]:
        """Return the last of what happened to a machine and of what its guest wrote to the serial console, in order."""
        caller.must_for_some("vm:read_logs")
        async with self.work() as work:
            found = await work.vms.find(caller.tenant, vm_id)
            allowed(caller, "vm:read_logs", found, vm_id)
            happened = await work.log.last(vm_id, limit)
        lines = await self.hypervisor.read_console(vm_id, limit)
        written = [Happening(line.at, Level.CONSOLE, line.text) for line in lines]
        return sorted([*happened, *written], key=lambda it: it.at)[-limit:]

    async def read(self, caller: Caller, vm_id: UUID) -> Vm:
        """Return one machine."""
        caller.must_for_some("vm:read")
        async with self.work() as work:
            return allowed(caller, "vm:read", await work.vms.find(caller.tenant, vm_id), vm_id)

    async def list(self, caller: Caller, wanted: Wanted) -> Slice[Vm]:
        """Return a part of the tenant's machines; of one's own if not of all."""
        own = caller.must_or_own("vm:read")
        async with self.work() as work:
            return await work.vms.list(caller.tenant, replace(wanted, owner_id=own))

    async def update(self, caller: Caller, intent: Intent, changes: Changes) -> Vm:
        """Change a machine's name or labels."""
        caller.must_for_some("vm:update")
        async with self.work() as work:
            before = await self._taken(work, caller, "vm:update", intent)
            after = before.changed(changes, self.now())
            if after is not before:
                await work.vms.put(before, after)
                work.record(told(caller, "updated", before, after, intent.reason))
        return after

    async def delete(self, caller: Caller, intent: Intent) -> None:
        """Forget a machine that no host knows of; of another, write down that it is to vanish; soon it has."""
        caller.must_for_some("vm:delete")
        async with self.work() as work:
            before = await self._taken(work, caller, "vm:delete", intent)
            if before.wish is Wish.VANISH:
                return
            if before.on_host:
                await self._doomed(work, caller, before)
            else:
                await work.images.forget(before.id)
                await work.log.forget(before.id)
                await work.vms.remove(before)
                await work.quotas.give_back(caller.tenant, before.amount)
                await cancelled(work, before, self.now())
            work.record(told(caller, "deleted", before, None, intent.reason))

    async def _doomed(self, work: Work, caller: Caller, before: Vm) -> None:
        after = before.wished(Wish.VANISH, self.new_id(), self.now())
        await work.vms.put(before, after)
        await self._noted(work, caller, after, "delete")

    async def _noted(self, work: Work, caller: Caller, vm: Vm, action: str) -> Operation:
        """Make the operation of a new wish, write it into the machine's log, and tell the worker."""
        assert vm.operation_id is not None
        operation = Operation(
            id=vm.operation_id,
            tenant=vm.tenant,
            vm_id=vm.id,
            owner_id=vm.owner_id,
            action=action,
            generation=vm.generation,
            asked_by=caller.name or caller.subject,
            created_at=self.now(),
        )
        await work.operations.add(operation)
        text = f"{action} was asked for by {operation.asked_by}"
        await work.log.add(vm.id, Happening(self.now(), Level.INFO, text))
        work.stir()
        return operation

    async def _taken(self, work: Work, caller: Caller, permission: str, intent: Intent) -> Vm:
        found = await work.vms.take(caller.tenant, intent.vm)
        vm = allowed(caller, permission, found, intent.vm)
        vm.expect(intent.version)
        return vm

    def _check(self, order: Order) -> None:
        if order.iso_url is not None and (why := self.depot.trouble(order.iso_url)):
            raise BadImageUrl(why, errors=(FieldError("/iso_url", why, BadImageUrl.code),))

    def _medium(self, vm: Vm) -> Image:
        return Image(
            id=vm.id,
            tenant=vm.tenant,
            url=vm.iso_url,
            wanted_sha256=vm.iso_sha256,
            created_at=vm.created_at,
            updated_at=vm.created_at,
            due_at=vm.created_at,
        )

    async def _template(self, work: Work, caller: Caller, order: Order) -> Template | None:
        if order.template_id is None:
            return None
        template = await work.templates.use(caller.tenant, order.template_id)
        if template is None:
            text = f"there is no template {order.template_id}"
            raise NoSuchTemplate(
                text, errors=(FieldError("/template_id", text, NoSuchTemplate.code),)
            )
        order.check_fits(template)
        return template

    def _ordered(self, caller: Caller, order: Order, template: Template | None, number: int) -> Vm:
        now = self.now()
        return Vm(
            id=self.new_id(),
            tenant=caller.tenant,
            number=number,
            name=order.name,
            owner_id=caller.owner,
            source_type=order.source_type,
            cpu=order.cpu,
            memory_gb=order.memory_gb,
            disk_gb=order.disk_gb,
            template_id=order.template_id,
            template_name=template.name if template else None,
            iso_url=order.iso_url,
            iso_sha256=order.iso_sha256,
            user_data=order.user_data,
            ssh_keys=order.ssh_keys,
            labels=order.labels,
            operation_id=self.new_id(),
            created_at=now,
            updated_at=now,
        )


async def _disk_is_whole(work: Work, vm: Vm, action: Action) -> None:
    """Refuse to start a machine whose disk is just being put back to a snapshot."""
    if action is not Action.START:
        return
    open_ = await work.snapshots.open_of(vm.id)
    if busy := next((it for it in open_ if it.task is Task.RESTORE), None):
        raise ActionDoesNotFit(f"start does not fit: snapshot {busy.name!r} is being restored")


def allowed(caller: Caller, permission: str, found: Vm | None, vm_id: UUID) -> Vm:
    """Return a machine that is there and to which the caller may do this."""
    missing = VmNotFound(f"there is no machine {vm_id}")
    if found is None:
        raise missing
    caller.must_over(permission, Thing(found.owner_id, id=str(found.id)), missing)
    return found


async def cancelled(work: Work, vm: Vm, now: datetime) -> None:
    """End what was asked of a machine that is no more."""
    for operation in await work.operations.open_of(vm.id):
        await work.operations.put(operation.judged(vm, now).dropped(now))


def told(
    caller: Caller, verbed: str, before: Vm | None, after: Vm | None, reason: str = ""
) -> Fact:
    """Return the fact that something was done to a machine."""
    who = Actor.of(caller)
    return changed(who, verbed, before and seen(before), after and seen(after), reason)


def seen(vm: Vm) -> Seen:
    """Return a machine as the audit log sees it."""
    return vm.tenant, Target("vm", str(vm.id), vm.name), document(vm)


def document(vm: Vm) -> dict[str, Any]:
    """Return a machine as the audit log keeps it; user data may hold secrets, so it stays out."""
    return {
        "number": vm.number,
        "name": vm.name,
        "source_type": vm.source_type.value,
        "template_id": str(vm.template_id) if vm.template_id else None,
        "iso_url": vm.iso_url,
        "cpu": vm.cpu,
        "memory_gb": vm.memory_gb,
        "disk_gb": vm.disk_gb,
        "labels": dict(vm.labels),
        "wish": vm.wish.value,
        "status": vm.status.value,
        "status_detail": vm.status_detail,
        "version": vm.version,
    }
