"""flags' use-cases on fakes of everything that they ask of the world (see `fakes/`), and people who use them."""

from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID, uuid4

import pytest

from chassis.caller import Caller
from flags.domain.place import Place
from flags.usecases.allocations import Allocations
from flags.usecases.clockwork import Clockwork
from flags.usecases.emergency import Emergency
from flags.usecases.exchange import Exchange
from flags.usecases.explaining import Explaining
from flags.usecases.flags import Flags
from flags.usecases.guarding import Guarding
from flags.usecases.projects import Projects
from flags.usecases.requests import ChangeRequests
from flags.usecases.revisions import Revisions
from flags.usecases.rollouts import Rollouts
from flags.usecases.rulesets import Rulesets
from flags.usecases.schedules import Schedules
from flags.usecases.segments import Segments
from flags.usecases.usage import Counting, Usages
from services.flags.tests.fakes.plans import KnownAuthors, KnownPeople, Lab
from services.flags.tests.fakes.work import MemoryWork

DAWN = datetime(2026, 1, 1, tzinfo=UTC)


EVERYTHING = frozenset({"experiment:read"}) | frozenset(
    f"{kind}:{verb}"
    for kind in ("flag", "segment", "environment")
    for verb in ("read", "create", "update", "delete", "toggle", "evaluate")
)


@pytest.fixture
def work():
    return MemoryWork()


@pytest.fixture
def ana():
    return Caller(
        subject=str(uuid4()), tenant=uuid4(), permissions=EVERYTHING, name="ana", credential="s1"
    )


@pytest.fixture
def here(ana):
    return Place(ana.tenant, "default", "production")


@pytest.fixture
def clock():
    ticks = count()
    return lambda: DAWN + timedelta(seconds=next(ticks))


@pytest.fixture
def new_id():
    numbers = count(1)
    base = uuid4().int >> 32 << 32
    return lambda: UUID(int=base + next(numbers))


@pytest.fixture
def flags(work, clock, new_id):
    return Flags(work, clock, new_id)


@pytest.fixture
def projects(work, clock, new_id):
    return Projects(work, clock, new_id)


@pytest.fixture
def segments(work, clock, new_id):
    return Segments(work, clock, new_id)


@pytest.fixture
def revisions(work, clock, new_id):
    return Revisions(work, clock, new_id)


@pytest.fixture
def allocations(work, clock, new_id):
    return Allocations(work, clock, new_id)


@pytest.fixture
def explaining(work, rulesets, clock, new_id):
    return Explaining(work, work, rulesets.seen, clock, new_id)


@pytest.fixture
def identity(ana):
    return KnownPeople(ana=ana)


@pytest.fixture
def rulesets(work):
    return Rulesets(work)


@pytest.fixture
def usages(work, clock, new_id):
    return Usages(work, clock, new_id)


@pytest.fixture
def counting(rulesets, work, clock):
    return Counting(rulesets, work, clock)


@pytest.fixture
def schedules(work, clock, new_id):
    return Schedules(work, clock, new_id)


@pytest.fixture
def rollouts(work, clock, new_id):
    return Rollouts(work, clock, new_id)


@pytest.fixture
def emergency(work, clock, new_id):
    return Emergency(work, clock, new_id)


@pytest.fixture
def requests(work, clock, new_id):
    return ChangeRequests(work, clock, new_id)


@pytest.fixture
def exchange(work, clock, new_id):
    return Exchange(work, clock, new_id)


@pytest.fixture
def authors(ana):
    return KnownAuthors(ana)


@pytest.fixture
def clockwork(work, authors, clock, new_id):
    return Clockwork(work, authors, clock, new_id)


@pytest.fixture
def lab():
    return Lab()


@pytest.fixture
def guarding(clockwork, lab):
    return Guarding(clockwork, lab)
