"""People, a clock that stands, and an in-memory stand-in for the ports of experiments."""

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from chassis.caller import Caller
from chassis.errors import Unavailable
from chassis.http import Wiring, rest_app
from chassis.identity import NoCredential
from chassis.pages import Slice, cut
from experiments.api.rest import routers
from experiments.domain.errors import ChangedMeanwhile, KeyTaken, MetricKeyTaken
from experiments.domain.experiment import Experiment
from experiments.domain.metric import Metric
from experiments.domain.moves import due_at, settled
from experiments.domain.trial import Cell, Frozen, Trial
from experiments.ports import Absorbed
from experiments.store.packing import Rows
from experiments.usecases.experiments import Draft, Experiments, Schedules
from experiments.usecases.intake import Intakes
from experiments.usecases.metrics import Metrics
from experiments.usecases.results import Results

VERBS = ("read", "create", "update", "delete", "schedule", "process")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class MemoryBook:
    """The experiment book in memory: the same contract as the one in PostgreSQL."""

    def __init__(self):
        self.kept: dict[UUID, Experiment] = {}

    async def find(self, tenant, name):
        for it in self.kept.values():
            if it.tenant == tenant and name in (it.key, str(it.id)):
                return it
        return None

    take = find

    async def list(self, tenant, wanted):
        def value(it):
            return (getattr(it, wanted.sort.removeprefix("-")), it.id)

        def position(it):
            said, it_id = value(it)
            return (said.isoformat() if isinstance(said, datetime) else said, str(it_id))

        down = wanted.sort.startswith("-")
        found = sorted(
            (
                it
                for it in self.kept.values()
                if it.tenant == tenant
                and self._fits(it, wanted)
                and wanted.owner_id in (None, it.owner_id)
            ),
            key=value,
            reverse=down,
        )
        total, ask = len(found), wanted.ask
        if ask.after:
            place = next((i for i, it in enumerate(found) if position(it) == ask.after), None)
            found = found[place + 1 :]
        rows = found[ask.offset : ask.offset + ask.limit + 1]
        items, after = cut(rows, ask.limit, position)
        return Slice(items=items, next=after, total=total)

    def _fits(self, it, wanted):
        text = wanted.search.lower()
        hit = any(text in said.lower() for said in (it.key, it.name, it.description))
        return hit and wanted.status in (None, settled(it, wanted.now).status)

    async def add(self, experiment):
        if await self.find(experiment.tenant, experiment.key):
            raise KeyTaken(experiment.key)
        self.kept[experiment.id] = experiment

    async def put(self, before, after):
        if self.kept[before.id].version != before.version:
            raise ChangedMeanwhile(before.key)
        self.kept[after.id] = after

    async def remove(self, experiment):
        del self.kept[experiment.id]

    async def take_due(self, now, tenant):
        due = [it for it in self.kept.values() if tenant in (None, it.tenant) and due_at(it)]
        first = min(due, key=due_at, default=None)
        return first if first and due_at(first) <= now else None

    async def next_due(self):
        return min((due_at(it) for it in self.kept.values() if due_at(it)), default=None)


class MemoryMetrics:
    """The metric book in memory: the same contract as the one in PostgreSQL."""

    def __init__(self):
        self.kept: dict[UUID, Metric] = {}
        self.running: dict[str, list[str]] = {}

    async def find(self, tenant, name):
        for it in self.kept.values():
            if it.tenant == tenant and name in (it.key, str(it.id)):
                return it
        return None

    take = find

    async def list(self, tenant, wanted):
        found = [
            it
            for it in self.kept.values()
            if it.tenant == tenant
            and wanted.owner_id in (None, it.owner_id)
            and wanted.kind in (None, it.definition.kind)
            and any(
                wanted.search.lower() in said.lower() for said in (it.key, it.name, it.description)
            )
        ]
        field = wanted.sort.removeprefix("-")
        found.sort(key=lambda it: (getattr(it, field), it.id), reverse=wanted.sort.startswith("-"))

        def position(it):
            said = getattr(it, field)
            return (said.isoformat() if isinstance(said, datetime) else said, str(it.id))

        total, ask = len(found), wanted.ask
        if ask.after:
            found = found[[position(it) for it in found].index(ask.after) + 1 :]
        items, after = cut(found[ask.offset : ask.offset + ask.limit + 1], ask.limit, position)
        return Slice(items=items, next=after, total=total)

    async def add(self, metric):
        if await self.find(metric.tenant, metric.key):
            raise MetricKeyTaken(metric.key)
        self.kept[metric.id] = metric

    async def put(self, metric):
        self.kept[metric.id] = metric

    async def remove(self, metric):
        del self.kept[metric.id]

    async def running_with(self, metric):
        return self.running.get(metric.key, [])


class MemoryTrials:
    """Experiments as their data see them, as a test lays them out."""

    def __init__(self):
        self.kept: list[Trial] = []
        self.metrics: list[Frozen] = []
        self.laid: dict[str, list[Cell]] = {}

    async def named(self, tenant, names, now):
        found = {n: it for it in self.kept for n in (it.key, str(it.id)) if it.tenant == tenant}
        return {name: found[name] for name in names if name in found}

    async def definitions(self, experiment):
        return self.metrics

    async def frozen(self, experiment):
        return self.metrics

    async def cells(self, experiment, dimension):
        return self.laid.get(dimension, [])

    async def dimensions(self, experiment):
        return sorted(self.laid.keys() - {"", "day"})

    async def guarded(self, now):
        return self.kept


