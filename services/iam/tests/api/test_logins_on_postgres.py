"""Logins as they are: the app in process, its transactions on a real PostgreSQL."""

import asyncio
import secrets
import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from argon2 import PasswordHasher
from sqlalchemy import text
from uuid_utils.compat import uuid7

from chassis.db import database
from chassis.http import Wiring, rest_app
from iam.api.rest import routers
from iam.api.tokens import Cookies
from iam.clients.passwords import PooledPasswords, hasher_for
from iam.clients.throttle import MemoryThrottle
from iam.ports import Means
from iam.store.work import sql_work
from iam.usecases.logins import Logins
from iam.usecases.opening import Opening

pytestmark = pytest.mark.store
PASSWORD = "correct horse battery"


async def _at_once(_):
    pass


@dataclass
class Clock:
    ahead: timedelta = timedelta()

    def __call__(self):
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def sessions(service_url):
    url = await asyncio.to_thread(service_url, "iam")
    async with database(url, "iam") as opened:
        yield opened


@pytest.fixture
def passwords():
    made = PooledPasswords(hasher_for("test"))
    yield made
    made.close()


@pytest.fixture
def replica(iam, make, sessions, passwords, clock):
    """Return the maker of clients of one more replica of iam."""
    means = Means(clock, uuid7, lambda: secrets.token_urlsafe(32))
    work = sql_work(sessions, make.issuer, lambda: None, lambda: None, _at_once)

    def client():
        opening = Opening(make.issuer, iam.ring, means)
        logins = Logins(work, passwords, MemoryThrottle(), opening)
        wiring = Wiring(uses={type(use): use for use in (logins, Cookies(secure=False))})
        transport = httpx.ASGITransport(rest_app("iam", routers, wiring))
        return httpx.AsyncClient(transport=transport, base_url="http://iam.test", timeout=60)

    client.work = work
    return client


@pytest.fixture
async def people(replica, make):
    """Store users whose password is PASSWORD, hashed cheaply."""
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    tenant = make.tenant()

    async def of(count):
        users = [make.user(tenant=tenant.id, password=hashed) for _ in range(count)]
        async with replica.work() as work:
            await work.tenants.put(tenant)
            for user in users:
                await work.users.put(user)
        return users

    return of


async def login(web, user):
    said = await web.post("/api/v1/login", json={"user": user.email, "password": PASSWORD})
    assert said.status_code == 200, said.text
    return said.json()["refresh_token"]


def refresh(web, token):
    return web.post("/api/v1/auth/refresh", json={"refresh_token": token})


async def test_a_hundred_refreshes_of_one_token_on_two_replicas_are_one(replica, people, sessions):
    (user,) = await people(1)
    async with replica() as one, replica() as two:
        token = await login(one, user)
        answers = await asyncio.gather(*(refresh(web, token) for web in (one, two) * 50))
        assert [a.status_code for a in answers] == [200] * 100
        assert len({a.json()["refresh_token"] for a in answers}) == 1
        again = await refresh(two, token)
        assert again.json()["refresh_token"] == answers[0].json()["refresh_token"]
    async with sessions() as session:
        query = text(
            "SELECT count(DISTINCT s.id), count(*) FROM iam.session s"
            " JOIN iam.refresh_token t ON t.session = s.id WHERE s.user = :user"
        )
        assert (await session.execute(query, {"user": user.id})).one() == (1, 2)


async def test_every_token_that_opens_nothing_is_refused_alike(replica, people, clock):
    used, idle, foreign = await people(3)
    async with replica() as web:
        tokens = [await login(web, user) for user in (used, idle, foreign)]
        successor = (await refresh(web, tokens[0])).json()["refresh_token"]
        clock.ahead = timedelta(seconds=11)
        refused = [await refresh(web, tokens[0])]  # reused: late, so the whole family ends
        refused.append(await refresh(web, successor))
        clock.ahead = timedelta(days=30, seconds=1)
        refused.append(await refresh(web, tokens[1]))  # expired
        refused.append(await refresh(web, "x" * 43))  # somebody else's
        refused.append(await refresh(web, tokens[2] + "x"))
    assert [a.status_code for a in refused] == [401] * 5
    assert {a.json()["code"] for a in refused} == {"iam.bad_refresh_token"}
    assert {a.headers["content-type"] for a in refused} == {"application/problem+json"}
    assert len({a.json()["detail"] for a in refused}) == 1


async def test_what_becomes_of_a_family_is_said_in_facts(replica, people, clock, sessions):
    (user,) = await people(1)
    async with replica() as web:
        token = await login(web, user)
        await refresh(web, token)
        clock.ahead = timedelta(seconds=11)
        await asyncio.gather(*(refresh(web, token) for _ in range(10)))
    async with sessions() as session:
        found = await session.execute(
            text("SELECT body->>'action' FROM iam.outbox WHERE body->>'tenant' = :t"),
            {"t": str(user.tenant)},
        )
        actions = [action for (action,) in found]
    assert actions.count("session.refresh_reused") == 1


async def test_an_unknown_name_takes_as_long_as_a_wrong_password(replica, people):
    """Interleaved, so that what else the machine does falls on both alike; each name once, so nothing is throttled.

    The hash is cheap here and equal for both, so what is compared is everything around it.
    """
    known = await people(60)
    times = {"known": [], "unknown": []}
    async with replica() as web:
        for user in known:
            for kind, name in (("known", user.email), ("unknown", f"{uuid4().hex}@acme.test")):
                begun = time.perf_counter()
                said = await web.post("/api/v1/login", json={"user": name, "password": "wrong"})
                times[kind].append(time.perf_counter() - begun)
                assert said.status_code == 401
    medians = {kind: statistics.median(taken) for kind, taken in times.items()}
    assert 0.5 < medians["known"] / medians["unknown"] < 2.0, medians
