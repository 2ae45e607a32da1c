"""An experiment with a metric of every kind, histories of units by dice, and the recount of them."""

import asyncio
import json
import random
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from chassis.db import database
from chassis.errors import Unavailable
from experiments.domain.aggregation import Event, counted, values
from experiments.domain.analysis import MetricUse
from experiments.domain.experiment import Experiment, Status, Variant
from experiments.domain.inference import histogram, moments
from experiments.domain.inference.moments import nothing
from experiments.domain.intake import SeenEvent, SeenExposure, unit_of
from experiments.domain.metric import (
    Definition,
    Denominator,
    Metric,
    MetricKind,
    Winsorised,
    measure,
)
from experiments.store.work import sql_work

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
        self.exposures, self.events, self.same = [], [], {}
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

    def join(self, unit, other):
        """Say that a unit is another one; what is one already stays so."""
        unit, other = self.same.get(unit, unit), self.same.get(other, other)
        if unit != other:
            self.same = {it: other if last == unit else last for it, last in self.same.items()}
            self.same[unit] = other

    def recount(self, closes=None):
        """Count everything again from nothing, by the rules of the domain; return key → moments."""
        met, events = defaultdict(list), defaultdict(list)
        for seen in self.exposures:
            met[self.same.get(seen.unit, seen.unit)].append(seen)
        for event in self.events:
            at = EPOCH + timedelta(microseconds=event.at)
            unit = self.same.get(event.unit, event.unit)
            events[unit].append(Event(event.name, at, event.value))
        cells = defaultdict(list)
        for unit, seen in met.items():
            first = min(seen, key=lambda it: (it.at, it.dimensions.encode()))
            crossed = len({it.variant for it in seen}) > 1
            before = [it for it in events[unit] if closes is None or it.at < closes]
            for key, value in self._places(first, before, crossed=crossed):
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


@pytest.fixture(scope="session")
def definitions():
    """The metrics of the experiment, by key."""
    return DEFINITIONS


@pytest.fixture(scope="session")
def history_of():
    """The maker of histories: (experiment, tenant, units) → what they saw and did."""
    return History


@pytest.fixture(scope="session")
def cells():
    """The reader of cells, in the form of a recount."""
    return cells_of


@pytest.fixture(scope="session")
def same():
    """The judge: the same units exactly, everything else to 1e-12."""
    return assert_same


async def tried_again(do):
    """Do what may be done again until a busy database has answered: as a worker and a client do it."""
    for _ in range(9):
        with suppress(Unavailable):
            return await do()
        await asyncio.sleep(0)
    return await do()


@pytest.fixture(scope="session")
def again():
    """The one who tries again."""
    return tried_again
