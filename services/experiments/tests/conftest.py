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
from experiments.api.result_rendering import Documents
from experiments.domain.errors import (
    ChangedMeanwhile,
    HoldoutKeyTaken,
    KeyTaken,
    LayerKeyTaken,
    MetricKeyTaken,
)
from experiments.domain.experiment import Experiment
from experiments.domain.metric import Metric
from experiments.domain.moves import due_at, settled
from experiments.domain.report import Access
from experiments.domain.trial import Cell, Frozen, Trial
from experiments.ports.assigning import Taken
from experiments.ports.measuring import Absorbed
from experiments.store.packing import Rows
from experiments.usecases.experiments import Draft, Experiments, Schedules
from experiments.usecases.history import History
from experiments.usecases.intake import Intakes
from experiments.usecases.layers import Holdouts, Layers
from experiments.usecases.metrics import Metrics
from experiments.usecases.reports import Reports
from experiments.usecases.results import Results

VERBS = ("read", "create", "update", "delete", "schedule", "process")
READS = frozenset({"experiment:read", "metric:read", "report:read"})
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


class MemoryPhases:
    """The phase book in memory."""

    def __init__(self):
        self.kept = {}

    async def open(self, phase):
        self.kept[phase.experiment_id, phase.number] = phase

    async def close(self, experiment, at):
        for key, phase in self.kept.items():
            if key[0] == experiment and phase.ended_at is None:
                self.kept[key] = phase.over(at)

    async def of(self, experiment):
        return [phase for key, phase in sorted(self.kept.items()) if key[0] == experiment]


class MemoryPlans:
    """The plan book in memory."""

    def __init__(self):
        self.kept = {}

    async def add(self, planned):
        number = len(await self.of(planned.experiment_id)) + 1
        self.kept[planned.experiment_id, number] = replace(planned, number=number)

    async def of(self, experiment):
        return [planned for key, planned in sorted(self.kept.items()) if key[0] == experiment]


class MemoryPublications:
    """What flags has to know, in memory."""

    def __init__(self):
        self.kept = {}

    async def put(self, publication):
        before = self.kept.get(publication.experiment_id, publication)
        known = replace(publication, sent=before.sent, sent_at=before.sent_at)
        self.kept[publication.experiment_id] = known

    async def of(self, experiment):
        return self.kept.get(experiment)

    async def claim(self, now, until):
        due = [it for it in self.kept.values() if it.next_at and it.next_at <= now]
        found = min(due, key=lambda it: it.next_at, default=None)
        if found:
            taken = replace(found, next_at=until, attempts=found.attempts + 1)
            self.kept[found.experiment_id] = taken
        return found

    async def sent(self, publication, at):
        it = self.kept[publication.experiment_id]
        newest = it.version == publication.version
        self.kept[it.experiment_id] = replace(
            it,
            sent=max(it.sent, publication.version),
            sent_at=at,
            next_at=None if newest else at,
            trouble="",
        )

    async def failed(self, publication, trouble, again):
        it = self.kept[publication.experiment_id]
        if it.version == publication.version and it.sent < it.version:
            self.kept[it.experiment_id] = replace(it, trouble=trouble, next_at=again)


class MemoryNamed:
    """Layers or holdouts in memory; `book` are the experiments that may name a layer."""

    def __init__(self, book, taken):
        self.kept, self._book, self._taken = {}, book, taken

    async def find(self, tenant, name):
        mine = (it for it in self.kept.values() if it.tenant == tenant)
        return next((it for it in mine if name in (it.key, str(it.id))), None)

    take = find

    async def all(self, tenant):
        return sorted((it for it in self.kept.values() if it.tenant == tenant), key=lambda i: i.id)

    async def page(self, tenant, ask):
        mine = sorted(await self.all(tenant), key=lambda it: it.key)
        rest = [it for it in mine if not ask.after or it.key > ask.after[0]][ask.offset :]
        items, after = cut(rest[: ask.limit + 1], ask.limit, lambda it: (it.key,))
        return Slice(items=items, next=after, total=len(mine))

    async def add(self, it):
        if await self.find(it.tenant, it.key):
            raise self._taken(it.key)
        self.kept[it.id] = it

    async def put(self, it):
        self.kept[it.id] = it

    async def remove(self, it):
        del self.kept[it.id]

    def _naming(self, layer):
        return [it for it in self._book.kept.values() if it.slot and it.slot.layer == layer]

    async def slots(self, layer, now):
        over = ("COMPLETED", "ARCHIVED")
        found = [it for it in self._naming(layer) if settled(it, now).status not in over]
        return sorted(((it.key, it.slot) for it in found), key=lambda one: one[1].start)

    async def named_by(self, layer):
        return sorted(it.key for it in self._naming(layer))


