"""People, a host that can be anything, and an in-memory stand-in for the ports of compute."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from chassis.caller import Caller
from chassis.db import database
from chassis.http import Wiring, rest_app
from chassis.identity import NoCredential
from chassis.pages import Slice, cut
from compute.api.rest import routers
from compute.domain.agent import AgentStatus
from compute.domain.agent_errors import AgentNameTaken, AgentTypeTaken
from compute.domain.course import Terms
from compute.domain.errors import ChangedMeanwhile
from compute.domain.guest import ABSENT, Power, Seen, Switch
from compute.domain.host import Probe
from compute.domain.image import Blob, ImageState, Progress
from compute.domain.operation import Operation
from compute.domain.order import Order, SourceType, Template
from compute.domain.quota import Amount, Limits, Quota
from compute.domain.usage import summed
from compute.domain.usage import total as sum_of
from compute.domain.vm import Vm
from compute.ports import Wanted
from compute.ports.hypervisor import HostTrouble, StaleFence
from compute.store.work import sql_work
from compute.usecases.agents import Agents
from compute.usecases.consoles import Consoles
from compute.usecases.metering import Meter
from compute.usecases.operations import Operations
from compute.usecases.quotas import Quotas
from compute.usecases.reconciler import Reconciler
from compute.usecases.snapshots import Snapshots
from compute.usecases.snapshotting import Snapshotting
from compute.usecases.templates import Templates
from compute.usecases.usage import Usage
from compute.usecases.vms import Vms

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
TEMPLATE = UUID("01890000-0000-7000-8000-0000000000aa")
ISO = "https://images.example/debian.iso"
LIMIT = Amount(vms=3, cpu=8, memory_gb=16, disk_gb=100)
PERMISSIONS = (
    *(
        "vm:read",
        "vm:create",
        "vm:update",
        "vm:delete",
        "vm:power_manage",
        "vm:read_logs",
        "template:read",
        "template:create",
        "template:delete",
    ),
    *("agent:read", "agent:create", "agent:update", "agent:delete"),
    *("usage:read", "usage:create", "quota:read", "quota:update"),
)


def part_of(found, wanted):
    """List what is in memory as the store lists what is in its tables."""

    def position(it):
        said = getattr(it, wanted.sort.removeprefix("-"))
        return (said.isoformat() if isinstance(said, datetime) else str(said), str(it.id))

    found = sorted(
        found,
        key=lambda it: (getattr(it, wanted.sort.removeprefix("-")), it.id),
        reverse=wanted.sort.startswith("-"),
    )
    total, ask = len(found), wanted.ask
    if ask.after:
        place = next(i for i, it in enumerate(found) if position(it) == ask.after)
        found = found[place + 1 :]
    items, after = cut(found[ask.offset : ask.offset + ask.limit + 1], ask.limit, position)
    return Slice(items=items, next=after, total=total)


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


class MemoryTemplates:
    def __init__(self):
        self.kept: dict[UUID, Template] = {}

    async def find(self, tenant, template_id):
        template = self.kept.get(template_id)
        return template if template and template.tenant in (None, tenant) else None

    async def list(self, tenant, wanted):
        text = wanted.search.lower()
        return part_of(
            [
                it
                for it in self.kept.values()
                if it.tenant in (None, tenant)
                and (text in it.name.lower() or text in it.description.lower())
            ],
            wanted,
        )

    async def put(self, template):
        changed = self.kept.get(template.id) != template
        self.kept[template.id] = template
        return changed

    use = take = find

    async def owned(self, template_id):
        return self.kept.get(template_id)

    async def known(self):
        return frozenset(self.kept) | {vm.template_id for vm in self.vms.kept.values()} - {None}

    async def count(self, tenant):
        return sum(it.tenant == tenant for it in self.kept.values())

    async def used(self, template_id):
        return sum(vm.template_id == template_id for vm in self.vms.kept.values())

    async def add(self, template):
        self.kept[template.id] = template

    async def remove(self, template):
        del self.kept[template.id]


class MemoryImages:
    """Images live in their templates, where they are shown; those of machines by themselves."""

    def __init__(self, templates):
        self.templates, self.media = templates, {}

    def _put(self, image):
        if image.id not in self.templates.kept:
            self.media[image.id] = image
            return
        kept = self.templates.kept
        kept[image.id] = replace(kept[image.id], image=image)

    def _now(self, image):
        kept = self.templates.kept.get(image.id)
        now = kept.image if kept else self.media.get(image.id)
        ours = now and (now.fence, now.state) == (image.fence, ImageState.FETCHING)
        return now if ours else None

    async def add(self, image):
        self._put(image)

    async def forget(self, image_id):
        self.media.pop(image_id, None)

    async def claim(self, now, lease):
        for image in [*(it.image for it in self.templates.kept.values()), *self.media.values()]:
            waits = image and image.state is ImageState.WAITING and image.due_at <= now
            dead = image and image.state is ImageState.FETCHING and image.lease_until <= now
            if waits or dead:
                self._put(claimed := image.claimed(now, lease))
                return claimed
        return None

    async def renew(self, image, progress, until):
        if found := self._now(image):
            self._put(replace(found, progress=progress, lease_until=until))
        return found is not None

    async def put(self, image):
        if found := self._now(image):
            ready = image.state is ImageState.READY
            self._put(image if ready else replace(image, progress=found.progress))
        return found is not None


class FakeDepot:
    """A depot of which a test says what comes of fetching; it is also the shelf."""

    def __init__(self):
        self.refuses, self.comes, self.shelved, self.gate = "", Blob("ab" * 32, 10), [], None

    def trouble(self, url):
        return self.refuses

    async def fetch(self, image, told):
        told(Progress(received_bytes=5, total_bytes=10, validator='"v"'))
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.comes, Exception):
            raise self.comes
        return self.comes

    async def shelve(self, template, blob):
        self.shelved.append((template.id, blob))

    async def keep(self, blob):
        self.shelved.append(("medium", blob))

    async def copy(self, template, vm):
        self.shelved.append((template.id, vm))
        return self.comes

    async def clear(self, known):
        self.shelved = [it for it in self.shelved if it[0] in known]


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


class MemoryAgents:
    def __init__(self):
        self.kept = {}

    async def find(self, tenant, agent_id):
        agent = self.kept.get(agent_id)
        return agent if agent and agent.usable_by(tenant) else None

    take = find

    async def list(self, tenant, wanted):
        text = wanted.search.lower()
        return part_of(
            [
                it
                for it in self.kept.values()
                if it.usable_by(tenant)
                and any(text in said.lower() for said in (it.name, it.description, it.agent_type))
                and wanted.status in (None, it.status)
                and wanted.agent_type in (None, it.agent_type)
                and wanted.free in (None, it.is_free_agent)
                and (it.is_free_agent or wanted.owner_id in (None, it.owner_id))
            ],
            wanted,
        )

    async def active(self, tenant, agent_types):
        return [
            it
            for it in self.kept.values()
            if it.usable_by(tenant)
            and it.status is AgentStatus.ACTIVE
            and it.agent_type in agent_types
        ]

    async def known(self, tenant, agents):
        return frozenset(a for a in agents if a in self.kept and self.kept[a].usable_by(tenant))

    async def add(self, agent):
        rivals = [
            it
            for it in self.kept.values()
            if it.owner_tenant_id == agent.owner_tenant_id
            and it.id != agent.id
            and {it.status, agent.status} == {AgentStatus.ACTIVE}
        ]
        if any(it.agent_type == agent.agent_type for it in rivals):
            raise AgentTypeTaken(agent.agent_type)
        if any(it.look == agent.look for it in rivals):
            raise AgentNameTaken(agent.name)
        self.kept[agent.id] = agent

    put = add


class MemoryLedger:
    def __init__(self):
        self.kept = {}

    async def enter(self, records):
        for record in records:
            self.kept.setdefault((record.tenant, *record.key), record)
        return [self.kept[record.tenant, *record.key] for record in records]

    async def take(self, tenant, ids):
        ours = [r for r in self.kept.values() if r.tenant == tenant]
        return [r for r in ours if r.id in ids] + [r for r in ours if r.corrects in ids]

    def _which(self, tenant, wanted):
        return [
            r
            for r in self.kept.values()
            if r.tenant == tenant
            and wanted.since <= r.occurred_at < wanted.until
            and wanted.kind in (None, r.kind)
            and wanted.agent_id in (None, r.agent_id)
            and wanted.vm_id in (None, r.vm_id)
        ]

    async def list(self, tenant, wanted):
        def position(record):
            return record.occurred_at.isoformat(), str(record.id)

        found = sorted(self._which(tenant, wanted), key=lambda r: (r.occurred_at, r.id))[::-1]
        return self._part(found, wanted, position)

    async def summary(self, tenant, wanted):
        records = self._which(tenant, wanted)
        lines = summed(records, wanted.by, wanted.period)
        return self._part(lines, wanted, lambda line: line.place), sum_of(records)

    def _part(self, found, wanted, position):
        ask, count = wanted.ask, len(found)
        if ask.after:
            at = [position(it) for it in found].index(ask.after)
            found = found[at + 1 :]
        items, after = cut(found[ask.offset : ask.offset + ask.limit + 1], ask.limit, position)
        return Slice(items=items, next=after, total=count)


class MemoryMeter:
    def __init__(self):
        self.kept = {}

    async def take(self, vm_id):
        return self.kept.get(vm_id)

    async def put(self, interval):
        before = self.kept.get(interval.vm_id, interval)
        self.kept[interval.vm_id] = interval.seen(before.seen_at)

    async def drop(self, vm_id):
        self.kept.pop(vm_id, None)

    async def open_of(self, vm_ids):
        return frozenset(self.kept.keys() & set(vm_ids))

    async def beat(self, vm_ids, at):
        for vm_id in self.kept.keys() & set(vm_ids):
            self.kept[vm_id] = self.kept[vm_id].seen(at)

    async def due(self, most):
        return [it for it in self.kept.values() if it.cut()[0]][:most]


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


class MemoryWork:
    """A transaction in memory: what is changed is put back when the block fails."""

    def __init__(self):
        self.vms, self.templates, self.quotas = MemoryVms(), MemoryTemplates(), MemoryQuotas()
        self.operations, self.log, self.leases = MemoryOperations(), MemoryLog(), MemoryLeases()
        self.tickets = MemoryTickets()
        self.agents = MemoryAgents()
        self.ledger, self.meter = MemoryLedger(), MemoryMeter()
        self.images, self.templates.vms = MemoryImages(self.templates), self.vms
        self.snapshots = MemorySnapshots(self.vms)
        self.facts, self.stirred = [], 0

    def stir(self):
        self.stirred += 1

    def record(self, fact):
        self.facts.append(fact)

    @asynccontextmanager
    async def __call__(self):
        agents, ledger = dict(self.agents.kept), dict(self.ledger.kept)
        meter, templates = dict(self.meter.kept), dict(self.templates.kept)
        vms, used, facts = dict(self.vms.kept), dict(self.quotas.used), len(self.facts)
        try:
            yield self
        except BaseException:
            self.vms.kept, self.quotas.used = vms, used
            self.agents.kept, self.ledger.kept, self.meter.kept = agents, ledger, meter
            self.templates.kept = templates
            del self.facts[facts:]
            raise


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


class MemoryLog:
    def __init__(self):
        self.kept = []

    async def add(self, vm_id, happening):
        self.kept.append((vm_id, happening))

    async def last(self, vm_id, limit):
        return [it for of, it in self.kept if of == vm_id][-limit:]


class MemoryLeases:
    """Leases of which a test says whose they are; all are ours unless said."""

    def __init__(self):
        self.fences, self.others = {}, set()

    async def hold(self, vm_id):
        if vm_id in self.others:
            return None
        return self.fences.setdefault(vm_id, 1)

    async def holds(self, vm_id, fence):
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


class Echo:
    """A console at which everything that is typed is shown; `end` is the end of the guest."""

    def __init__(self):
        self._typed = asyncio.Queue()

    async def read(self):
        said = await self._typed.get()
        return b"" if said == b"end" else said

    async def write(self, data):
        self._typed.put_nowait(data)

    async def close(self):
        pass


class Host:
    """A host in memory that keeps the driver contract. A test says what the look at it finds, and what breaks."""

    def __init__(self):
        self.found = Probe(trouble="not found: qemu-system-x86_64, qemu-img")
        self.host, self.guests, self.fences, self.said = "here", {}, {}, {}
        self.disks, self.shots, self.media, self.done = {}, {}, {}, []
        self.breaks, self.offered, self.boots = None, [], True

    async def probe(self):
        return self.found

    def templates(self):
        return self.offered

    async def list(self):
        return dict(self.guests)

    async def observe(self, vm):
        return self.guests.get(vm, ABSENT)

    def _admit(self, key, what):
        if key.fence < self.fences.get(key.vm, 0):
            raise StaleFence(str(key))
        self.fences[key.vm] = key.fence
        if self.breaks:
            raise HostTrouble(self.breaks)
        self.done.append(what)

    async def ensure_disk(self, key, definition):
        self._admit(key, "disk")
        self.disks.setdefault(key.vm, definition.disk_gb)
        self.media |= {key.vm: definition.medium} if definition.medium else {}
        self.guests.setdefault(key.vm, Seen(power=Power.OFF, made=True))

    async def ensure_defined(self, key, definition):
        self._admit(key, "define")

    async def ensure_power(self, key, switch):
        self._admit(key, switch.value)
        seen = self.guests[key.vm]
        if switch is Switch.ON and seen.power is Power.OFF:
            booted = {"generation": key.generation, "reset_at": key.generation}
            seen = Seen(power=Power.RUNNING, up=self.boots, made=True, **booted)
        elif switch is Switch.OFF:
            seen = replace(seen, power=Power.OFF, up=False, crashed=False)
        elif switch is Switch.RESET:
            seen = replace(seen, up=self.boots, reset_at=key.generation)
        elif switch is not Switch.ON:
            if seen.power is Power.OFF:
                raise HostTrouble("the guest does not run")
            after = {Switch.PRESS: Power.HALTED, Switch.PAUSE: Power.PAUSED}
            seen = replace(seen, power=after.get(switch, Power.RUNNING))
        self.guests[key.vm] = seen

    async def ensure_absent(self, key):
        self._admit(key, "absent")
        self.guests.pop(key.vm, None)

    async def snapshot(self, key, name, verb):
        self._admit(key, verb)
        shots = self.shots.setdefault(key.vm, set())
        running = self.guests[key.vm].power is not Power.OFF
        if verb == "restore" and (running or name not in shots):
            raise HostTrouble("a snapshot is restored while the machine is stopped")
        (shots.add if verb == "take" else shots.discard)(name)

    async def grow_disk(self, key, gb):
        self._admit(key, "grow")
        self.disks[key.vm] = max(gb, self.disks[key.vm])

    async def read_console(self, vm, limit):
        return self.said.get(vm, [])[-limit:]

    async def console(self, vm):
        if (await self.observe(vm)).power is not Power.RUNNING:
            raise HostTrouble("the guest has no console now: it does not run")
        return Echo()

    def die(self, vm):
        """Let a guest's process end as kill -9 would end it."""
        self.guests[vm] = replace(self.guests[vm], power=Power.OFF, up=False, crashed=True)


