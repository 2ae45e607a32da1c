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
import cProfile
import os
import pstats
import statistics
import sys
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

import orjson
import uvloop
from uuid_utils.compat import uuid7

from chassis.caller import Caller
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

TARGETS = {"an order": (50, "p99"), "a page of the list": (5, "p50"), "a pass": (1000, "median")}
PLENTY = Amount(vms=10**6, cpu=10**6, memory_gb=10**6, disk_gb=10**6)
TENANT = uuid7()
ANA = Caller(
    subject="ana", tenant=TENANT, name="Ana", permissions=frozenset({"vm:create", "vm:read"})
)


def now():
    return datetime.now(UTC)


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


class Ana:
    """An identity that knows one person."""

    async def of(self, headers):
        return ANA


def up(generation=1):
    return Seen(power=Power.RUNNING, up=True, made=True, generation=generation, reset_at=generation)


def machine(number, template, **said):
    return Vm(
        id=uuid7(),
        tenant=TENANT,
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


async def timed(action, times):
    """Return the milliseconds of each time, and the processor milliseconds of this process for one."""
    for _ in range(max(1, times // 20)):
        await action()
    taken, before = [], time.process_time()
    for _ in range(times):
        begun = time.perf_counter()
        await action()
        taken.append(1000 * (time.perf_counter() - begun))
    return sorted(taken), 1000 * (time.process_time() - before) / times


def tell(what, measured):
    taken, processor = measured
    median, late = statistics.median(taken), taken[int(len(taken) * 0.99)]
    target, of = TARGETS.get(what, (None, ""))
    wanted = f"target {of} <= {target} ms" if target else ""
    figures = f"{median:8.1f} ms median {late:8.1f} ms p99 {processor:8.2f} ms processor"
    print(f"{what:28} {figures}   {wanted}", flush=True)


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
    wiring = Wiring(identity=Ana(), idempotency=Retries(sessions, Idempotency), uses=uses)
    await measure_doors(given, rest_app("compute", routers, wiring), template)
    await measure_passes(given, work, host, template)


async def ask(app, verb, path, body=None, **headers):
    """Return status and body of one request, put to an app as a server puts it."""
    sent = b"" if body is None else orjson.dumps(body)
    named = {"host": "bench", "content-type": "application/json"} | headers
    place, _, query = path.partition("?")
    scope = {
        "type": "http", "http_version": "1.1", "method": verb, "scheme": "http", "root_path": "",
        "path": place, "raw_path": place.encode(), "query_string": query.encode(), "state": {},
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        "client": ("127.0.0.1", 1), "server": ("bench", 80),
    }  # fmt: skip
    told = []

    async def receive():
        return {"type": "http.request", "body": sent, "more_body": False}

    async def send(message):
        told.append(message)

    await app(scope, receive, send)
    return told[0]["status"], orjson.loads(b"".join(it.get("body", b"") for it in told[1:]))


async def measure_doors(given, app, template):
    body = {"name": "web", "source_type": "template", "template_id": str(template.id)}
    body |= {"cpu": 1, "memory_gb": 1, "disk_gb": 1}

    async def order(**headers):
        status, said = await ask(app, "POST", "/api/v1/vms", body, **headers)
        assert status == 201, said

    async def page():
        _, said = await ask(app, "GET", "/api/v1/vms?limit=50")
        assert len(said["items"]) == 50

    tell("an order", await timed(order, given.orders))
    keyed = lambda: order(**{"idempotency-key": uuid7().hex})  # noqa: E731
    tell("an order with a key", await timed(keyed, given.orders))
    while (await ask(app, "GET", "/api/v1/vms"))[1]["total"] < given.vms:
        await order()
    tell("a page of the list", await timed(page, 200))
    if given.profile:
        await profiled(order)


async def profiled(action):
    seen = cProfile.Profile()
    seen.enable()
    for _ in range(200):
        await action()
    seen.disable()
    pstats.Stats(seen, stream=sys.stdout).sort_stats("cumulative").print_stats(60)


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
    print(f"{given.vms} machines; the first pass also begins to meter them:")
    begun = time.perf_counter()
    await reconciler.sweep()
    print(f"{'the first pass':28} {1000 * (time.perf_counter() - begun):8.1f} ms")
    tell("a pass", await timed(reconciler.sweep, 20))
    host.guests = {vm: Seen(power=Power.OFF, made=True, crashed=True) for vm in host.guests}
    begun, passes = time.perf_counter(), 1
    while await reconciler.sweep():
        passes += 1
    seconds = time.perf_counter() - begun
    print(f"all {given.vms} guests died: up again in {passes} passes, {seconds:.1f} s of our work")


def as_role(url, role, password):
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{parts.netloc.rpartition('@')[2]}"))


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
