"""One store in two forms: the memory that other tests run on, and PostgreSQL."""

from types import SimpleNamespace

import pytest
from uuid_utils.compat import uuid7

from chassis.db import database
from flags.store.shelf import SqlShelf
from flags.store.work import sql_work
from flags.usecases.clockwork import Clockwork
from flags.usecases.emergency import Emergency
from flags.usecases.exchange import Exchange
from flags.usecases.explaining import Explaining
from flags.usecases.flags import Flags
from flags.usecases.projects import Projects
from flags.usecases.requests import ChangeRequests
from flags.usecases.revisions import Revisions
from flags.usecases.rollouts import Rollouts
from flags.usecases.schedules import Schedules
from flags.usecases.segments import Segments

KINDS = [pytest.param("memory"), pytest.param("postgres", marks=pytest.mark.store)]


@pytest.fixture(scope="session")
def flags_url(service_url):
    return service_url("flags")


@pytest.fixture
async def sessions(flags_url):
    async with database(flags_url, "flags", pool=10) as opened:
        yield opened


@pytest.fixture(params=KINDS)
def store(request, work):
    """A store: the opener of work, the shelf, and what was announced."""
    if request.param == "memory":
        return SimpleNamespace(work=work, shelf=work, told=work.told)
    sessions, told = request.getfixturevalue("sessions"), []
    news = SimpleNamespace(tell=lambda place, revision: told.append((place, revision)))
    work = sql_work(sessions, lambda: None, news)
    return SimpleNamespace(work=work, shelf=SqlShelf(sessions), told=told)


@pytest.fixture
def flags(store, clock):
    return Flags(store.work, clock, uuid7)


@pytest.fixture
def projects(store, clock):
    return Projects(store.work, clock, uuid7)


@pytest.fixture
def segments(store, clock):
    return Segments(store.work, clock, uuid7)


@pytest.fixture
def revisions(store, clock):
    return Revisions(store.work, clock, uuid7)


@pytest.fixture
def explaining(store, clock):
    return Explaining(store.work, store.shelf, lambda place: (), clock, uuid7)


@pytest.fixture
def schedules(store, clock):
    return Schedules(store.work, clock, uuid7)


@pytest.fixture
def rollouts(store, clock):
    return Rollouts(store.work, clock, uuid7)


@pytest.fixture
def emergency(store, clock):
    return Emergency(store.work, clock, uuid7)


@pytest.fixture
def requests(store, clock):
    return ChangeRequests(store.work, clock, uuid7)


@pytest.fixture
def exchange(store, clock):
    return Exchange(store.work, clock, uuid7)


@pytest.fixture
def clockwork(store, authors, clock):
    return Clockwork(store.work, authors, clock, uuid7)
