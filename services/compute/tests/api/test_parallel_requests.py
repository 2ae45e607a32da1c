"""Many requests at once through the REST doors, on the real tables: what was counted is exact."""

import asyncio
from collections import Counter
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select

from chassis.db import database
from chassis.errors import Unavailable
from chassis.http import Wiring, rest_app
from chassis.idempotency import Idempotency as Retries
from compute.api.rest import routers
from compute.domain.host import Probe
from compute.domain.image_errors import TooManyTemplates
from compute.domain.order import SourceType
from compute.domain.quota import Amount
from compute.domain.vm import Step
from compute.store.tables import Idempotency, OperationRow, UsedRow, VmRow
from compute.store.work import sql_work
from compute.usecases import templates as usecase
from compute.usecases.operations import Operations
from compute.usecases.snapshots import Snapshots
from compute.usecases.templates import NewTemplate, Templates
from compute.usecases.vms import Vms

pytestmark = pytest.mark.store
PATH = "/api/v1/vms"
LIMIT = Amount(vms=10, cpu=1000, memory_gb=1000, disk_gb=1000)


@pytest.fixture
async def sessions(database_url):
    async with database(database_url, "compute", pool=20) as sessions:
        yield sessions


@pytest.fixture
async def web(sessions, host, depot, identity, clock, template):
    """Ana, before the doors of an app whose books are in PostgreSQL."""
    host.found = Probe(version="9.9", ran=True, accel="tcg")
    work = sql_work(sessions, lambda: None)
    async with work() as opened:
        await opened.templates.put(template)
    uses = (
        Vms(work=work, hypervisor=host, depot=depot, limit=LIMIT, now=clock, new_id=uuid4),
        Snapshots(work=work, limit=LIMIT, now=clock, new_id=uuid4),
        Operations(work),
    )
    wiring = Wiring(
        identity=identity,
        idempotency=Retries(sessions, Idempotency, (b"a secret of tests",)),
        uses={type(use): use for use in uses},
    )
    transport = httpx.ASGITransport(rest_app("compute", routers, wiring))
    headers = {"authorization": "Bearer ana"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers=headers, timeout=60
    ) as web:
        yield web


@pytest.fixture
def body(template):
    size = {"cpu": 1, "memory_gb": 2, "disk_gb": 10}
    return {"name": "web", "source_type": "template", "template_id": str(template.id), **size}


async def sent(web, path, **said):
    """Send until it was looked at: on a busy machine there may be no connection within two seconds (503)."""
    while (answer := await web.post(path, **said)).status_code == 503:
        await asyncio.sleep(0.05)
    return answer


async def test_of_many_templates_asked_for_at_once_a_tenant_gets_as_many_as_it_may(
    sessions, host, depot, ana, clock, monkeypatch
):
    monkeypatch.setattr(usecase, "MOST", 3)
    host.found = Probe(version="9.9", ran=True, accel="tcg")
    work = sql_work(sessions, lambda: None)
    templates = Templates(work=work, hypervisor=host, depot=depot, now=clock, new_id=uuid4)
    size = {"architecture": "x86_64", "min_memory_gb": 1, "min_disk_gb": 1}
    url = "https://images.example/x.qcow2"
    new = NewTemplate(name="x", description="", image_url=url, **size)

    async def want():
        while True:
            try:
                return await templates.create(ana, new)
            except TooManyTemplates:
                return None
            except Unavailable:  # no connection in time
                await asyncio.sleep(0.05)

    made = await asyncio.gather(*(want() for _ in range(10)))
    assert sum(it is not None for it in made) == 3
    async with work() as opened:
        assert await opened.templates.count(ana.tenant) == 3


async def counted(sessions, row, tenant):
    async with sessions() as session:
        query = select(func.count()).select_from(row).where(row.tenant == tenant)
        return await session.scalar(query)


async def used(sessions, tenant):
    async with sessions() as session:
        return (await session.scalar(select(UsedRow).where(UsedRow.tenant == tenant))).vms