class MemoryReports:
    """The report book in memory."""

    def __init__(self):
        self.kept = {}

    async def find(self, tenant, report):
        found = self.kept.get(report)
        return found if found and found.tenant == tenant else None

    take = find

    async def linked(self, link):
        return next((it for it in self.kept.values() if it.link == link), None)

    async def page(self, tenant, wanted):
        def seen(it):
            shared = it.access is not Access.PRIVATE and (wanted.all_shared or it.approved)
            return wanted.everything or shared or it.owner_id == wanted.owner_id

        def position(it):
            return (it.created_at.isoformat(), str(it.id))

        ask = wanted.ask
        mine = [it for it in self.kept.values() if it.tenant == tenant and seen(it)]
        mine = [it for it in mine if wanted.experiment in (None, it.experiment_id)]
        mine.sort(key=lambda it: (it.created_at, it.id), reverse=True)
        rest = [it for it in mine if not ask.after or position(it) < ask.after][ask.offset :]
        items, after = cut(rest[: ask.limit + 1], ask.limit, position)
        return Slice(items=items, next=after, total=len(mine))

    async def add(self, report):
        self.kept[report.id] = report

    put = add

    async def remove(self, report):
        del self.kept[report.id]


class MemoryFlags:
    """Flags, as far as experiments talk to it. `fault`: what it answers instead."""

    def __init__(self):
        self.checked, self.told, self.fault = [], [], None
        self.enabled = True

    async def check(self, tenant, experiment, document):
        if self.fault:
            raise self.fault
        self.checked.append((experiment, document))
        return Taken(0, enabled=self.enabled, made=False)

    async def put(self, publication):
        if self.fault:
            raise self.fault
        self.told.append(publication)
        return Taken(publication.version, enabled=True, made=False)


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
        self.left, self.laid, self.frozen, self.joined = [], [], {}, []
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

    async def join(self, unit, same_as):
        self.joined.append((unit, same_as))
        return True

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
        self.phases = MemoryPhases()
        self.plans = MemoryPlans()
        self.publications = MemoryPublications()
        self.layers = MemoryNamed(self.experiments, LayerKeyTaken)
        self.holdouts = MemoryNamed(self.experiments, HoldoutKeyTaken)
        self.reports = MemoryReports()
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
        books = (self.experiments, self.phases, self.plans, self.publications)
        books += (self.layers, self.holdouts, self.reports)
        kept, facts = [dict(book.kept) for book in books], len(self.facts)
        try:
            yield self
        except BaseException:
            for book, before in zip(books, kept, strict=True):
                book.kept = before
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
        | frozenset(
            f"{kind}:{verb}"
            for kind in ("metric", "report")
            for verb in ("read", "create", "update", "delete")
        )
        | {"event:create", "exposure:create"},
    )


@pytest.fixture
def vera(ana):
    """A colleague who may only read."""
    return replace(ana, subject="vera", permissions=READS)


@pytest.fixture
def nora(ana):
    """A colleague who may nothing."""
    return replace(ana, subject="nora", permissions=frozenset())


@pytest.fixture
def otto(ana):
    """Somebody with every permission, in another tenant."""
    return replace(ana, subject="otto", tenant=uuid4())


@pytest.fixture
def experiments(work, flags, clock):
    return Experiments(work, flags, clock, uuid4)


@pytest.fixture
def schedules(work, flags, clock):
    return Schedules(work, flags, clock)


@pytest.fixture
def flags():
    return MemoryFlags()


@pytest.fixture
def history(work, clock):
    return History(work, clock)


@pytest.fixture
def layers(work, clock):
    return Layers(work, clock, uuid4)


@pytest.fixture
def holdouts(work, clock):
    return Holdouts(work, clock, uuid4)


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
def reports(work, results, clock):
    tokens = (f"token-number-{n}-of-this-test" for n in range(100))
    return Reports(work, Documents(results), clock, uuid4, lambda: next(tokens))


@pytest.fixture
def uses(experiments, schedules, history, metrics, layers, holdouts, intakes, results, reports):
    """Every use-case, as the doors are given it."""
    made = (experiments, schedules, history, metrics, layers, holdouts, intakes, results, reports)
    return {type(one): one for one in made}


@pytest.fixture
async def client(uses, identity):
    """Ana, before the real REST doors."""
    app = rest_app("experiments", routers, Wiring(identity=identity, uses=uses))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://test",
        headers={"authorization": "Bearer ana"},
    ) as client:
        yield client