class MemoryIntake:
    """The inbox and the shards in memory; what is absorbed is counted."""

    def __init__(self):
        self.left, self.laid, self.frozen = [], [], {}
        self.held = set()
        self.unfrozen = []

    async def hold(self, shard):
        return shard not in self.held

    async def leave(self, parcels):
        self.left += parcels

    async def take(self, shard, most):
        mine = [p for p in self.left if p.shard == shard]
        self.left = [p for p in self.left if p.shard != shard]
        return mine

    async def shards_waiting(self):
        return {p.shard for p in self.left}

    async def lay_out(self, parcels):
        self.laid += parcels
        return self.unfrozen

    async def freeze(self, experiment, metrics):
        self.frozen[experiment] = metrics

    async def absorb(self):
        return Absorbed(events=len(self.laid), exposures=0, cells=0)


class MemoryStream:
    """A stream in memory, which can be away."""

    def __init__(self):
        self.kept = []
        self.away = False

    def _ask(self):
        if self.away:
            raise Unavailable("Redis does not answer")

    async def put(self, parcels):
        self._ask()
        self.kept += parcels

    async def read(self, shard, most):
        self._ask()
        return [p for p in self.kept if p.shard == shard]

    async def drop(self, shard, parcels):
        self._ask()
        self.kept = [p for p in self.kept if p not in parcels]

    async def shards_waiting(self):
        self._ask()
        return {p.shard for p in self.kept}


class MemoryWork:
    """A transaction in memory: what is changed is put back when the block fails."""

    def __init__(self):
        self.experiments = MemoryBook()
        self.metrics = MemoryMetrics()
        self.trials = MemoryTrials()
        self.intake = MemoryIntake()
        self.facts = []
        self.leads = True

    async def lead(self, seconds):
        return self.leads

    def record(self, fact):
        self.facts.append(fact)

    @asynccontextmanager
    async def __call__(self):
        kept, facts = dict(self.experiments.kept), len(self.facts)
        try:
            yield self
        except BaseException:
            self.experiments.kept = kept
            del self.facts[facts:]
            raise

    @property
    def actions(self):
        return [fact.action for fact in self.facts]


class Clock:
    """A clock that stands until it is set forward."""

    def __init__(self, at=NOON):
        self.at = at

    def __call__(self):
        return self.at

    def forward(self, **by):
        self.at += timedelta(**by)
        return self.at


class Names:
    """An identity that reads a name off the header instead of a credential."""

    def __init__(self, *callers):
        self._known = {caller.subject: caller for caller in callers}

    async def of(self, headers):
        said = headers.get("authorization", "").removeprefix("Bearer ")
        if said not in self._known:
            raise NoCredential("an access token or an API key is needed")
        return self._known[said]


@pytest.fixture(scope="session")
def database_url(service_url):
    """The URL of a migrated schema of experiments."""
    return service_url("experiments")


@pytest.fixture
def work():
    return MemoryWork()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tenant():
    return uuid4()


@pytest.fixture
def ana(tenant):
    """Somebody who may do everything in her tenant."""
    return Caller(
        subject="ana",
        tenant=tenant,
        name="Ana",
        permissions=frozenset(f"experiment:{verb}" for verb in VERBS)
        | frozenset(f"metric:{verb}" for verb in ("read", "create", "update", "delete"))
        | {"event:create", "exposure:create"},
    )


@pytest.fixture
def vera(ana):
    """A colleague who may only read."""
    return replace(ana, subject="vera", permissions=frozenset({"experiment:read", "metric:read"}))


@pytest.fixture
def nora(ana):
    """A colleague who may nothing."""
    return replace(ana, subject="nora", permissions=frozenset())


@pytest.fixture
def otto(ana):
    """Somebody with every permission, in another tenant."""
    return replace(ana, subject="otto", tenant=uuid4())


@pytest.fixture
def experiments(work, clock):
    return Experiments(work, clock, uuid4)


@pytest.fixture
def schedules(work, clock):
    return Schedules(work, clock)


@pytest.fixture
def metrics(work, clock):
    return Metrics(work, clock, uuid4)


@pytest.fixture
def stream():
    return MemoryStream()


@pytest.fixture
def intakes(work, stream, clock):
    return Intakes(work, stream, Rows(), clock, lambda: None)


@pytest.fixture
def results(work, clock):
    return Results(work, clock)


@pytest.fixture
async def draft(experiments, ana, work):
    made = await experiments.create(ana, Draft(key="checkout", name="New checkout"))
    work.facts.clear()
    return made


@pytest.fixture
def identity(ana, vera, nora, otto):
    return Names(ana, vera, nora, otto)


@pytest.fixture
async def client(experiments, schedules, metrics, intakes, results, identity):
    """Ana, before the real REST doors."""
    uses = {
        Experiments: experiments,
        Schedules: schedules,
        Metrics: metrics,
        Intakes: intakes,
        Results: results,
    }
    app = rest_app("experiments", routers, Wiring(identity=identity, uses=uses))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://test",
        headers={"authorization": "Bearer ana"},
    ) as client:
        yield client
