"""A host of our own, its books, and workers that can be killed or frozen: what these tests hurt.

A folder by itself, because all that it needs of a platform is a PostgreSQL, and one that nobody kills: `make check`
runs it beside the other faults, on a server of its own.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from sqlalchemy import text

from chassis.caller import Caller
from chassis.errors import Unavailable
from compute.clients import processes
from compute.clients.depot import Depot
from compute.clients.images import Images, built_in_id
from compute.clients.qemu import Qemu
from compute.domain.order import Order, SourceType
from compute.domain.quota import Amount
from compute.store.work import sql_work
from compute.usecases.snapshots import Snapshots
from compute.usecases.vms import Intent, Vms
from egress.guard import Rules

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / ".images"
LIMIT = Amount(vms=5, cpu=5, memory_gb=5, disk_gb=5)
MAY = ("create", "read", "update", "delete", "power_manage", "read_logs")
BOOT = 240  # seconds: a guest without KVM boots as slowly as its neighbours let it
# What there may not be once everything is as wished.
NEVER = {
    "an open operation": "select 1 from compute.operation where tenant = :t and status = 'RUNNING'",
    "a gone machine that is metered": (
        "select 1 from compute.vm_interval i where tenant = :t "
        "and not exists (select from compute.vm where id = i.vm_id)"
    ),
    "a lease on a gone machine": (
        "select 1 from compute.lease l where name like 'vm:%' "
        "and not exists (select from compute.vm where 'vm:' || id = l.name) and cast(:t as uuid) is not null"
    ),
}


class Site:
    """A host of our own, the books, a person with machines, and workers that can be hurt."""

    def __init__(self, url, sessions, folder, trial):
        self.url, self.sessions, self.folder = url, sessions, folder
        self.host = Qemu(folder, Images((IMAGES,)), trial)
        self.work = sql_work(sessions, lambda: None)
        self.vms = Vms(
            work=self.work,
            hypervisor=self.host,
            depot=Depot(folder / "fetched", Rules.of(""), 1),
            limit=LIMIT,
            now=lambda: datetime.now(UTC),
            new_id=uuid4,
        )
        self.snapshots = Snapshots(
            work=self.work, limit=LIMIT, now=lambda: datetime.now(UTC), new_id=uuid4
        )
        may = frozenset(f"vm:{verb}" for verb in MAY)
        self.ana = Caller(subject="ana", tenant=uuid4(), name="Ana", permissions=may)
        self.workers = []

    async def order(self, **said):
        little = {"name": "little", "cpu": 1, "memory_gb": 1, "disk_gb": 1} | said
        template = built_in_id("switchyard-linux")
        it = Order(**little, source_type=SourceType.TEMPLATE, template_id=template)
        return await self.ask(lambda: self.vms.create(self.ana, it))

    async def act(self, vm, action):
        return await self.ask(lambda: self.vms.act(self.ana, Intent(vm=vm.id), action))

    async def delete(self, vm):
        await self.ask(lambda: self.vms.delete(self.ana, Intent(vm=vm.id)))

    async def ask(self, verb):
        """Ask again where the database is too busy to answer, and has changed nothing, as whoever is told so does."""
        while True:
            with contextlib.suppress(Unavailable):
                return await verb()

    def worker(self, point="none"):
        env = {
            **os.environ,
            "IMAGES": str(IMAGES),
            "GUESTS": str(self.folder),
            "COMPUTE_URL": self.url,
        }
        script = str(Path(__file__).with_name("worker.py"))
        self.workers.append(subprocess.Popen([sys.executable, script, point], env=env))
        return self.workers[-1]

    async def dies(self, worker, within=BOOT):
        """Wait until a worker has fallen into its trap."""
        await self.until(lambda: worker.poll() is not None, within)
        assert worker.returncode == -signal.SIGKILL

    async def until(self, holds, within=BOOT):
        end = time.monotonic() + within
        while True:
            with contextlib.suppress(Unavailable):  # a busy database is asked again
                found = holds()
                if found := (await found if asyncio.iscoroutine(found) else found):
                    return found
            assert time.monotonic() < end, await self.rows()
            await asyncio.sleep(0.05)

    async def becomes(self, vm, status, within=BOOT):
        async def is_so():
            async with self.work() as work:
                found = await work.vms.find(self.ana.tenant, vm.id)
            done = found and found.status == status and found.settled == found.generation
            return found if done else None

        return await self.until(is_so, within)

    async def gone(self, vm):
        async def is_so():
            async with self.work() as work:
                return await work.vms.find(self.ana.tenant, vm.id) is None

        await self.until(is_so)

    async def ended(self, operation):
        async def it_has():
            async with self.work() as work:
                found = await work.operations.find(self.ana.tenant, operation.id)
            return found if found.status != "RUNNING" else None

        return await self.until(it_has)

    async def rows(self):
        async with self.sessions() as session:
            found = await session.execute(
                text("select wish, step, generation, settled, trouble from compute.vm")
            )
            return [tuple(row) for row in found]

    async def tells(self, vm, message):
        async def it_does():
            log = await self.vms.read_log(self.ana, vm.id, 1000)
            return any(message in it.message for it in log)

        await self.until(it_does)

    def running(self):
        return processes.guests(self.folder / "guests")

    async def nothing_is_left(self):
        """No process, file, lease or quota of what was deleted, and no operation that has not ended."""
        assert self.running() == {}
        assert list((self.folder / "guests").iterdir()) == []
        async with self.sessions() as session:
            tenant = {"t": self.ana.tenant}
            assert await session.scalar(text(NEVER["a lease on a gone machine"]), tenant) is None
            left = "select count(*) from compute.snapshot where tenant = :t"
            shots = await session.scalar(text(left), tenant)
            assert shots == 0
            open_ = (
                "select count(*) from compute.operation where tenant = :t and status = 'RUNNING'"
            )
            used = (
                "select vms + cpu + memory_gb + disk_gb from compute.quota_used where tenant = :t"
            )
            assert await session.scalar(text(open_), tenant) == 0
            assert await session.scalar(text(used), tenant) == 0

    async def close(self):
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait()
        for vm in self.running():
            await processes.end(self.folder / "guests" / str(vm))
        self.host.close()