class Clock:
    """A clock that stands until it is set forward."""

    def __init__(self, at=NOON):
        self.at = at

    def __call__(self):
        return self.at

    def forward(self, **by):
        self.at += timedelta(**by)
        return self.at


class Names:
    """An identity that reads a name off the header instead of a credential."""

    def __init__(self, *callers):
        self._known = {caller.subject: caller for caller in callers}

    async def of(self, headers):
        said = headers.get("authorization", "").removeprefix("Bearer ")
        if said not in self._known:
            raise NoCredential("an access token or an API key is needed")
        return self._known[said]


@pytest.fixture(scope="session")
def database_url(service_url):
    """The URL of a migrated schema of compute."""
    return service_url("compute")


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.store)])
def url(request):
    """Where the books are kept; empty for memory."""
    return request.getfixturevalue("database_url") if request.param == "postgres" else ""


@pytest.fixture
def work():
    return MemoryWork()


@pytest.fixture
async def open_work(url, work):
    """What opens transactions, in memory and in PostgreSQL."""
    if not url:
        yield work
        return
    async with database(url, "compute", pool=20) as sessions:
        yield sql_work(sessions, lambda: None)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def host():
    return Host()


@pytest.fixture
def driven(host, work, template):
    """The host, where machines really run, and a template that they can be made from."""
    host.found = Probe(version="9.9", ran=True, accel="tcg", media=True)
    work.templates.kept[template.id] = template
    return host


