"""How many events a second become part of the results, exactly once.

    python -m yard with --database-only -- python benchmarks/experiments_ingest.py [events] [units]

Reads TEST_DATABASE_URL and TEST_REDIS_URL; everything is real: validation and packing as at the door, Valkey's streams,
the worker's transactions in PostgreSQL. Exposures go first, then events of four metrics in batches of 5,000, 2 % of
them twice. Prints each storey by itself (wall clock, and processor time of this process), then both at once, then how
long a new event takes until a result has it, and how long harm to a guardrail until the guard has paused it. The
targets: 40,000 events/s, visible within 2 s, paused within 30 s.
"""

import asyncio
import os
import random
import statistics
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import orjson
from sqlalchemy import text

from chassis.db import database
from experiments.clients.streams import streams_at
from experiments.domain.analysis import MetricRole, MetricUse
from experiments.domain.experiment import Experiment, Status
from experiments.domain.intake import event_of, exposure_of, sifted
from experiments.domain.metric import Definition, Denominator, Metric, MetricKind
from experiments.jobs import Absorber, Guard
from experiments.store.packing import Rows
from experiments.store.work import sql_work
from schemas.migrate import migrate

EVENTS = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
UNITS = int(sys.argv[2]) if len(sys.argv) > 2 else 50_000
BATCH = 5_000
NOW = datetime.now(UTC)
START = NOW - timedelta(days=10)
K = MetricKind
METRICS = {
    "any": Definition(kind=K.PROPORTION, event="buy"),
    "spent": Definition(kind=K.MEAN, event="buy", high=1000.0, lookback=86_400),
    "opens": Definition(kind=K.COUNT, event="open", window_length=7 * 86_400),
    "each": Definition(kind=K.RATIO, event="buy", denominator=Denominator("open")),
}


async def prepare(work, tenant):
    """Make an experiment that has run for ten days."""
    experiment = Experiment(
        id=uuid4(), tenant=tenant, key="bench", name="Bench", owner_id="ana", created_at=START,
        updated_at=START, status=Status.ACTIVE, started_at=START, phase=1,
        metrics=tuple(MetricUse(key=key) for key in METRICS),
    )  # fmt: skip
    async with work() as it:
        for key, definition in METRICS.items():
            await it.metrics.add(
                Metric(
                    id=uuid4(),
                    tenant=tenant,
                    key=key,
                    name=key,
                    owner_id="ana",
                    definition=definition,
                    created_at=START,
                    updated_at=START,
                )
            )
        await it.experiments.add(experiment)
    return experiment


def lines(dice, count, name="e"):
    """Return the bodies of batches of events, as lines of JSON."""
    items = []
    for number in range(count):
        at = START + timedelta(seconds=dice.randrange(9 * 86_400))
        items.append(
            {
                "event_id": f"{name}-{number}",
                "unit": f"user-{dice.randrange(UNITS)}",
                "name": dice.choice(("buy", "open", "open", "scroll")),
                "value": round(dice.lognormvariate(3, 1), 2),
                "timestamp": at.isoformat(),
            }
        )
    items += dice.choices(items, k=count // 50)
    dice.shuffle(items)
    return [
        b"\n".join(map(orjson.dumps, items[at : at + BATCH])) for at in range(0, len(items), BATCH)
    ]


def shown(tenant, trial, dice):
    """Return exposures of all units."""
    for number in range(UNITS):
        yield exposure_of(
            tenant,
            {
                "experiment": "bench",
                "variant": dice.choice(("control", "treatment")),
                "unit": f"user-{number}",
                "timestamp": (START + timedelta(seconds=dice.randrange(86_400))).isoformat(),
                "properties": {"country": dice.choice(("DE", "FR", "US"))},
            },
            NOW,
            {"bench": trial},
        )


class Meter:
    """Rates, with the processor time of this process and of all of PostgreSQL's (the machine may be shared)."""

    def __init__(self, backend):
        fields = Path(f"/proc/{backend}/stat").read_text().rpartition(")")[2].split()
        self._postmaster = int(fields[1])
        self.begin()

    def begin(self):
        """Start the watch."""
        self._was = time.perf_counter(), time.process_time(), self._database()

    def told(self, name, count):
        """Print a rate since the beginning."""
        wall, ours, theirs = (
            now - was
            for now, was in zip(
                (time.perf_counter(), time.process_time(), self._database()), self._was, strict=True
            )
        )
        each = f"{1e6 * ours / count:>8.1f} + {1e6 * theirs / count:.1f} µs"
        print(f"{name:<46}{count / wall:>10,.0f}/s {each} of processors each, ours + PostgreSQL's")

    def _database(self):
        """Return the seconds of the server, of its children, and of those that have ended."""
        ticks = 0
        children = Path(f"/proc/{self._postmaster}/task/{self._postmaster}/children").read_text()
        for pid in (self._postmaster, *map(int, children.split())):
            with suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:15] if pid == self._postmaster else fields[11:13]))
        return ticks / os.sysconf("SC_CLK_TCK")


def taken(tenant, body):
    """Do what the door does with a body of lines."""
    items = [orjson.loads(line) for line in body.splitlines()]
    good, bad = sifted(items, lambda item: event_of(tenant, item, NOW))
    assert not bad
    return Rows().events(good)


async def backend(sessions):
    """Return the process id of our connection to PostgreSQL."""
    async with sessions() as session:
        return await session.scalar(text("SELECT pg_backend_pid()"))


async def drain(work, stream):
    """Absorb until nothing waits, as the service does: two shards at a time."""
    absorber = Absorber(work, stream)
    while await absorber.round():
        pass


