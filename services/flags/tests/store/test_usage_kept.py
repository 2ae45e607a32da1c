"""Counts, once on the memory and once on PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flags.domain.flag import Change, Draft, Lifecycle
from flags.domain.place import Place
from flags.domain.usage import Count, Period, Served, Slot
from flags.usecases.flags import Aim

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = Period(since=NOON - 12 * HOUR, until=NOON + 12 * HOUR)


@pytest.fixture
async def flag(flags, ana, here):
    await flags.create(ana, here, Draft(key="g", name="G"))
    return await flags.create(ana, here, Draft(key="f", name="F"))


async def home(store, here):
    async with store.work() as work:
        return (await work.projects.get(here.tenant, "default")).environment("production")


async def count(store, *slots):
    async with store.work() as work:
        await work.usage.count(slots)


def slot(here, hour=NOON, variant="on", flag="f"):
    return Slot(here, Served(flag, variant, "SPLIT"), hour)


async def test_counts_add_up(store, flag, here):
    await count(store, (slot(here), 2), (slot(here, variant="off"), 1))
    await count(store, (slot(here), 3), (slot(here, NOON - HOUR), 1))
    environment = await home(store, here)
    async with store.work() as work:
        by_hour = await work.usage.of_flag(flag, environment, DAY)
        by_day = await work.usage.of_flag(flag, environment, replace(DAY, by="day"))
        last = await work.usage.last(flag, environment)
    assert by_hour == [
        Count(NOON - HOUR, "on", "SPLIT", 1),
        Count(NOON, "off", "SPLIT", 1),
        Count(NOON, "on", "SPLIT", 5),
    ]
    assert [(c.variant, c.count) for c in by_day] == [("off", 1), ("on", 6)]
    assert last == NOON


async def test_replicas_that_count_the_same_at_once_lose_nothing(store, flag, here):
    some = [(slot(here, variant=v), 1) for v in ("a", "b", "c")]
    await asyncio.gather(*(count(store, *some[n % 3 :], *some[: n % 3]) for n in range(6)))
    async with store.work() as work:
        found = await work.usage.of_flag(flag, await home_in(work, here), DAY)
    assert [(c.variant, c.count) for c in found] == [("a", 6), ("b", 6), ("c", 6)]


async def home_in(work, here):
    return (await work.projects.get(here.tenant, "default")).environment("production")


async def test_counts_of_nobodys_flag_and_of_another_tenant_are_left_out(store, flag, here, new_id):
    elsewhere = Place(new_id(), "default", "production")
    await count(store, (slot(here, flag="gone"), 1), (slot(elsewhere), 1))
    environment = await home(store, here)
    async with store.work() as work:
        assert await work.usage.of_flag(flag, environment, DAY) == []
        assert await work.usage.lately(environment, NOON) == []
        assert await work.usage.begun(environment) is None


async def test_late_use_knows_the_variants_of_lately_and_the_last_hour_of_all(store, flag, here):
    await count(store, (slot(here, NOON - 48 * HOUR, "off"), 1), (slot(here), 1))
    environment = await home(store, here)
    async with store.work() as work:
        [used] = await work.usage.lately(environment, NOON - HOUR)
        assert (used.flag_id, used.variants, used.last) == (flag.id, {"on"}, NOON)
        [old] = await work.usage.lately(environment, NOON + HOUR)
        assert old.variants == frozenset()
        assert await work.usage.begun(environment) == NOON - 48 * HOUR


async def test_what_is_too_old_or_belongs_to_nothing_is_forgotten(store, flags, flag, ana, here):

    await count(
        store, (slot(here, NOON - 48 * HOUR), 1), (slot(here), 1), (slot(here, flag="g"), 1)
    )
    await flags.delete(ana, Aim(flag="g", place=here))
    async with store.work() as work:
        await work.usage.forget(NOON - HOUR)
    environment = await home(store, here)
    week = Period(since=NOON - 168 * HOUR, until=NOON + HOUR)
    async with store.work() as work:
        assert [c.at for c in await work.usage.of_flag(flag, environment, week)] == [NOON]
        assert [u.flag_id for u in await work.usage.lately(environment, NOON)] == [flag.id]


async def test_stale_counts_as_served_and_archived_does_not(store, flags, flag, ana, here):

    for key, lifecycle in (("f", Lifecycle.STALE), ("g", Lifecycle.ARCHIVED)):
        change = Change(flag={"lifecycle": lifecycle})
        await flags.update(ana, Aim(flag=key, place=here), change)
    assert [row.key for row in (await store.shelf.read(here)).rows] == ["f"]
    async with store.work() as work:
        project = await work.projects.get(here.tenant, "default")
        assert [f.key for f in await work.flags.served(project, None)] == ["f"]
        assert await work.flags.served(project, "somebody else") == []
