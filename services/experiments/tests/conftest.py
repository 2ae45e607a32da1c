"""People, a clock that stands, and an in-memory stand-in for the ports of experiments."""

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from chassis.caller import Caller
from chassis.http import Wiring, rest_app
from chassis.identity import NoCredential
from chassis.pages import Slice, cut
from experiments.api.rest import routers
from experiments.domain.errors import ChangedMeanwhile, KeyTaken, MetricKeyTaken
from experiments.domain.experiment import Experiment
from experiments.domain.metric import Metric
from experiments.domain.moves import due_at, settled
from experiments.usecases.experiments import Draft, Experiments, Schedules
from experiments.usecases.metrics import Metrics

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


class MemoryWork:
    """A transaction in memory: what is changed is put back when the block fails."""

    def __init__(self):
        self.experiments = MemoryBook()
        self.metrics = MemoryMetrics()
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
        | frozenset(f"metric:{verb}" for verb in ("read", "create", "update", "delete")),
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
async def draft(experiments, ana, work):
    made = await experiments.create(ana, Draft(key="checkout", name="New checkout"))
    work.facts.clear()
    return made


@pytest.fixture
def identity(ana, vera, nora, otto):
    return Names(ana, vera, nora, otto)


@pytest.fixture
async def client(experiments, schedules, metrics, identity):
    """Ana, before the real REST doors."""
    uses = {Experiments: experiments, Schedules: schedules, Metrics: metrics}
    app = rest_app("experiments", routers, Wiring(identity=identity, uses=uses))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://test",
        headers={"authorization": "Bearer ana"},
    ) as client:
        yield client
