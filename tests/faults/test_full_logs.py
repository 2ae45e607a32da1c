"""The disk is full on which PostgreSQL's own log lies: what was promised is there afterwards (R11).

The log is moved to a small disk while its process is dead. PostgreSQL that cannot write its log ends itself, and every
start of it fails until there is room.
"""

import asyncio
import contextlib
import os
import shutil
import time
from uuid import uuid4

import asyncpg
import pytest
from redis import asyncio as redis
from redis.exceptions import RedisError

from tests.faults.disks import mounted
from tests.faults.lengths import length
from tests.faults.mixed import Mix, statuses
from tests.faults.table import slower
from tests.faults.test_away import SOON, Spell, asked, dead, org, told
from tests.faults.test_kill import proves, tenant_of
from tests.faults.test_replicas import written
from tests.waiting import until

__all__ = ["org"]  # the fixture

pytestmark = pytest.mark.journey

ROOM = 32  # MiB that a disk has beside what lies there
FULL_FOR = length(1, 30)  # seconds after it has told
LOGS = {"postgres": "postgres/pg_wal", "valkey": "valkey/appendonlydir"}
ENTRY = "SELECT pg_logical_emit_message(false, 'full', repeat('x', 4000000))"


@contextlib.asynccontextmanager
async def on_a_small_disk(platform, name):
    """Have a store keep its log on a small disk; it is killed to move it there, and to move it back."""
    log = platform.data / LOGS[name]
    kept = log.with_name(f"{log.name}.kept")
    size = sum(file.stat().st_size for file in log.rglob("*"))
    with mounted(platform.data / f"small-{uuid4().hex[:8]}", (size >> 20) + ROOM) as disk:
        there = disk.folder("log", log)
        async with stopped(platform, name):
            await copied(f"{log}/.", there)
            log.rename(kept)
            log.symlink_to(there)
        try:
            yield disk
        finally:
            disk.clear()
            await until(lambda: platform.listens(name), SOON, f"{name} is back")
            async with stopped(platform, name):
                log.unlink()
                await copied(there, log)
                shutil.rmtree(kept)


async def copied(here, there):
    """Copy files with whom they belong to."""
    copying = await asyncio.create_subprocess_exec("cp", "-a", here, there)
    assert await copying.wait() == 0


@contextlib.asynccontextmanager
async def stopped(platform, name):
    """Kill a store, and let it come back afterwards."""
    with dead(platform, name):
        await until(lambda: not platform.listens(name), SOON, f"{name} has ended")
        yield
    await until(answer, SOON, "both stores answer")
    await until(platform.healthy, SOON)


async def answer():
    """Whether both stores do what they are asked; who listens may still be starting."""
    try:
        async with redis.from_url(os.environ["REDIS_URL"]) as store:
            return await store.ping() and await asked("SELECT 1") == 1
    except (asyncpg.PostgresError, RedisError, OSError):
        return False


@contextlib.contextmanager
def full(disk):
    disk.fill()
    try:
        yield
    finally:
        disk.clear()


async def writes_its_log_full():
    """Have PostgreSQL write to its log until it ends itself."""
    there = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        while True:
            await there.execute(ENTRY)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as why:
        return why
    finally:
        there.terminate()


def panics(platform):
    """Return how often PostgreSQL said that it has no room."""
    said = (platform.data / "log/postgres.log").read_text(errors="replace")
    return sum("No space left on device" in line for line in said.splitlines())


async def test_postgres_comes_back_from_a_full_disk_of_its_log(platform, org, finding):
    async with on_a_small_disk(platform, "postgres") as disk:
        async with Mix(org).running() as mix:
            spell, before = Spell(mix), panics(platform)
            async with spell.of(full(disk)):
                await writes_its_log_full()
                await until(lambda: panics(platform) > before, SOON, "it has said so")
                began = time.monotonic()
                await until(lambda: refused(mix, began), SOON, "writes are refused")
                await asyncio.sleep(FULL_FOR)  # it starts again and again, and cannot
            served = spell.evaluated()
        await written(org, mix)
        await proves(org, await tenant_of(org), len(mix.changes))
        said = panics(platform) - before
    finding(
        "R11",
        "the disk of PostgreSQL's own log (pg_wal) filled under the mixed load: it ends itself and cannot start",
        f"it said {said} times that there is no room; {served}; of writes {told(spell.meanwhile('write'))}, refusals"
        f" with Retry-After; nothing failed any more {spell.normal:.1f} s after there was room; {len(mix.changes)}"
        " writes acknowledged, each logged once, and the exported log comes to the signed root",
        partly=(
            f"{len(spell.lost)} evaluations failed ({told(spell.lost)}), wanted 0; "
            if spell.lost
            else ""
        )
        + slower(spell.normal, 10, "the way back"),
    )


def refused(mix, since):
    """Whether some writes that began since then were refused."""
    return statuses(mix.of("write", since, time.monotonic()))[503] >= 3