async def count_of(work, experiment):
    async with work() as it:
        cells = await it.trials.cells(experiment.id, "")
    return sum(c.moments.n * c.moments.mean[0] for c in cells if c.metric == 3)


async def main():
    admin = os.environ["TEST_DATABASE_URL"]
    at = admin.index("@")
    url = f"postgresql://test_experiments:test-only{admin[at:]}"
    await migrate("experiments", url, admin)
    tenant, dice = uuid4(), random.Random(1)
    async with (
        database(url, "experiments", 8) as sessions,
        streams_at(os.environ["TEST_REDIS_URL"]) as stream,
    ):
        work = sql_work(sessions, lambda: None)
        experiment = await prepare(work, tenant)
        async with work() as it:
            trial = (await it.trials.named(tenant, {"bench"}, NOW))["bench"]
        meter = Meter(await backend(sessions))
        exposures = list(shown(tenant, trial, dice))
        meter.begin()
        for at in range(0, len(exposures), BATCH):
            await stream.put(Rows().exposures(exposures[at : at + BATCH]))
        await drain(work, stream)
        meter.told("exposures, absorbed", UNITS)

        await storeys(meter, work, stream, tenant)
        again = lines(dice, EVENTS, "again")
        meter.begin()
        await both(work, stream, tenant, again)
        meter.told("events: taken and absorbed at once", EVENTS)
        await visible(work, stream, experiment, tenant)
        await harmed(work, stream, tenant)


async def storeys(meter, work, stream, tenant):
    """Print what each storey by itself does with the same events."""
    bodies = lines(random.Random(2), EVENTS)
    meter.begin()
    packed = [taken(tenant, body) for body in bodies]
    meter.told("events: read, checked and packed", EVENTS)
    meter.begin()
    for parcels in packed:
        await stream.put(parcels)
    meter.told("events: into the stream", EVENTS)
    meter.begin()
    await drain(work, stream)
    meter.told("events: absorbed by one process", EVENTS)


async def both(work, stream, tenant, bodies):
    """Take batch after batch in while a worker absorbs, and wait until it has all."""
    absorber = asyncio.create_task(Absorber(work, stream).run())
    for body in bodies:
        await stream.put(taken(tenant, body))
    while await stream.shards_waiting():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    absorber.cancel()
    with suppress(asyncio.CancelledError):
        await absorber


async def visible(work, stream, experiment, tenant):
    """Print how long a new event takes until the cells have it, with the worker's loop running."""
    absorber = Absorber(work, stream)
    loop = asyncio.create_task(absorber.run())
    times: list[float] = []
    at = (START + timedelta(days=2)).isoformat()
    for number in range(20):
        event = {"unit": "user-1", "name": "open", "sequence": number, "timestamp": at}
        before = await count_of(work, experiment)
        begun = time.perf_counter()
        await stream.put(Rows().events([event_of(tenant, event, NOW)]))
        while await count_of(work, experiment) == before:  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.01)
        times.append(time.perf_counter() - begun)
    loop.cancel()
    with suppress(asyncio.CancelledError):
        await loop
    middle, most = 1000 * statistics.median(times), 1000 * max(times)
    print(f"{'a new event, until a result has it':<46}{middle:>8.0f} ms, at most {most:.0f} ms")


async def harmed(work, stream, tenant):
    """Print how long harm takes, from its last event at the door until the experiment is PAUSED."""
    times: list[float] = []
    for number in range(3):
        experiment = await guarded(work, tenant, f"harmful-{number}")
        jobs = [Absorber(work, stream), Guard(work, lambda: datetime.now(UTC))]
        tasks = [asyncio.create_task(job.run()) for job in jobs]
        async with work() as it:
            trial = (await it.trials.named(tenant, {experiment.key}, NOW))[experiment.key]
        seen, done = harm(tenant, trial)
        await stream.put(Rows().exposures(seen))
        await stream.put(Rows().events(done))
        begun = time.perf_counter()
        while await status(work, tenant, experiment.key) is not Status.PAUSED:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        times.append(time.perf_counter() - begun)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    middle, most = statistics.median(times), max(times)
    print(f"{'harm, until the guard has paused':<46}{middle:>8.1f} s, at most {most:.1f} s")


async def guarded(work, tenant, key):
    """Make an experiment with the guardrail that nobody should open."""
    experiment = Experiment(
        id=uuid4(), tenant=tenant, key=key, name=key, owner_id="ana", created_at=START,
        updated_at=START, status=Status.ACTIVE, started_at=START, phase=1,
        metrics=(MetricUse(key="any", role=MetricRole.GUARDRAIL, more_is_better=False),),
    )  # fmt: skip
    async with work() as it:
        await it.experiments.add(experiment)
    return experiment


def harm(tenant, trial):
    """Return the exposures of 4,000 units, and one event of every fifth in control, of every second in treatment."""
    at = (NOW - timedelta(minutes=5)).isoformat()
    seen, done = [], []
    for number in range(4_000):
        unit, treated = f"{trial.key}/{number}", number % 2
        said = {"experiment": trial.key, "unit": unit, "timestamp": at}
        said["variant"] = trial.variants[treated]
        seen.append(exposure_of(tenant, said, NOW, {trial.key: trial}))
        if number // 2 % (2 if treated else 5) == 0:
            later = NOW.isoformat()
            done.append(event_of(tenant, {"unit": unit, "name": "buy", "timestamp": later}, NOW))
    return seen, done


async def status(work, tenant, key):
    """Return how far an experiment has come."""
    async with work() as it:
        return (await it.experiments.find(tenant, key)).status


asyncio.run(main())
