"""What somebody did past the API: nothing falls, the last good is served, the neighbours go on (R6, R13, R14)."""

import json
import os
import re
import time
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.newcomer import registered
from tests.waiting import until

pytestmark = pytest.mark.journey


@pytest.fixture
async def database():
    """The administrator's own way to the platform's database."""
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    yield connection
    await connection.close()


@pytest.fixture
async def org(platform):
    """An organization with a flag that is on, and a client with a key."""
    await until(platform.healthy, 30)
    async with httpx.AsyncClient(base_url=platform.url, timeout=15) as web:
        await registered(web)
        for key in ("good", "poisoned"):
            flag = await web.post("/api/v1/feature-flags", json={"key": key, "name": key})
            web.flag = f"/api/v1/feature-flags/{flag.raise_for_status().json()['id']}"
            (await web.post(f"{web.flag}/enable", json={})).raise_for_status()
        key = (await web.post("/api/v1/api-keys", json={"name": "k"})).raise_for_status().json()
        async with httpx.AsyncClient(
            base_url=platform.url, timeout=15, headers={"x-api-key": key["key"]}
        ) as web.sdk:
            await until(lambda: is_on(web, "poisoned"), 15)
            yield web


async def is_on(org, key):
    body = {"context": {"targetingKey": "u"}}
    answer = await org.sdk.post(f"/ofrep/v1/evaluate/flags/{key}", json=body)
    return answer.status_code == 200 and answer.json()["value"] is True


async def gauge(platform, service, name):
    """Return the sum of a metric of a service over its labels."""
    return await gauge_at(platform.http(service), name)


async def gauge_at(url, name):
    """Return the sum of a metric of the process at a place."""
    async with httpx.AsyncClient() as web:
        text = (await web.get(f"{url}/metrics")).raise_for_status().text
    return sum(
        float(v) for v in re.findall(rf"^{name}(?:{{.*}})? ([0-9.e+]+)$", text, re.MULTILINE)
    )


async def test_a_fact_that_cannot_be_read_is_parked_and_its_neighbours_go_on(
    platform, org, database, finding
):
    """The row stands in the queue before the neighbours; the log refuses it until it is put aside."""
    row = "INSERT INTO flags.outbox (event_id, body) VALUES ($1, $2) RETURNING seq"
    seq = await database.fetchval(row, uuid4(), json.dumps({"tenant": "nobody", "action": 7}))
    begun = time.monotonic()
    (await org.post(f"{org.flag}/toggle", json={"reason": "next in line"})).raise_for_status()

    async def there():
        listed = await org.get("/api/v1/audit-logs", params={"entity_type": "feature_flag"})
        return "next in line" in [e["reason"] for e in listed.json()["items"]]

    await until(there, 10)
    late = time.monotonic() - begun
    assert late < 2
    assert await until(lambda: parked(database, seq), 5)
    await until(lambda: above(platform, "flags", "outbox_parked_facts"), 10)
    await database.execute("DELETE FROM flags.outbox WHERE seq = $1", seq)
    finding(
        "R14",
        "a row that audit refuses, in front of a toggle's",
        f"parked; the toggle's entry was seen after {late:.2f} s",
    )


async def parked(database, seq):
    said = await database.fetchrow(
        "SELECT parked_at, trouble FROM flags.outbox WHERE seq = $1", seq
    )
    return said["trouble"] if said["parked_at"] else None


async def above(platform, service, name):
    return await gauge(platform, service, name) > 0


async def test_a_flag_that_somebody_ruined_in_the_database_is_served_as_it_last_was(
    platform, org, database, finding
):
    before = platform.pid("flags")
    ruined = json.dumps([{"if": {"operator": "no such thing", "deep": [[[]]] * 9}}, None, 1e300])
    flag = org.flag.rpartition("/")[2]
    changed = await database.execute(
        "UPDATE flags.switch SET targeting = $2::json WHERE flag_id = $1::uuid", flag, ruined
    )
    assert changed != "UPDATE 0"
    begun = time.monotonic()
    await org.post(
        "/api/v1/feature-flags", json={"key": "another", "name": "A new ruleset is read"}
    )
    await until(lambda: above(platform, "flags", "flags_refused"), 15)
    alarm = time.monotonic() - begun
    for key in ("good", "poisoned") * 20:
        assert await is_on(org, key)
    assert platform.pid("flags") == before
    await database.execute(
        "UPDATE flags.switch SET targeting = NULL WHERE flag_id = $1::uuid", flag
    )
    finding(
        "R13",
        "rules of no known form written by SQL",
        f"both flags served, 0 restarts, alarm after {alarm:.1f} s",
    )


async def test_a_flushed_redis_loses_nothing_that_is_served(platform, org, finding):
    from redis import asyncio as redis

    async with redis.from_url(os.environ["REDIS_URL"]) as store:
        await store.flushall()
    bad = [key for key in ("good", "poisoned") * 50 if not await is_on(org, key)]
    begun = time.monotonic()
    (await org.post(f"{org.flag}/disable", json={"reason": "after the flush"})).raise_for_status()

    async def off():
        return not await is_on(org, "poisoned")

    await until(off, 10)
    assert bad == []
    finding(
        "R6",
        "FLUSHALL",
        f"0 of 100 evaluations failed; the next change was served after {time.monotonic() - begun:.2f} s",
    )
