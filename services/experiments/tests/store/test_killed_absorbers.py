"""Workers are killed in the middle, and everything comes again: the cells are what counting once gives.

`EXPERIMENTS_FAULT_EVENTS=200000` plays the whole; without it a small part of it is played, so that it stays quick.
"""

import asyncio
import os
import random
import signal
import sys

import pytest

from experiments.clients.streams import PREFIX, streams_at
from experiments.domain.intake import SHARDS
from experiments.store.packing import Rows
from experiments.usecases.intake import absorbed, waiting

pytestmark = pytest.mark.store
EVENTS = int(os.environ.get("EXPERIMENTS_FAULT_EVENTS", "2400"))
KILLS = 3
WORKER = """
import asyncio, sys
from chassis.db import database
from experiments.clients.streams import streams_at
from experiments.jobs import Absorber
from experiments.store.work import sql_work

async def main(database_url, redis_url):
    async with database(database_url, "experiments") as sessions, streams_at(redis_url) as stream:
        absorber = Absorber(sql_work(sessions, lambda: None), stream, pause=0.01)
        print("up", flush=True)
        await absorber.run()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def stream(redis_url):
    async with streams_at(redis_url) as stream:
        await stream._redis.delete(*(f"{PREFIX}{shard}" for shard in range(SHARDS)))
        yield stream
        await stream._redis.delete(*(f"{PREFIX}{shard}" for shard in range(SHARDS)))


async def worker(database_url, redis_url):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, database_url, redis_url,
        stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert (await process.stdout.readline()).strip() == b"up"
    return process


async def test_killed_workers_and_redelivery_equal_a_recount(
    open_work, stream, running, tenant, history_of, cells, same, database_url, redis_url
):
    """Shuffled, 2 % twice, through the stream and the inbox, workers killed, then all of it delivered once more."""
    history = history_of(running, tenant, EVENTS // 4)
    dice = random.Random(3)
    batches = list(shuffled(history, dice))
    process = await worker(database_url, redis_url)
    every = max(1, len(batches) // KILLS)
    for number, parcels in enumerate(batches):
        await deliver(open_work, stream, parcels, durable=dice.random() < 0.2)
        if number % every == every - 1:
            process.send_signal(signal.SIGKILL)
            await process.wait()
            process = await worker(database_url, redis_url)
    for parcels in batches:
        await stream.put(parcels)
    async with asyncio.timeout(60 + EVENTS / 500):
        while await waiting(open_work, stream):
            await asyncio.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await drained(open_work, stream)
    same(await cells(open_work, running), history.recount())


async def deliver(open_work, stream, parcels, *, durable):
    if not durable:
        await stream.put(parcels)
        return
    async with open_work() as work:
        await work.intake.leave(parcels)


async def drained(open_work, stream):
    for shard in range(SHARDS):
        await absorbed(open_work, stream, shard)
    assert await waiting(open_work, stream) == set()


def shuffled(history, dice):
    """Yield the parcels of batches in any order, 2 % of the items twice."""
    items = [(it, True) for it in history.exposures] + [(it, False) for it in history.events]
    items += dice.choices(items, k=len(items) // 50)
    dice.shuffle(items)
    size = max(100, len(items) // 40)
    for at in range(0, len(items), size):
        batch = items[at : at + size]
        exposures = [it for it, exposed in batch if exposed]
        events = [it for it, exposed in batch if not exposed]
        yield [*Rows().exposures(exposures), *Rows().events(events)]