@pytest.fixture
def tenant():
    return uuid4()


@pytest.fixture
def ana(tenant):
    """Somebody who may do everything in her tenant."""
    return Caller(subject="ana", tenant=tenant, name="Ana", permissions=frozenset(PERMISSIONS))


@pytest.fixture
def vera(ana):
    """A colleague who may only read."""
    return replace(
        ana,
        subject="vera",
        permissions=frozenset({"vm:read", "template:read", "agent:read", "quota:read"}),
    )


@pytest.fixture
def nora(ana):
    """A colleague who may nothing."""
    return replace(ana, subject="nora", permissions=frozenset())


@pytest.fixture
def otto(ana):
    """Somebody with every permission, in another tenant."""
    return replace(ana, subject="otto", tenant=uuid4())


@pytest.fixture
def root(ana):
    """An administrator of the platform."""
    return replace(ana, subject="root", tenant=uuid4(), platform=True)


@pytest.fixture
def order():
    return Order(
        name="web",
        source_type=SourceType.TEMPLATE,
        template_id=TEMPLATE,
        cpu=2,
        memory_gb=4,
        disk_gb=20,
    )


@pytest.fixture
def template():
    """A template for all."""
    return Template(
        id=TEMPLATE,
        tenant=None,
        name="debian",
        description="Debian 13",
        architecture="x86_64",
        min_memory_gb=2,
        min_disk_gb=10,
        created_at=NOON,
    )


