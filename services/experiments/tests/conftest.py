"""experiments' use-cases on fakes of everything that they ask of the world (see `fakes/`), and people who use them."""

from dataclasses import replace
from uuid import uuid4

import httpx
import pytest

from chassis.caller import Caller
from chassis.http import Wiring, rest_app
from experiments.api.rest import routers
from experiments.api.result_rendering import Documents
from experiments.store.packing import Rows
from experiments.usecases.experiments import Draft, Experiments, Schedules
from experiments.usecases.history import History
from experiments.usecases.intake import Intakes
from experiments.usecases.layers import Holdouts, Layers
from experiments.usecases.metrics import Metrics
from experiments.usecases.reports import Reports
from experiments.usecases.results import Results
from services.experiments.tests.fakes.intake import MemoryFlags, MemoryStream
from services.experiments.tests.fakes.work import MemoryWork
from tests.standing import Clock, Names

VERBS = ("read", "create", "update", "delete", "schedule", "process")


READS = frozenset({"experiment:read", "metric:read", "report:read"})


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
