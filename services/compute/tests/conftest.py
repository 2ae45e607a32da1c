"""compute's use-cases on fakes of everything that they ask of the world (see `fakes/`), and people who use them."""

from dataclasses import replace
from uuid import UUID, uuid4

import httpx
import pytest

from chassis.caller import Caller
from chassis.db import database
from chassis.http import Wiring, rest_app
from compute.api.rest import routers
from compute.domain.course import Terms
from compute.domain.host import Probe
from compute.domain.order import Order, SourceType, Template
from compute.domain.vm import Vm
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
from services.compute.tests.fakes.common import ISO, LIMIT, TEMPLATE
from services.compute.tests.fakes.host import Host
from services.compute.tests.fakes.templates import FakeDepot
from services.compute.tests.fakes.work import MemoryWork
from tests.standing import NOON, Clock, Names

NOBODY = UUID(int=0)  # a tenant that there is not
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
    return Quotas(work, LIMIT, lambda tenant: tenant != NOBODY)


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
def sweep(reconciler):
    async def go():
        """Go over all machines and let what that began come to its end; tell whether one was on its way."""
        busy = await reconciler.sweep()
        await reconciler.underway.finish()
        return busy

    return go


@pytest.fixture
def settle(sweep):
    async def go(rounds=20):
        for _ in range(rounds):
            if not await sweep():
                return
        raise AssertionError("it never settled")

    return go
