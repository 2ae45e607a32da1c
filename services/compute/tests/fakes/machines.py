"""Machines and what hangs on them, in memory."""

from collections import Counter
from uuid import UUID

from compute.domain.errors import ChangedMeanwhile
from compute.domain.operation import Operation
from compute.domain.quota import Amount, Limits, Quota
from compute.domain.vm import Vm
from compute.ports import Wanted
from services.compute.tests.fakes.common import part_of


class MemoryVms:
    def __init__(self):
        self.kept: dict[UUID, Vm] = {}

    async def find(self, tenant, vm_id):
        vm = self.kept.get(vm_id)
        return vm if vm and vm.tenant == tenant else None

    take = find

    async def take_any(self, vm_id):
        return self.kept.get(vm_id)

    async def on_host(self, host):
        return [vm for vm in self.kept.values() if vm.host in (None, host)]

    async def known(self, vms):
        return set(vms) & set(self.kept)

    async def list(self, tenant, wanted):
        text = wanted.search.lower()
        return part_of(
            [
                vm
                for vm in self.kept.values()
                if vm.tenant == tenant
                and wanted.status in (None, vm.status)
                and wanted.owner_id in (None, vm.owner_id)
                and any(
                    text in (said or "").lower()
                    for said in (vm.name, vm.template_name, vm.ip_address)
                )
            ],
            wanted,
        )

    async def add(self, vm):
        self.kept[vm.id] = vm

    async def put(self, before, after):
        if self.kept[before.id].version != before.version:
            raise ChangedMeanwhile(before.name)
        self.kept[after.id] = after

    async def remove(self, vm):
        del self.kept[vm.id]


class MemoryQuotas:
    def __init__(self):
        self.used, self.numbers, self.limits = {}, {}, {}

    async def find(self, tenant, limit):
        limits, version = self.limits.get(tenant, (Limits(), 1))
        return Quota(limits.over(limit), self.used.get(tenant, Amount()), limits, version)

    lock = find

    async def put(self, tenant, quota):
        self.limits[tenant] = quota.limits, quota.version

    async def take(self, tenant, limit, more):
        self.used[tenant] = (await self.find(tenant, limit)).taken(more).used
        self.numbers[tenant] = self.numbers.get(tenant, 0) + more.vms
        return self.numbers[tenant]

    async def give_back(self, tenant, less):
        self.used[tenant] -= less


class MemorySnapshots:
    def __init__(self, vms):
        self.kept, self.vms = {}, vms

    async def find(self, vm_id, snapshot_id):
        found = self.kept.get(snapshot_id)
        return found if found and found.vm_id == vm_id else None

    take = find

    async def list(self, vm_id, ask):
        found = [it for it in self.kept.values() if it.vm_id == vm_id]
        return part_of(found, Wanted(ask=ask))

    async def count(self, vm_id):
        return sum(it.vm_id == vm_id for it in self.kept.values())

    async def open_of(self, vm_id):
        return [it for it in self.kept.values() if it.vm_id == vm_id and it.task]

    async def due(self, host, now):
        here = {vm.id for vm in self.vms.kept.values() if vm.host == host}
        soon = [it for it in self.kept.values() if it.task and (it.due_at or now) <= now]
        return {it.vm_id for it in soon} & here

    async def add(self, snapshot):
        self.kept[snapshot.id] = snapshot

    put = add

    async def remove(self, snapshot):
        del self.kept[snapshot.id]

    async def forget(self, vm_id):
        gone = [it for it in self.kept.values() if it.vm_id == vm_id]
        for it in gone:
            del self.kept[it.id]
        return Amount(disk_gb=sum(it.disk_gb for it in gone))


class MemoryOperations:
    def __init__(self):
        self.kept: dict[UUID, Operation] = {}

    async def find(self, tenant, operation_id):
        found = self.kept.get(operation_id)
        return found if found and found.tenant == tenant else None

    async def open_of(self, vm_id):
        return [it for it in self.kept.values() if it.vm_id == vm_id and it.status == "RUNNING"]

    async def add(self, operation):
        self.kept[operation.id] = operation

    put = add

    async def forget(self, before):
        self.kept = {
            id_: it
            for id_, it in self.kept.items()
            if it.finished_at is None or it.finished_at >= before
        }


class MemoryLog:
    def __init__(self):
        self.kept = []

    async def add(self, vm_id, happening):
        self.kept.append((vm_id, happening))

    async def last(self, vm_id, limit):
        return [it for of, it in self.kept if of == vm_id][-limit:]

    async def forget(self, vm_id):
        self.kept = [(of, it) for of, it in self.kept if of != vm_id]

    async def trim(self, lines):
        for vm_id in {of for of, _ in self.kept}:
            last = await self.last(vm_id, lines)
            await self.forget(vm_id)
            self.kept += [(vm_id, it) for it in last]


class MemoryLeases:
    """Leases of which a test says whose they are; all are ours unless said."""

    def __init__(self):
        self.fences, self.others, self.renewed = {}, set(), Counter()

    async def hold(self, vm_id):
        if vm_id in self.others:
            return None
        return self.fences.setdefault(vm_id, 1)

    async def renew(self, vm_id, fence):
        self.renewed[vm_id] += 1
        return vm_id not in self.others and self.fences.get(vm_id) == fence

    async def drop(self, vm_id):
        self.fences.pop(vm_id, None)


class MemoryTickets:
    def __init__(self):
        self.kept = []

    async def add(self, ticket):
        self.kept.append(ticket)

    async def redeem(self, wanted):
        good = [
            it for it in self.kept if it.until > wanted.until and it.lasting(wanted.until) == wanted
        ]
        self.kept = [it for it in self.kept if it not in good]
        return bool(good)

    async def forget(self, before):
        self.kept = [it for it in self.kept if it.until >= before]
