"""One store in two forms: the memory that other tests run on, and PostgreSQL."""

from datetime import timedelta
from types import SimpleNamespace

import asyncpg
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


class Hand:
    """A clock that is moved by hand."""

    def __init__(self, start):
        self.at = start

    def __call__(self):
        return self.at


@pytest.fixture
def hand(clock):
    return Hand(clock() + timedelta(days=1))


@pytest.fixture
async def alone(request, store):  # the store first: it is made outside of a running loop
    """Nobody else's clock ticks here meanwhile, and nothing is left over: the clock knows no tenants, nor tests."""
    if "postgres" not in request.node.name:
        yield
        return
    connection = await asyncpg.connect(request.getfixturevalue("flags_url"))
    try:
        await connection.execute("SELECT pg_advisory_lock(4711)")
        await connection.execute("UPDATE flags.schedule SET status = 'cancelled'")
        await connection.execute(
            "UPDATE flags.rollout SET status = 'aborted', next_at = NULL, look_at = NULL"
        )
        yield
    finally:
        await connection.close()
