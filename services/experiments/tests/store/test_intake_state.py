"""Whatever order and however often data come in, the cells are what counting everything again gives."""

import json
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from chassis.db import database
from experiments.domain.aggregation import Event, counted, values
from experiments.domain.analysis import MetricUse
from experiments.domain.experiment import Experiment, Status, Variant
from experiments.domain.inference import histogram, moments
from experiments.domain.inference.moments import nothing
from experiments.domain.intake import SHARDS, SeenEvent, SeenExposure, unit_of
from experiments.domain.metric import (
    Definition,
    Denominator,
    Metric,
    MetricKind,
    Winsorised,
    measure,
)
from experiments.store.packing import Rows
from experiments.store.tables import PhaseRow
from experiments.store.work import sql_work

pytestmark = pytest.mark.store
K = MetricKind
DAY = 86_400
START = datetime(2026, 5, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DEFINITIONS = {
    "any": Definition(kind=K.PROPORTION, event="buy", window_length=7 * DAY, lookback=7 * DAY),
    "spent": Definition(kind=K.MEAN, event="buy", high=150.0, low=-5.0, lookback=30 * DAY),
    "cut": Definition(kind=K.MEAN, event="buy", winsorised=Winsorised(0.0, 0.95)),
    "opens": Definition(kind=K.COUNT, event="open", window_after=3600, window_length=DAY),
    "each": Definition(kind=K.RATIO, event="buy", denominator=Denominator("open"), lookback=DAY),
    "share": Definition(kind=K.RATIO, event="buy", denominator=Denominator("buy", summed=True)),
    "wait": Definition(kind=K.QUANTILE, event="wait", quantile=0.9),
    "back": Definition(kind=K.RETENTION, event="open", window_after=DAY, window_length=DAY),
    "path": Definition(kind=K.FUNNEL, steps=("open", "cart", "open", "buy"), window_length=5 * DAY),
}


def micros(at):
    return (at - EPOCH) // timedelta(microseconds=1)


@pytest.fixture
async def open_work(database_url):
    async with database(database_url, "experiments") as sessions:
        yield sql_work(sessions, lambda: None)


@pytest.fixture
async def running(database_url, open_work, tenant):
    """An experiment that has run for a month in two phases, with a metric of every kind."""
    experiment = Experiment(
        id=uuid4(), tenant=tenant, key="checkout", name="Checkout", owner_id="ana",
        created_at=START, updated_at=START, status=Status.ACTIVE, started_at=START, phase=2,
        metrics=tuple(MetricUse(key=key) for key in DEFINITIONS),
        variants=(Variant("control", 50_000), Variant("b", 30_000), Variant("c", 20_000)),
    )  # fmt: skip
    async with open_work() as work:
        for key, definition in DEFINITIONS.items():
            metric = Metric(
                id=uuid4(), tenant=tenant, key=key, name=key, owner_id="ana",
                definition=definition, created_at=START, updated_at=START,
            )  # fmt: skip
            await work.metrics.add(metric)
        await work.experiments.add(experiment)
    return experiment


class History:
    """What a number of units saw and did, by the dice of one seed; some saw two variants, some nothing."""

    def __init__(self, experiment, tenant, units, seed=7):
        self.experiment = experiment
        dice = random.Random(seed)
        self.exposures, self.events = [], []
        for number in range(units):
            unit = unit_of(tenant, f"user-{number}")
            self._meets(dice, unit)
            self._acts(dice, unit)

    def _meets(self, dice, unit):
        if dice.random() < 0.1:
            return
        variant = dice.choices(range(3), (5, 3, 2))[0]
        for _ in range(dice.choice((1, 1, 2, 3))):
            shown = variant if dice.random() > 0.02 else dice.randrange(3)
            at = START + timedelta(seconds=dice.randrange(20 * DAY))
            dims = {"country": dice.choice(("DE", "Ö", "US")), "os": dice.choice(("ios", "web"))}
            phase = 1 if at < START + timedelta(days=10) else 2
            said = json.dumps(dims, ensure_ascii=False) if dice.random() < 0.9 else "{}"
            seen = SeenExposure(self.experiment.id, unit, shown, phase, micros(at), said)
            self.exposures.append(seen)

    def _acts(self, dice, unit):
        for _ in range(dice.randrange(9)):
            name = dice.choice(("open", "cart", "buy", "wait", "noise"))
            at = START + timedelta(seconds=dice.randrange(-10 * DAY, 30 * DAY))
            value = round(dice.lognormvariate(3, 1), 2) * dice.choice((1, 1, 1, -1))
            number = dice.getrandbits(62)
            self.events.append(SeenEvent(unit, number, name, micros(at), value, None))

    def recount(self):
        """Count everything again from nothing, by the rules of the domain; return key → moments."""
        met, events = defaultdict(list), defaultdict(list)
        for seen in self.exposures:
            met[seen.unit].append(seen)
        for event in self.events:
            at = EPOCH + timedelta(microseconds=event.at)
            events[event.unit].append(Event(event.name, at, event.value))
        cells = defaultdict(list)
        for unit, seen in met.items():
            first = min(seen, key=lambda it: (it.at, it.dimensions.encode()))
            crossed = len({it.variant for it in seen}) > 1
            for key, value in self._places(first, events[unit], crossed=crossed):
                cells[key].append(value)
        return {key: moments.of(units) for key, units in cells.items()}

    def _places(self, first, events, *, crossed):
        at = EPOCH + timedelta(microseconds=first.at)
        slices = [("", ""), ("day", at.date().isoformat()), *json.loads(first.dimensions).items()]
        if crossed:
            yield (0, -1, "", "", 0), (0.0, 1.0, 0.0, 0.0)
            return
        found = {0: (0.0, 1.0, 0.0, 0.0)}
        for number, definition in enumerate(DEFINITIONS.values(), 1):
            it = measure(definition)
            found[number] = values(it, counted(it, at, sorted(events, key=lambda e: e.at)))
        for number, value in found.items():
            ranked = number and list(DEFINITIONS.values())[number - 1].ranked
            bucket = histogram.bucket(value[0]) if ranked else 0
            for name, said in slices:
                yield (number, first.phase, first.variant, name, said, bucket), value


async def absorb(open_work, parcels):
    """Absorb parcels of any shards, as a worker does."""
    done = []
    for shard in range(SHARDS):
        mine = [p for p in parcels if p.shard == shard]
        if not mine:
            continue
        async with open_work() as work:
            assert await work.intake.hold(shard)
            for experiment in await work.intake.lay_out(mine):
                found = await work.trials.definitions(experiment)
                await work.intake.freeze(experiment, found)
            done.append(await work.intake.absorb())
    return done


async def cells_of(open_work, experiment):
    found = {}
    async with open_work() as work:
        for name in ("", "day", *await work.trials.dimensions(experiment.id)):
            for cell in await work.trials.cells(experiment.id, name):
                if cell.variant < 0:
                    key = (0, -1, name, cell.value, 0)
                    if name == "":
                        found[key] = found.get(key, nothing()).plus(cell.moments)
                elif cell.moments.n:
                    key = (cell.metric, cell.phase, cell.variant, name, cell.value, cell.bucket)
                    found[key] = cell.moments
    return found


def assert_same(found, wanted):
    """Hold cells against a recount: the units exactly, everything else to 1e-12 of its size.

    The size of a small slice is that of its metric as a whole: what units have left in it cannot be told from rounding
    of the values that they took with them.
    """
    assert found.keys() == wanted.keys()
    sizes = _sizes(wanted)
    for key, want in wanted.items():
        have, size = found[key], sizes[key[0]]
        assert have.n == want.n, key
        for i in range(4):
            assert abs(have.mean[i] - want.mean[i]) <= 1e-12 * size[i], (key, have, want)
            for j in range(i, 4):
                room = 1e-12 * want.n * size[i] * size[j]
                assert abs(have.spread(i, j) - want.spread(i, j)) <= room, (key, i, j)


def _sizes(wanted):
    """Return for each metric the root mean square of each column over all units."""
    whole = {}
    for key, it in wanted.items():
        if key[3] == "":
            whole[key[0]] = whole.get(key[0], nothing()).plus(it)
    return {
        metric: [max(1.0, (it.spread(i, i) / it.n + it.mean[i] ** 2) ** 0.5) for i in range(4)]
        for metric, it in whole.items()
    }


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
async def test_any_order_and_doubles_equal_a_recount(open_work, running, tenant, seed):
    history = History(running, tenant, 400)
    for batch in shuffled(history, seed):
        await absorb(open_work, packed(batch))
    assert_same(await cells_of(open_work, running), history.recount())


async def test_everything_sent_again_changes_nothing(open_work, running, tenant):
    history = History(running, tenant, 50)
    parcels = packed([*history.events, *history.exposures])
    await absorb(open_work, parcels)
    before = await cells_of(open_work, running)
    again = await absorb(open_work, parcels)
    assert {(it.events, it.exposures, it.cells) for it in again} == {(0, 0, 0)}
    assert await cells_of(open_work, running) == before


async def test_an_event_waits_for_its_exposure(open_work, running, tenant):
    unit = unit_of(tenant, "ana")
    later = micros(START + timedelta(days=1))
    event = SeenEvent(unit, 1, "buy", later, 20.0, '{"sku": 1}')
    await absorb(open_work, packed([event]))
    assert await cells_of(open_work, running) == {}
    await absorb(open_work, packed([SeenExposure(running.id, unit, 1, 1, micros(START), "{}")]))
    found = await cells_of(open_work, running)
    assert found[2, 1, 1, "", "", 0].mean == (20.0, 1.0, -0.0, 0.0)


async def test_an_earlier_exposure_that_comes_late_moves_the_window(open_work, running, tenant):
    unit = unit_of(tenant, "ana")
    day = timedelta(days=1)
    bought = SeenEvent(unit, 1, "buy", micros(START + 2 * day), 20.0, None)
    late = SeenExposure(running.id, unit, 0, 1, micros(START + 3 * day), "{}")
    early = SeenExposure(running.id, unit, 0, 1, micros(START + day), "{}")
    await absorb(open_work, packed([bought, late]))
    assert (await cells_of(open_work, running))[1, 1, 0, "", "", 0].mean[0] == 0.0
    await absorb(open_work, packed([early]))
    found = await cells_of(open_work, running)
    assert found[1, 1, 0, "", "", 0].mean[0] == 1.0
    assert (1, 1, 0, "day", "2026-05-04", 0) not in found


async def test_a_unit_in_two_variants_is_taken_out_and_counted(open_work, running, tenant):
    unit = unit_of(tenant, "ana")
    for variant in (0, 1, 1, 0):
        seen = SeenExposure(running.id, unit, variant, 1, micros(START), "{}")
        await absorb(open_work, packed([seen]))
    await absorb(open_work, packed([SeenEvent(unit, 1, "buy", micros(START), 1.0, None)]))
    found = await cells_of(open_work, running)
    assert {key: it.n for key, it in found.items()} == {(0, -1, "", "", 0): 1}


async def test_a_metric_that_is_changed_later_is_measured_as_it_was(open_work, running, tenant):
    unit = unit_of(tenant, "ana")
    await absorb(open_work, packed([SeenExposure(running.id, unit, 0, 1, micros(START), "{}")]))
    async with open_work() as work:
        metric = await work.metrics.take(tenant, "any")
        assert await work.metrics.running_with(metric) == ["checkout"]
        other = Definition(kind=K.PROPORTION, event="noise")
        await work.metrics.put(metric.changed({"definition": other}, START))
    async with open_work() as work:
        frozen = {it.key: it.definition for it in await work.trials.frozen(running.id)}
    assert frozen == DEFINITIONS


async def test_parcels_in_the_inbox_are_taken_once_and_in_order(open_work, tenant):
    unit = unit_of(tenant, "ana")
    events = [SeenEvent(unit, n, "buy", n, 1.0, None) for n in range(3)]
    shard = unit[0] % SHARDS
    for event in events:
        async with open_work() as work:
            await work.intake.leave(Rows().events([event]))
    async with open_work() as work:
        assert shard in await work.intake.shards_waiting()
        assert await work.intake.hold(shard)
        first = await work.intake.take(shard, 2)
        rest = await work.intake.take(shard, 10_000)
    bodies = [Rows().events([event])[0].body for event in events]
    assert [p.body for p in [*first, *rest] if p.body in bodies] == bodies


async def test_a_shard_is_held_by_one_worker_at_a_time(open_work):
    async with open_work() as mine:
        assert await mine.intake.hold(3)
        async with open_work() as other:
            assert not await other.intake.hold(3)
    async with open_work() as other:
        assert await other.intake.hold(3)


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