@pytest.fixture
def make_vm(tenant, clock):
    numbers = iter(range(1, 1000))

    def make(name="web", **said):
        now = said.pop("at", clock())
        given = {
            "id": uuid4(),
            "tenant": tenant,
            "number": next(numbers),
            "owner_id": "ana",
            "source_type": SourceType.ISO,
            "iso_url": ISO,
            "medium": "ab" * 32,
            "cpu": 2,
            "memory_gb": 4,
            "disk_gb": 20,
        }
        return Vm(**given | said, name=name, created_at=now, updated_at=now)

    return make


@pytest.fixture
def vms(work, clock, host, depot):
    said = {"limit": LIMIT, "now": clock, "new_id": uuid4}
    return Vms(work=work, hypervisor=host, depot=depot, **said)


@pytest.fixture
def depot():
    return FakeDepot()


@pytest.fixture
def templates(work, host, clock, depot):
    return Templates(work=work, hypervisor=host, depot=depot, now=clock, new_id=uuid4)


@pytest.fixture
def quotas(work):
    return Quotas(work, LIMIT)


@pytest.fixture
def consoles(work, clock, host):
    return Consoles(work, host, clock)


@pytest.fixture
def snapshots(work, clock):
    return Snapshots(work=work, limit=LIMIT, now=clock, new_id=uuid4)


