"""Each window in which a worker for machines can be killed or frozen, with a real kill -9 or SIGSTOP and real guests.

What must hold after each: the guest runs once and as wished, the quota is the sum, nothing is left of what was deleted.
Few guests, because each takes seconds to boot: a test goes through several windows with one.
"""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from chassis.caller import Caller
from chassis.db import database, transaction
from chassis.errors import Unavailable
from compute.clients import processes
from compute.clients.depot import Depot
from compute.clients.images import Images, built_in_id
from compute.clients.qemu import Qemu
from compute.clients.trial import Trial
from compute.domain.errors import ActionDoesNotFit
from compute.domain.order import Order, SourceType
from compute.domain.quota import Amount
from compute.domain.snapshot import Task
from compute.domain.vm import Action
from compute.store.work import sql_work
from compute.usecases.offers import Offers
from compute.usecases.snapshots import Snapshots
from compute.usecases.vms import Intent, Vms
from egress.guard import Rules

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / ".images"
LIMIT = Amount(vms=5, cpu=5, memory_gb=5, disk_gb=5)
MAY = ("create", "read", "update", "delete", "power_manage", "read_logs")
BOOT = 60
SIZES = ("cpu", "memory_gb", "disk_gb")
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
        script = str(Path(__file__).with_name("machine_worker.py"))
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

        await self.until(is_so, 30)

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


