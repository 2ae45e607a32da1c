"""What compute's targets (README of the service) come to: ordering, listing, and a pass of the reconciler.

    TEST_DATABASE_URL=postgresql://postgres@127.0.0.1:5432/postgres python benchmarks/compute_machines.py

The real doors, use-cases and books on a real PostgreSQL, called in process as a server calls them: no gateway, no
socket, no client (httpx took a third of what was measured). The host is one in memory, so a pass shows what the pass
itself costs and not what QEMU does. Printed are the median and the 99th
percentile of one caller after the other, the processor time of this process for each, and the target beside it. A
percentile of a busy machine says much about its neighbours: look at the median and the processor time first. Use a
throw-away database.

    --vms 1000     machines in the table for the list and the pass
    --orders 500   orders that are timed
    --profile      where the processor time of an order goes
"""

import argparse
import os
import time

import uvloop
from doors import Known, as_role, ask, now, profiled, tell, timed
from uuid_utils.compat import uuid7

from chassis.db import database
from chassis.http import Wiring, rest_app
from chassis.idempotency import Idempotency as Retries
from compute.api.rest import routers
from compute.domain.course import Terms
from compute.domain.guest import ABSENT, Power, Seen
from compute.domain.host import Probe
from compute.domain.order import SourceType, Template
from compute.domain.quota import Amount
from compute.domain.vm import Step, Vm
from compute.store.tables import Idempotency
from compute.store.work import sql_work
from compute.usecases.metering import Meter
from compute.usecases.operations import Operations
from compute.usecases.reconciler import Reconciler
from compute.usecases.snapshotting import Snapshotting
from compute.usecases.vms import Vms
from schemas.migrate import migrate

PLENTY = Amount(vms=10**6, cpu=10**6, memory_gb=10**6, disk_gb=10**6)
ANA = Known("vm:create", "vm:read")


class Host:
    """A host in memory on which everything runs as it is wished."""

    host = "bench"

    def __init__(self):
        self.guests = {}

    async def probe(self):
        return Probe(version="0", ran=True, accel="none")

    async def list(self):
        return self.guests

    async def observe(self, vm):
        return self.guests.get(vm, ABSENT)

    async def ensure_disk(self, key, definition):
        self.guests[key.vm] = Seen(power=Power.OFF, made=True)

    async def ensure_defined(self, key, definition):
        pass

    async def ensure_power(self, key, switch):
        self.guests[key.vm] = up(key.generation)


def up(generation=1):
    return Seen(power=Power.RUNNING, up=True, made=True, generation=generation, reset_at=generation)


def machine(number, template, **said):
    return Vm(
        id=uuid7(),
        tenant=ANA.caller.tenant,
        number=-number,
        name=f"machine {number}",
        owner_id="ana",
        source_type=SourceType.TEMPLATE,
        template_id=template.id,
        template_name=template.name,
        cpu=1,
        memory_gb=1,
        disk_gb=1,
        created_at=now(),
        updated_at=now(),
        **said,
    )


async def measure(given, sessions):
    work, host = sql_work(sessions, lambda: None), Host()
    template = Template(
        id=uuid7(), tenant=None, name="bench", description="", architecture="x86_64",
        min_memory_gb=1, min_disk_gb=1, created_at=now(),
    )  # fmt: skip
    async with work() as opened:
        await opened.templates.put(template)
    vms = Vms(work=work, hypervisor=host, depot=None, limit=PLENTY, now=now, new_id=uuid7)
    uses = {Vms: vms, Operations: Operations(work)}
    wiring = Wiring(
        identity=ANA,
        idempotency=Retries(sessions, Idempotency, (b"a secret of a benchmark",)),
        uses=uses,
    )
    await measure_doors(given, rest_app("compute", routers, wiring), template)
    await measure_passes(given, work, host, template)


async def measure_doors(given, app, template):
    body = {"name": "web", "source_type": "template", "template_id": str(template.id)}
    body |= {"cpu": 1, "memory_gb": 1, "disk_gb": 1}

    async def order(**headers):
        status, said = await ask(app, "POST", "/api/v1/vms", body, **headers)
        assert status == 201, said

    async def page():
        _, said = await ask(app, "GET", "/api/v1/vms?limit=50")
        assert len(said["items"]) == 50

    tell("an order", await timed(order, given.orders), "p99 <= 50 ms")
    keyed = lambda: order(**{"idempotency-key": uuid7().hex})  # noqa: E731
    tell("an order with a key", await timed(keyed, given.orders))
    while (await ask(app, "GET", "/api/v1/vms"))[1]["total"] < given.vms:
        await order()
    tell("a page of the list", await timed(page, 200), "p50 <= 5 ms")
    if given.profile:
        await profiled(order)


async def measure_passes(given, work, host, template):
    async with work() as opened:
        for vm in await opened.vms.on_host(host.host):
            await opened.vms.remove(vm)
        for number in range(1, given.vms + 1):
            settled = {"host": host.host, "made": True, "step": Step.UP, "settled": 1}
            vm = machine(number, template, **settled)
            await opened.vms.add(vm)
            host.guests[vm.id] = up()
    reconciler = Reconciler(
        work=work,
        hypervisor=host,
        terms=Terms(),
        now=now,
        meter=Meter(uuid7, now),
        snapshots=Snapshotting(work=work, hypervisor=host, now=now),
    )

    async def sweep():
        busy = await reconciler.sweep()
        await reconciler.underway.finish()
        return busy

    print(f"{given.vms} machines; the first pass also begins to meter them:")
    begun = time.perf_counter()
    await sweep()
    print(f"{'the first pass':28} {1000 * (time.perf_counter() - begun):8.1f} ms")
    tell("a pass", await timed(sweep, 20), "median <= 1000 ms")
    host.guests = {vm: Seen(power=Power.OFF, made=True, crashed=True) for vm in host.guests}
    begun, passes = time.perf_counter(), 1
    while await sweep():
        passes += 1
    seconds = time.perf_counter() - begun
    print(f"all {given.vms} guests died: up again in {passes} passes, {seconds:.1f} s of our work")


async def main(given):
    admin = os.environ["TEST_DATABASE_URL"]
    url = as_role(admin, "bench_compute", "test-only")
    await migrate("compute", url, admin)
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before it began")
    async with database(url, "compute", pool=10) as sessions:
        await measure(given, sessions)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vms", type=int, default=1000)
    parser.add_argument("--orders", type=int, default=500)
    parser.add_argument("--profile", action="store_true")
    uvloop.run(main(parser.parse_args()))