@pytest.fixture
def reconciler(work, clock, driven):
    meter = Meter(uuid4, clock)
    shots = Snapshotting(work=work, hypervisor=driven, now=clock)
    said = {"terms": Terms(), "now": clock, "meter": meter, "snapshots": shots}
    return Reconciler(work=work, hypervisor=driven, **said)


@pytest.fixture
def agents(work, clock):
    return Agents(work, clock, uuid4)


@pytest.fixture
def usage(work, clock):
    return Usage(work, clock, uuid4)


@pytest.fixture
def identity(ana, vera, nora, otto, root):
    return Names(ana, vera, nora, otto, root)


@pytest.fixture
async def client(vms, snapshots, consoles, templates, quotas, agents, usage, identity):
    """Ana, before the real REST doors."""
    operations = Operations(vms.work)
    uses = {
        type(use): use
        for use in (vms, snapshots, templates, quotas, operations, consoles, agents, usage)
    }
    app = rest_app("compute", routers, Wiring(identity=identity, uses=uses))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://test",
        headers={"authorization": "Bearer ana"},
    ) as client:
        yield client


@pytest.fixture
def settle(reconciler):
    async def go(rounds=20):
        for _ in range(rounds):
            if not await reconciler.sweep():
                return
        raise AssertionError("it never settled")

    return go
