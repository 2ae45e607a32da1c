"""Random wishes and random faults, and what must be so after each."""

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter
from pathlib import Path

from sqlalchemy import text

from chassis.db import transaction
from compute.domain.errors import ActionDoesNotFit
from compute.domain.quota import Amount
from compute.domain.vm import Action
from tests.faults.machines.stage import LIMIT, NEVER

SIZES = ("cpu", "memory_gb", "disk_gb")


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
