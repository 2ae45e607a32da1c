"""Two schedulers on one PostgreSQL: each move happens once, whoever is frozen or dies in between."""

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select

from chassis.db import database
from chassis.errors import Unavailable
from experiments.domain.experiment import Experiment, Status
from experiments.domain.schedule import Plan
from experiments.jobs import Scheduler
from experiments.store.tables import Outbox
from experiments.store.work import sql_work
from experiments.usecases.experiments import overdue

pytestmark = pytest.mark.store


@pytest.fixture
async def sessions(database_url):
    async with database(database_url, "experiments") as sessions:
        yield sessions


@pytest.fixture
async def due(sessions, tenant, clock):
    """An experiment whose start has come and that nobody has moved yet."""
    schedule = Plan(start="2026-06-01T13:00").scheduled(clock())
    it = Experiment(
        id=uuid4(),
        tenant=tenant,
        key="checkout",
        name="Checkout",
        owner_id="ana",
        schedule=schedule,
        created_at=clock(),
        updated_at=clock(),
    )
    async with sql_work(sessions, lambda: None)() as work:
        await work.experiments.add(it)
    clock.forward(hours=1)
    return it


class Frozen:
    """Opens works that stand still after everything is done and before the commit, until they are thawed."""

    def __init__(self, sessions):
        self._open = sql_work(sessions, lambda: None)
        self.reached, self.thawed, self.pid = asyncio.Event(), asyncio.Event(), 0

    @asynccontextmanager
    async def __call__(self):
        async with self._open() as work:
            self.pid = await work._session.scalar(select(func.pg_backend_pid()))
            yield work
            self.reached.set()
            await self.thawed.wait()


async def surely(work, now, tenant):
    """Do what is due; ask again when the database is too busy to give a connection within its two seconds."""
    while True:
        with suppress(Unavailable):
            return await overdue(work, now, tenant)


async def facts_of(sessions, tenant):
    async with sessions() as session:
        bodies = (await session.scalars(select(Outbox.body).order_by(Outbox.seq))).all()
    return [body["action"] for body in bodies if body["tenant"] == str(tenant)]


async def state_of(sessions, due):
    async with sql_work(sessions, lambda: None)() as work:
        it = await work.experiments.find(due.tenant, due.key)
    return it.status, it.version


async def test_while_one_is_frozen_before_its_commit_the_other_passes_over(
    sessions, due, clock, tenant
):
    frozen, awake = Frozen(sessions), sql_work(sessions, lambda: None)
    sleeper = asyncio.create_task(overdue(frozen, clock(), tenant))
    await frozen.reached.wait()
    assert await surely(awake, clock(), tenant) == []
    frozen.thawed.set()
    assert len(await sleeper) == 1
    assert await surely(awake, clock(), tenant) == []
    assert await state_of(sessions, due) == (Status.ACTIVE, 2)
    assert await facts_of(sessions, tenant) == ["experiment.started"]


async def test_when_one_dies_before_its_commit_the_other_makes_the_move(
    sessions, due, clock, tenant
):
    frozen, awake = Frozen(sessions), sql_work(sessions, lambda: None)
    sleeper = asyncio.create_task(overdue(frozen, clock(), tenant))
    await frozen.reached.wait()
    async with sessions() as session:
        assert await session.scalar(select(func.pg_terminate_backend(frozen.pid, 5000)))
    moved = await surely(awake, clock(), tenant)
    frozen.thawed.set()
    with pytest.raises(Unavailable):
        await sleeper
    assert [step.move.name for step in moved] == ["start"]
    assert await state_of(sessions, due) == (Status.ACTIVE, 2)
    assert await facts_of(sessions, tenant) == ["experiment.started"]


async def test_many_schedulers_at_once_make_each_move_once(sessions, due, clock, tenant):
    works = [sql_work(sessions, lambda: None) for _ in range(8)]
    found = await asyncio.gather(*(surely(work, clock(), tenant) for work in works))
    assert sum(len(steps) for steps in found) == 1
    assert await facts_of(sessions, tenant) == ["experiment.started"]


async def test_of_two_replicas_one_has_the_lease_until_it_lapses(sessions):
    async def leads(holder, seconds):
        async with sql_work(sessions, lambda: None, holder)() as work:
            return await work.lead(seconds)

    assert [await leads("one", 30), await leads("other", 30)] == [True, False]
    assert [await leads("one", -1), await leads("other", -1)] == [True, True]


async def test_a_running_scheduler_makes_a_move_at_its_date(sessions, tenant):
    """The real loop, on the real clock: woken by the commit that set the date, it is there when the date comes."""

    def now():
        return datetime.now(UTC)

    scheduler = Scheduler(sql_work(sessions, lambda: None), now, interval=900)
    running = asyncio.create_task(scheduler.run())
    start = (now() + timedelta(seconds=1)).isoformat()
    it = Experiment(
        id=uuid4(),
        tenant=tenant,
        key="checkout",
        name="Checkout",
        owner_id="ana",
        schedule=Plan(start=start).scheduled(now()),
        created_at=now(),
        updated_at=now(),
    )
    async with sql_work(sessions, lambda: None)() as work:
        await work.experiments.add(it)
    scheduler.wake()
    try:
        async with asyncio.timeout(60):
            while await state_of(sessions, it) != (Status.ACTIVE, 2):
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert await facts_of(sessions, tenant) == ["experiment.started"]
