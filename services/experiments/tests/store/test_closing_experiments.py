"""A result ends with its experiment: what units do from then on does not count, whoever was how late with what."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest
from sqlalchemy import text

from chassis.db import database
from experiments.domain.intake import SeenEvent, SeenExposure, unit_of
from experiments.domain.moves import MOVES, moved, scheduled
from experiments.domain.schedule import Moment, Schedule
from experiments.store.packing import Rows
from experiments.usecases.intake import absorbed
from experiments.usecases.keeping import forget, keep
from services.experiments.tests.fakes.intake import MemoryStream
from tests.waiting import until

pytestmark = pytest.mark.store
START = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
END = START + 12 * DAY


def micros(at):
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.fixture
def take_in(open_work, again):
    """Take items in, and absorb whatever waits in the database, as a worker does."""

    async def left(*items):
        exposures = [it for it in items if isinstance(it, SeenExposure)]
        events = [it for it in items if isinstance(it, SeenEvent)]
        async with open_work() as work:
            await work.intake.leave([*Rows().exposures(exposures), *Rows().events(events)])

    async def nothing_waits():
        async with open_work() as work:
            waiting = await work.intake.shards_waiting()
        for shard in waiting:
            await again(lambda it=shard: absorbed(open_work, MemoryStream(), it))
        return not waiting

    async def take_in(*items):
        if items:
            await again(lambda: left(*items))
        await until(lambda: again(nothing_waits), 120, "everything is absorbed")

    return take_in


@pytest.fixture
def change(open_work, again):
    """Change an experiment as a person or the clock does."""

    async def once(before, after):
        async with open_work() as work:
            if (await work.experiments.find(after.tenant, after.key)).version == before.version:
                await keep(work, before, after, "ana")

    async def change(before, after):
        await again(lambda: once(before, after))
        return after

    return change


async def test_what_comes_after_the_end_does_not_count_and_what_was_late_does(
    open_work, running, tenant, history_of, cells, same, take_in, change
):
    history = history_of(running, tenant, 150)
    history.exposures = [it for it in history.exposures if it.at < micros(END)]
    half = len(history.events) // 2
    await take_in(*history.exposures[::2], *history.events[:half])
    await change(running, moved(running, MOVES["complete"], END))
    await take_in(*history.exposures[1::2], *history.events[half:])
    same(await cells(open_work, running), history.recount(END))
    await take_in(*history.exposures, *history.events)
    same(await cells(open_work, running), history.recount(END))


async def test_a_date_counts_before_the_scheduler_has_written_it_down_and_moves_both_ways(
    open_work, running, tenant, history_of, cells, same, take_in, change
):
    history = history_of(running, tenant, 100)
    history.exposures = [it for it in history.exposures if it.at < micros(END - 4 * DAY)]
    moment = Moment(at=END, wall=END.replace(tzinfo=None))
    paused = moved(running, MOVES["pause"], START)
    dated = scheduled(paused, Schedule(end=moment, set_at=START, begun=True), START)
    await change(running, dated)
    await take_in(*history.exposures, *history.events)
    same(await cells(open_work, running), history.recount(END))
    earlier = END - 3 * DAY
    sooner = replace(dated.schedule, end=Moment(at=earlier, wall=earlier.replace(tzinfo=None)))
    moved_up = await change(dated, scheduled(dated, sooner, START))
    await take_in()
    same(await cells(open_work, running), history.recount(earlier))
    await change(moved_up, scheduled(moved_up, None, START))
    await take_in()
    same(await cells(open_work, running), history.recount())


async def test_units_that_are_joined_after_the_end_count_until_the_end(
    open_work, running, tenant, cells, take_in, change
):
    ana, anon = unit_of(tenant, "ana"), unit_of(tenant, "anon")
    bought = [SeenEvent(anon, n, "buy", micros(START + n * DAY), 20.0, None) for n in (2, 4, 20)]
    await take_in(SeenExposure(running.id, ana, 0, 1, micros(START), "{}"), *bought)
    await change(running, moved(running, MOVES["complete"], END))
    async with open_work() as work:
        await work.intake.join(anon, ana)
    assert (await cells(open_work, running))[2, 1, 0, "", "", 0].mean[0] == 40.0


async def test_the_result_says_until_when_it_counts(open_work, running, tenant, change):
    done = await change(running, moved(running, MOVES["complete"], END))
    async with open_work() as work:
        trial = (await work.trials.named(tenant, {done.key}, END + DAY))[done.key]
    assert trial.closes == END


async def test_an_experiment_that_is_gone_is_measured_no_more(
    open_work, database_url, running, tenant, cells, take_in, change
):
    unit, other = unit_of(tenant, "ana"), unit_of(tenant, "bob")
    seen = SeenExposure(running.id, unit, 0, 1, micros(START), "{}")
    await take_in(seen, SeenEvent(unit, 1, "buy", micros(START + DAY), 20.0, None))
    done = await change(running, moved(running, MOVES["complete"], END))
    async with open_work() as work:
        await forget(work, done, END)
    await take_in(
        SeenExposure(running.id, other, 0, 1, micros(START), "{}"),
        SeenEvent(unit, 2, "buy", micros(START + 2 * DAY), 20.0, None),
    )
    assert await cells(open_work, running) == {}
    async with database(database_url, "experiments") as sessions, sessions() as session:
        left = "SELECT count(*) FROM {} WHERE experiment = :it"
        for table in ("source", "measure"):
            counted = text(left.format(table))
            assert await session.scalar(counted, {"it": running.id}) == 0, table


async def test_the_migration_knows_the_end_of_what_has_ended(
    open_work, database_url, running, tenant, take_in, change
):
    """What was written before the column was there: an end, and sources that do not say so."""
    known = import_module("experiments.migrations.versions.0008_closes_that_are_known")
    await take_in(SeenExposure(running.id, unit_of(tenant, "ana"), 0, 1, micros(START), "{}"))
    await change(running, moved(running, MOVES["complete"], END))
    mine, it = "experiment = :it", {"it": running.id}
    async with database(database_url, "experiments") as sessions, sessions() as session:
        await session.execute(text(f"UPDATE source SET closes = NULL WHERE {mine}"), it)
        fill = f"UPDATE source SET {known.CLOSES} WHERE ({known.NOT_YET}) AND {mine}"
        await session.execute(text(fill), it)
        found = await session.scalars(text(f"SELECT DISTINCT closes FROM source WHERE {mine}"), it)
        assert found.all() == [micros(END)]