class Loop:
    """Random wishes and random faults on two machines, and after each the books against the host."""

    def __init__(self, site, dice):
        self.site, self.dice = site, dice
        self.machines, self.worker, self.slowest, self.done = [], None, 0.0, Counter()
        self.round = ""
        self.told = (
            Counter()
        )  # what was asked and not refused: the audit log is to have all of it, and no more

    async def begin(self):
        self.worker = self.site.worker()
        self.machines = [await self.order() for _ in range(2)]
        await self.settled()

    async def order(self):
        self.told["vm.created"] += 1
        return await self.site.order()

    async def delete(self, vm):
        self.told["vm.deleted"] += 1
        await self.site.delete(vm)

    async def once(self):
        """Wish something, hurt something, and wait until everything is as wished again."""
        self.round = [await self.wish() for _ in range(self.dice.randint(1, 2))]
        fault = self.dice.choice(
            [self.kill_worker, self.freeze_worker, self.kill_guest, self.freeze_guest]
        )
        await asyncio.sleep(self.dice.uniform(0, 0.5))
        await fault()
        self.done[fault.__name__] += 1
        began = time.monotonic()
        await self.settled()
        took = time.monotonic() - began
        self.slowest = max(self.slowest, took)
        await self.site.ask(self.agree)
        self.round = f"{fault.__name__} after {self.round}, as wished again in {took:.1f} s"

    async def wish(self):
        place = self.dice.randrange(len(self.machines))
        vm, wish = self.machines[place], self.dice.choice([*Action, "replace"])
        if wish == "replace":
            await self.delete(vm)
            self.machines[place] = await self.order()
        else:
            with contextlib.suppress(ActionDoesNotFit):
                await self.site.act(vm, wish)
                self.told[f"vm.{wish}_asked"] += 1
        self.done[str(wish)] += 1
        return f"{wish} {place}"

    async def kill_worker(self):
        self.worker.kill()
        self.worker.wait()
        self.worker = self.site.worker()

    async def freeze_worker(self):
        frozen, self.worker = self.worker, self.site.worker()
        frozen.send_signal(signal.SIGSTOP)
        await asyncio.sleep(self.dice.uniform(0, 7))  # the lease is for five seconds
        frozen.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.5)
        frozen.kill()
        frozen.wait()

    async def kill_guest(self):
        for pid in self.site.running().values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            break

    async def freeze_guest(self):
        for pid in self.site.running().values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(self.dice.uniform(0, 3))
                os.kill(pid, signal.SIGCONT)
            break

    async def rows(self):
        said = "id, wish, step, generation, settled, trouble, made, cpu, memory_gb, disk_gb"
        found = await self.select(f"select {said} from compute.vm where tenant = :t")
        return {row.id: row for row in found}

    async def select(self, said):
        async with transaction(self.site.sessions) as session:
            return (await session.execute(text(said), {"t": self.site.ana.tenant})).all()

    async def settled(self):
        ends = {"run": "up", "pause": "held", "stop": "down"}

        async def it_is():
            rows, running = (await self.rows()), set(self.site.running())
            wanted = {id_ for id_, row in rows.items() if row.wish in ("run", "pause")}
            still = all(
                row.generation == row.settled and row.step == ends.get(row.wish) and not row.trouble
                for row in rows.values()
            )
            return still and wanted == running

        await self.site.until(it_is, 180)

    async def agree(self):
        """What runs, lies on the disk, is counted, leased, metered and told is what the table and the wishes say."""
        rows = await self.rows()
        assert set(rows) == {vm.id for vm in self.machines}
        made, homes = {str(id_) for id_, row in rows.items() if row.made}, self.homes()
        assert made <= homes <= set(map(str, rows)), "one stopped before it had a disk has none"
        async with self.site.work() as work:
            used = (await work.quotas.find(self.site.ana.tenant, LIMIT)).used
        sums = {name: sum(getattr(row, name) for row in rows.values()) for name in SIZES}
        assert used == Amount(vms=len(rows), **sums)
        for what, said in NEVER.items():
            assert await self.select(said) == [], what
        await self.audited()

    def homes(self):
        return {home.name for home in (self.site.folder / "guests").iterdir()}

    async def audited(self):
        """Each action that was not refused is told once, and no status changes without its being told."""
        said = "select body from compute.outbox where body->>'tenant' = cast(cast(:t as uuid) as text) order by seq"
        facts = [row.body for row in await self.select(said)]
        asked = Counter(fact["action"] for fact in facts)
        changes = asked.pop("vm.status_changed", 0)
        assert asked == self.told
        assert changes >= len(self.machines)
        shown = {}
        for fact in facts:
            vm, before = fact["target"]["id"], fact["before"]
            assert before is None or before["status"] == shown.get(vm, before["status"]), fact
            shown[vm] = fact["after"] and fact["after"]["status"]
            if shown[vm] is None:  # what becomes of one that is being deleted is told from here
                del shown[vm]

    async def end(self):
        for vm in self.machines:
            await self.delete(vm)
            await self.site.gone(vm)
        self.machines = []
        await self.site.ask(self.agree)
        self.worker.kill()
        self.worker.wait()
        await self.site.nothing_is_left()
        assert self.programs() == [], "nothing that was started for a guest runs on"

    def programs(self):
        """Return every process of this machine whose command names the folder of the guests."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if bytes(self.site.folder) in (said := entry.read_bytes()):
                    found.append(said)
        return found


async def test_after_random_wishes_and_faults_the_books_and_the_host_agree(site):
    """A few rounds; SWITCHYARD_MACHINE_FAULTS=100 for more, SWITCHYARD_SEED to repeat a run."""
    seed = int(os.environ.get("SWITCHYARD_SEED", "0")) or time.time_ns() % 10**6
    rounds = int(os.environ.get("SWITCHYARD_MACHINE_FAULTS", "3"))
    print(f"seed {seed}")
    loop = Loop(site, random.Random(seed))
    await loop.begin()
    began = time.monotonic()
    for number in range(rounds):
        await loop.once()
        print(f"round {number + 1} held: {loop.round}", flush=True)
    await loop.end()
    took = (time.monotonic() - began) / rounds
    load = os.getloadavg()[2] / (os.cpu_count() or 1)
    said = f"{took:.1f} s each, the slowest {loop.slowest:.1f} s, seed {seed}, load {load:.1f} a processor"
    print(f"{rounds} rounds held, {said}: {dict(loop.done)}")
    if rounds >= 100 and load < 2:  # a guest without KVM boots as slowly as its neighbours let it
        assert loop.slowest <= 60, "a machine was on its way for longer than a minute"


@pytest.fixture(scope="session")
def compute_url(service_url):
    return service_url("compute")


@pytest.fixture
async def site(compute_url):
    trial = Trial(IMAGES, Images((IMAGES,)), "tcg")
    if not (await trial.look()).ran:
        pytest.skip(f"no guest runs here: {trial.found.trouble}")
    with tempfile.TemporaryDirectory(prefix="switchyard-faults-") as folder:
        async with database(compute_url, "compute") as sessions:
            made = Site(compute_url, sessions, Path(folder), trial)
            await Offers(made.work, made.host).refresh()
            yield made
            await made.close()


def stopped(worker):
    """Whether a process is stopped, as a debugger stops it."""
    return Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def test_a_worker_is_killed_in_each_window_from_the_order_to_the_end(site):
    vm = await site.order()
    await site.dies(site.worker("half-disk"))
    home = site.folder / "guests" / str(vm.id)
    assert not (home / "disk.qcow2").exists(), "a disk that is half made has no name"
    await site.dies(site.worker("spawned"))
    [pid] = site.running().values()
    site.worker()
    await site.becomes(vm, "RUNNING")
    assert list(site.running().values()) == [pid], "it was adopted, not started again"
    site.workers[-1].kill()

    await site.act(vm, Action.STOP)
    await site.dies(site.worker("marked"))
    last = site.worker()
    await site.becomes(vm, "STOPPED")
    last.kill()

    await site.delete(vm)
    site.worker()
    await site.gone(vm)
    await site.nothing_is_left()


async def test_a_guest_dies_switches_itself_off_and_is_deleted_under_a_killed_worker(site):
    vm = await site.order()
    worker = site.worker()
    await site.becomes(vm, "RUNNING")
    [pid] = site.running().values()
    os.kill(pid, signal.SIGKILL)
    await site.tells(vm, "the guest ended unasked, and is started again")
    assert pid not in site.running().values()
    await site.tells(vm, "switchyard: boot 2")
    await site.becomes(vm, "RUNNING")

    console = await site.host.console(vm.id)
    await console.write(b"poweroff -f\n")
    await site.tells(vm, "the guest switched itself off")
    await site.becomes(vm, "STOPPED")
    await console.close()

    await site.act(vm, Action.START)
    await site.becomes(vm, "RUNNING")
    worker.kill()
    await site.delete(vm)
    await site.dies(site.worker("ended"))
    await site.until(lambda: not site.running())
    async with site.work() as work:
        assert (await work.quotas.find(site.ana.tenant, LIMIT)).used.vms == 1, (
            "nobody has seen it gone"
        )
    site.worker()
    await site.gone(vm)
    await site.nothing_is_left()


async def test_a_frozen_worker_that_wakes_up_is_refused_by_the_host(site):
    vm = await site.order()
    frozen = site.worker("frozen-on")
    await site.until(lambda: stopped(frozen))
    other = site.worker()
    await site.becomes(vm, "RUNNING")
    [pid] = site.running().values()
    other.kill()
    os.kill(pid, signal.SIGKILL)  # what the frozen one was to start is off again: now it could
    await site.until(lambda: not site.running())
    frozen.send_signal(signal.SIGCONT)
    # It goes on, is refused, and comes by its trap again with a new lease.
    await site.until(lambda: stopped(frozen))
    assert site.running() == {}, "the late word was refused"
    frozen.send_signal(signal.SIGCONT)
    frozen.kill()
    site.worker()
    await site.until(site.running)
    await site.becomes(vm, "RUNNING")
    assert len(site.running()) == 1
    await site.delete(vm)
    await site.gone(vm)
    await site.nothing_is_left()


async def test_a_silent_guest_is_never_started_twice_and_a_host_that_was_cut_off_comes_back(site):
    vm = await site.order()
    worker = site.worker()
    await site.becomes(vm, "RUNNING")
    [pid] = site.running().values()
    os.kill(pid, signal.SIGSTOP)

    async def complains():
        async with site.work() as work:
            found = await work.vms.find(site.ana.tenant, vm.id)
        return found.status == "ERROR" and "monitor" in found.status_detail

    await site.until(complains, 30)
    assert list(site.running().values()) == [pid]
    os.kill(pid, signal.SIGCONT)
    await site.becomes(vm, "RUNNING")

    worker.kill()
    os.kill(pid, signal.SIGKILL)  # the power fails: no guest, no worker
    site.worker()
    await site.tells(vm, "switchyard: boot 2")  # the disk is the same
    await site.becomes(vm, "RUNNING")
    await site.delete(vm)
    await site.gone(vm)
    await site.nothing_is_left()


async def test_a_worker_is_killed_between_what_is_done_to_a_snapshot_and_what_is_written_of_it(
    site,
):
    vm = await site.order()
    worker = site.worker()
    await site.becomes(vm, "RUNNING")
    worker.kill()
    taken = await site.snapshots.take(site.ana, Intent(vm=vm.id), "live")
    await site.dies(site.worker("take-done"))
    worker = site.worker()
    assert (await site.ended(taken)).status == "SUCCEEDED"
    await site.act(vm, Action.STOP)
    await site.becomes(vm, "STOPPED")
    worker.kill()
    for task, point in ((Task.RESTORE, "restore-done"), (Task.DROP, "drop-done")):
        intent = Intent(vm=vm.id)
        asked = await site.snapshots.ask(site.ana, intent, taken.snapshot_id, task)
        await site.dies(site.worker(point))
        worker = site.worker()
        assert (await site.ended(asked)).status == "SUCCEEDED"
        worker.kill()
    site.worker()
    await site.act(vm, Action.START)
    await site.tells(vm, "switchyard: boot 2")
    await site.becomes(vm, "RUNNING")
    await site.delete(vm)
    await site.gone(vm)
    await site.nothing_is_left()