async def test_of_forty_orders_at_once_ten_get_a_machine_where_ten_is_the_quota(
    web, body, sessions, tenant
):
    answers = await asyncio.gather(*(sent(web, PATH, json=body) for _ in range(40)))
    assert Counter(it.status_code for it in answers) == {201: 10, 409: 30}
    refused = {it.json()["code"] for it in answers if it.status_code == 409}
    assert refused == {"compute.quota_exceeded"}
    made = [it.json() for it in answers if it.status_code == 201]
    assert sorted(it["number"] for it in made) == list(range(1, 11))
    assert await counted(sessions, VmRow, tenant) == await used(sessions, tenant) == 10
    assert await counted(sessions, OperationRow, tenant) == 10
    listed = (await web.get(PATH)).json()
    assert {it["id"] for it in listed["items"]} == {it["id"] for it in made}


async def test_thirty_repeats_of_one_order_at_once_make_one_machine(web, body, sessions, tenant):
    key = {"idempotency-key": uuid4().hex}

    async def one():
        """As a client that repeats: while the first is being answered it asks again."""
        while (answer := await sent(web, PATH, json=body, headers=key)).status_code == 409:
            assert answer.json()["code"] == "idempotency_in_progress"
            await asyncio.sleep(0.05)
        return answer

    answers = await asyncio.gather(*(one() for _ in range(30)))
    assert {it.status_code for it in answers} == {201}
    assert len({it.content for it in answers}) == 1
    first = [it for it in answers if "idempotent-replayed" not in it.headers]
    assert len(first) == 1
    assert await counted(sessions, VmRow, tenant) == await used(sessions, tenant) == 1
    other = await sent(web, PATH, json={**body, "name": "other"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


@pytest.fixture
async def running(sessions, make_vm):
    """A machine that is up."""
    source = {"source_type": SourceType.TEMPLATE, "template_id": uuid4(), "iso_url": None}
    vm = make_vm(host="here", made=True, step=Step.UP, settled=1, **source)
    async with sql_work(sessions, lambda: None)() as work:
        await work.vms.add(vm)
    return vm


async def generation(sessions, vm):
    async with sessions() as session:
        return (await session.get(VmRow, vm.id)).generation


async def test_of_twenty_stops_at_once_one_is_done_and_the_others_hear_why_not(
    web, running, sessions
):
    path = f"{PATH}/{running.id}/actions"
    stop = {"action": "stop"}
    answers = await asyncio.gather(*(sent(web, path, json=stop) for _ in range(20)))
    assert Counter(it.status_code for it in answers) == {202: 1, 409: 19}
    whys = {(it.json()["code"], it.json()["detail"]) for it in answers if it.status_code == 409}
    said = "stop does not fit: the machine is stopped"
    assert whys == {("compute.action_does_not_fit", said)}
    assert await generation(sessions, running) == 2


async def test_power_actions_at_once_are_done_one_after_the_other_each_in_its_own_generation(
    web, running, sessions, tenant
):
    path = f"{PATH}/{running.id}/actions"
    wishes = ["restart", "stop", "reset"] * 8
    answers = await asyncio.gather(*(sent(web, path, json={"action": it}) for it in wishes))
    taken = [it.json() for it in answers if it.status_code == 202]
    assert {it.status_code for it in answers} <= {202, 409}
    assert [it["action"] for it in taken].count("stop") == 1, "after it nothing else fits"
    async with sessions() as session:
        mine = select(OperationRow).where(OperationRow.tenant == tenant)
        rows = sorted(await session.scalars(mine), key=lambda row: row.generation)
    assert [row.generation for row in rows] == list(range(2, len(taken) + 2))
    assert rows[-1].action == "stop"
    assert {str(row.id) for row in rows} == {it["id"] for it in taken}
    assert await generation(sessions, running) == len(taken) + 1


async def test_snapshots_taken_at_once_are_no_more_than_a_machine_may_have(web, running, sessions):
    path = f"{PATH}/{running.id}/snapshots"
    answers = await asyncio.gather(*(sent(web, path, json={"name": "x"}) for _ in range(24)))
    assert Counter(it.status_code for it in answers) == {202: 16, 409: 8}
    refused = {it.json()["code"] for it in answers if it.status_code == 409}
    assert refused == {"compute.too_many_snapshots"}
    assert (await web.get(path)).json()["total"] == 16
