"""audit is away while people work: the facts wait, and come to the log in order when it is back, soon (R8)."""

import asyncio
import os
import time
from uuid import uuid4

import asyncpg
import pytest

from tests.faults.lengths import FULL, length, shorter
from tests.faults.test_frozen import frozen
from tests.faults.test_frozen import org as org
from tests.faults.test_kill import entries
from tests.waiting import until

pytestmark = pytest.mark.journey

AWAY = length(2, 300)  # seconds
BACKLOG = length(100, 10_000)  # changes, if there is time for so many
WRITERS = 8
FEW = 5  # changes of a writer, however slow the machine
RATE = 1_000  # facts a second that a backlog is to drain by
SOON = 120
WAITING = "SELECT count(*) FROM flags.outbox WHERE parked_at IS NULL"
PARKED = "SELECT count(*) FROM flags.outbox WHERE parked_at IS NOT NULL"


class Writer:
    """Toggles a flag of its own, and remembers what was acknowledged."""

    def __init__(self, web):
        self._web, self.done, self.flag, self.again = web, [], "", 0

    async def make(self):
        key = f"f{uuid4().hex[:8]}"
        self.flag = (await self._sent("/api/v1/feature-flags", {"key": key, "name": key}))["id"]
        return self

    async def _sent(self, path, body):
        """Send it until it is acknowledged: with eight writers a busy machine may have no connection free."""
        headers = {"idempotency-key": uuid4().hex}
        while not (said := await self._web.post(path, json=body, headers=headers)).is_success:
            assert said.status_code in (409, 503, 504), said.text
            self.again += 1
            await asyncio.sleep(float(said.headers.get("retry-after", 1)))
        return said.json()

    async def toggle(self):
        reason = f"no {len(self.done)}"
        await self._sent(f"/api/v1/feature-flags/{self.flag}/toggle", {"reason": reason})
        self.done.append(reason)

    async def fill(self, times, end):
        """Toggle so many times, or until the time has come."""
        while len(self.done) < times and (self.few or time.monotonic() < end):
            await self.toggle()

    @property
    def few(self):
        return len(self.done) < FEW


async def drained(there):
    """Watch the backlog go; return how large it was, and the seconds until it began and that it took."""
    whole, begun, first = await there.fetchval(WAITING), time.monotonic(), None
    while True:
        left = await there.fetchval(WAITING)
        now = time.monotonic()
        if left == whole:
            first = now
        elif left == 0:
            first = first or begun
            return whole, first - begun, now - first
        assert now - begun < SOON + whole / 100, f"{left} of {whole} facts still wait"
        await asyncio.sleep(0.01)


async def test_facts_wait_while_audit_hangs_and_arrive_in_order(platform, org, finding):
    writers = [await Writer(org).make() for _ in range(WRITERS)]
    there = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        parked = await there.fetchval(PARKED)
        with frozen(platform, "audit"):
            begun = time.monotonic()
            await asyncio.gather(*(w.fill(BACKLOG // WRITERS, begun + AWAY) for w in writers))
            while time.monotonic() - begun < AWAY:
                await writers[0].toggle()
                await asyncio.sleep(0.5)
            away = time.monotonic() - begun
        whole, wait, took = await drained(there)
        assert await there.fetchval(PARKED) == parked
    finally:
        await there.close()
    for writer in writers:
        await holds(org, writer)
    finding(
        "R8",
        f"SIGSTOP to audit for {away:.0f} s, {sum(len(w.done) for w in writers):,} changes meanwhile",
        f"all acknowledged ({sum(w.again for w in writers)} times one was sent again); a backlog of {whole:,} facts"
        f" began to drain {wait:.1f} s after SIGCONT and was gone {took:.1f} s later,"
        f" {whole / took:,.0f} a second; all in the log, once and in order",
        partly=(
            f"{whole / took:,.0f} a second in this run, wanted ≥ {RATE:,}; "
            if FULL and whole / took < RATE
            else ""
        )
        + shorter("seconds, not 5 min, and a small backlog"),
    )


async def holds(org, writer):
    """The log has what a writer was promised, once, in the order in which it was done."""

    async def told():
        found = [entry["reason"] for entry in await entries(org, writer.flag)]
        return found if len(found) >= len(writer.done) else None

    assert await until(told, SOON, "all is in the log") == writer.done
