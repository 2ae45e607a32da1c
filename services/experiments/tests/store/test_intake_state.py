"""Whatever order and however often data come in, the cells are what counting everything again gives."""

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from chassis.db import database
from experiments.domain.analysis import MetricRole, MetricUse
from experiments.domain.intake import (
    MOST_NAMES,
    MOST_VALUES,
    REST,
    SHARDS,
    SeenEvent,
    SeenExposure,
    unit_of,
)
from experiments.domain.metric import (
    Definition,
    MetricKind,
)
from experiments.store.packing import Rows
from experiments.store.tables import PhaseRow
from services.experiments.tests.store.conftest import tried_again
from tests.waiting import until

pytestmark = pytest.mark.store
START = datetime(2026, 5, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(at):
    return (at - EPOCH) // timedelta(microseconds=1)


async def hold(work, shard):
    """Lock a shard as soon as no test beside this one has it."""
    await until(lambda: work.intake.hold(shard), 30, "the shard is free")


async def absorb(open_work, parcels):
    """Absorb parcels of any shards, as a worker does."""
    done = []
    for shard in range(SHARDS):
        mine = [p for p in parcels if p.shard == shard]
        if not mine:
            continue
        done.append(await tried_again(lambda at=shard, it=mine: absorb_into(open_work, at, it)))
    return done


async def absorb_into(open_work, shard, parcels):
    """Absorb parcels of one shard in a transaction."""
    async with open_work() as work:
        await hold(work, shard)
        for experiment in await work.intake.lay_out(parcels):
            found = await work.trials.definitions(experiment)
            await work.intake.freeze(experiment, found)
        return await work.intake.absorb()


def shuffled(history, seed):
    """Return the items of a history in any order, 2 % of them twice, cut into batches."""
    dice = random.Random(seed)
    items = [*history.exposures, *history.events]
    items += dice.choices(items, k=len(items) // 50)
    dice.shuffle(items)
    while items:
        size = dice.randrange(1, 1 + max(len(items), 20) // 3)
        yield items[:size]
        items = items[size:]


def packed(items):
    exposures = [it for it in items if isinstance(it, SeenExposure)]
    events = [it for it in items if isinstance(it, SeenEvent)]
    return [*Rows().exposures(exposures), *Rows().events(events)]


@pytest.mark.parametrize("seed", [1, 2])
async def test_any_order_and_doubles_equal_a_recount(
    open_work, running, tenant, seed, history_of, cells, same
):
    history = history_of(running, tenant, 150)
    for batch in shuffled(history, seed):
        await absorb(open_work, packed(batch))
    same(await cells(open_work, running), history.recount())


async def test_everything_sent_again_changes_nothing(open_work, running, tenant, history_of, cells):
    history = history_of(running, tenant, 50)
    parcels = packed([*history.events, *history.exposures])
    await absorb(open_work, parcels)
    before = await cells(open_work, running)
    again = await absorb(open_work, parcels)
    assert {(it.events, it.exposures, it.cells) for it in again} == {(0, 0, 0)}
    assert await cells(open_work, running) == before


async def test_units_that_turn_out_to_be_others_leave_nothing_behind(
    open_work, running, tenant, history_of, cells, same
):
    history = history_of(running, tenant, 120)
    dice = random.Random(5)
    names = [unit_of(tenant, f"user-{number}") for number in range(120)]
    dice.shuffle(names)
    pairs = [
        *zip(names[:30], names[30:60], strict=True),
        (names[30], names[0]),
        (names[1], names[70]),
    ]
    for batch in shuffled(history, 9):
        await absorb(open_work, packed(batch))
        for _ in range(min(12, len(pairs))):
            unit, other = pairs.pop()
            async with open_work() as work:
                await work.intake.join(unit, other)
            history.join(unit, other)
    for unit, other in pairs:
        async with open_work() as work:
            await work.intake.join(unit, other)
        history.join(unit, other)
    assert len(history.same) == 31
    same(await cells(open_work, running), history.recount())


async def test_units_are_joined_once(open_work, running, tenant, cells):
    ana, anon = unit_of(tenant, "ana"), unit_of(tenant, "anon")
    seen = [SeenExposure(running.id, it, 0, 1, micros(START), "{}") for it in (ana, anon)]
    await absorb(open_work, packed(seen))
    async with open_work() as work:
        assert await work.intake.join(anon, ana)
        assert not await work.intake.join(anon, ana)
        assert not await work.intake.join(ana, anon)
    await absorb(open_work, packed(seen))
    assert (await cells(open_work, running))[0, 1, 0, "", "", 0].n == 1


async def test_an_event_waits_for_its_exposure(open_work, running, tenant, cells):
    unit = unit_of(tenant, "ana")
    later = micros(START + timedelta(days=1))
    event = SeenEvent(unit, 1, "buy", later, 20.0, '{"sku": 1}')
    await absorb(open_work, packed([event]))
    assert await cells(open_work, running) == {}
    await absorb(open_work, packed([SeenExposure(running.id, unit, 1, 1, micros(START), "{}")]))
    found = await cells(open_work, running)
    assert found[2, 1, 1, "", "", 0].mean == (20.0, 1.0, -0.0, 0.0)


async def test_an_earlier_exposure_that_comes_late_moves_the_window(
    open_work, running, tenant, cells
):
    unit = unit_of(tenant, "ana")
    day = timedelta(days=1)
    bought = SeenEvent(unit, 1, "buy", micros(START + 2 * day), 20.0, None)
    late = SeenExposure(running.id, unit, 0, 1, micros(START + 3 * day), "{}")
    early = SeenExposure(running.id, unit, 0, 1, micros(START + day), "{}")
    await absorb(open_work, packed([bought, late]))
    assert (await cells(open_work, running))[1, 1, 0, "", "", 0].mean[0] == 0.0
    await absorb(open_work, packed([early]))
    found = await cells(open_work, running)
    assert found[1, 1, 0, "", "", 0].mean[0] == 1.0
    assert (1, 1, 0, "day", "2026-05-04", 0) not in found


async def test_a_unit_in_two_variants_is_taken_out_and_counted(open_work, running, tenant, cells):
    unit = unit_of(tenant, "ana")
    for variant in (0, 1, 1, 0):
        seen = SeenExposure(running.id, unit, variant, 1, micros(START), "{}")
        await absorb(open_work, packed([seen]))
    await absorb(open_work, packed([SeenEvent(unit, 1, "buy", micros(START), 1.0, None)]))
    found = await cells(open_work, running)
    assert {key: it.n for key, it in found.items()} == {(0, -1, "", "", 0): 1}


async def test_a_metric_that_is_changed_later_is_measured_as_it_was(
    open_work, running, tenant, definitions
):
    unit = unit_of(tenant, "ana")
    await absorb(open_work, packed([SeenExposure(running.id, unit, 0, 1, micros(START), "{}")]))
    async with open_work() as work:
        metric = await work.metrics.take(tenant, "any")
        assert await work.metrics.running_with(metric) == ["checkout"]
        other = Definition(kind=MetricKind.PROPORTION, event="noise")
        await work.metrics.put(metric.changed({"definition": other}, START))
    async with open_work() as work:
        frozen = {it.key: it.definition for it in await work.trials.frozen(running.id)}
    assert frozen == definitions


async def test_parcels_in_the_inbox_are_taken_once_and_in_order(open_work, tenant):
    unit = unit_of(tenant, "ana")
    events = [SeenEvent(unit, n, "buy", n, 1.0, None) for n in range(3)]
    shard = unit[0] % SHARDS
    for event in events:
        async with open_work() as work:
            await work.intake.leave(Rows().events([event]))
    async with open_work() as work:
        assert shard in await work.intake.shards_waiting()
        await hold(work, shard)
        first = await work.intake.take(shard, 2)
        rest = await work.intake.take(shard, 10_000)
    bodies = [Rows().events([event])[0].body for event in events]
    assert [p.body for p in [*first, *rest] if p.body in bodies] == bodies


async def test_a_dimension_keeps_so_many_values_and_counts_the_others_together(
    open_work, running, tenant, cells
):
    def seen(number, variant=0, at=START):
        said = json.dumps({"os": "web", "session": f"s-{number:03}"})
        unit = unit_of(tenant, f"user-{number}")
        return SeenExposure(running.id, unit, variant, 1, micros(at), said)

    async def counted():
        found = await cells(open_work, running)
        return {k[4]: it.n for k, it in found.items() if k[0] == 0 and k[3] == "session"}

    await absorb(open_work, packed([seen(n) for n in range(MOST_VALUES - 10)]))
    await absorb(open_work, packed([seen(n) for n in range(MOST_VALUES + 20)]))
    before = await counted()
    assert (len(before), before.pop(REST)) == (MOST_VALUES + 1, 20)
    assert set(before.values()) == {1}
    named = {int(value[2:]) for value in before}
    late = [n for n in range(MOST_VALUES + 20) if n not in named]
    await absorb(open_work, packed([seen(late[0], 1), seen(late[1], 0, START - timedelta(1))]))
    after = await counted()
    assert after.pop(REST) == 19
    assert after == before
    whole = (await cells(open_work, running))[0, 1, 0, "os", "web", 0]
    assert whole.n == MOST_VALUES + 19


async def test_an_experiment_keeps_so_many_dimensions_and_leaves_later_ones_out(
    open_work, running, tenant, cells
):
    """Whoever may expose, with a browser's key too, could otherwise make cells without end."""

    def seen(number, names, variant=0):
        said = json.dumps({name: "x" for name in names})
        unit = unit_of(tenant, f"user-{number}")
        return SeenExposure(running.id, unit, variant, 1, micros(START), said)

    async def counted():
        found = await cells(open_work, running)
        return {k[3]: it.n for k, it in found.items() if k[0] == 0 and k[3] not in ("", "day")}

    await absorb(open_work, packed([seen(n, [f"d{n:02}", "os"]) for n in range(MOST_NAMES - 3)]))
    await absorb(open_work, packed([seen(50 + n, [f"e{n}", "os"]) for n in range(4)]))
    before = await counted()
    late = [n for n in range(4) if f"e{n}" not in before]
    assert (len(before), len(late), before["os"]) == (MOST_NAMES, 2, MOST_NAMES + 1)
    await absorb(open_work, packed([seen(50 + late[0], [f"e{late[0]}", "os"], variant=1)]))
    assert await counted() == {**before, "os": MOST_NAMES}
    async with open_work() as work:
        assert set(await work.trials.dimensions(running.id)) == before.keys()


@pytest.mark.parametrize("role", ["guardrail", "deterioration", "information"])
async def test_whoever_names_what_must_not_be_harmed_is_guarded(open_work, running, role):
    use = MetricUse(key="any", role=MetricRole(role))
    guarded = replace(running, metrics=(use,), version=running.version + 1)
    async with open_work() as work:
        await work.experiments.put(running, guarded)
        found = {trial.id for trial in await work.trials.guarded(START)}
    assert (running.id in found) == (role != "information")


async def test_a_shard_is_held_by_one_worker_at_a_time(open_work):
    async with open_work() as mine:
        await hold(mine, 3)
        async with open_work() as other:
            assert not await other.intake.hold(3)
    async with open_work() as other:
        await hold(other, 3)


async def test_trials_are_found_by_key_and_id_in_their_tenant_only(open_work, running, tenant):
    names = {"checkout", str(running.id), "none"}
    async with open_work() as work:
        found = await work.trials.named(tenant, names, START + timedelta(days=1))
        abroad = await work.trials.named(uuid4(), names, START)
    assert found.keys() == {"checkout", str(running.id)}
    assert found["checkout"].variants == ("control", "b", "c")
    assert found["checkout"].span_at(START + timedelta(hours=1)).number == 2
    assert abroad == {}


async def test_phases_end_when_the_clock_says_so(database_url, open_work, running, tenant):
    async with database(database_url, "experiments") as sessions, sessions.begin() as session:
        from sqlalchemy import delete

        await session.execute(delete(PhaseRow).where(PhaseRow.experiment_id == running.id))
    async with open_work() as work:
        trial = (await work.trials.named(tenant, {"checkout"}, START))["checkout"]
    assert [span.number for span in trial.spans] == [2]
    assert trial.span_at(START - timedelta(seconds=1)) is None
    assert isinstance(trial.id, UUID)
