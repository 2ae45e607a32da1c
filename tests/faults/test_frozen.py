"""What goes on while a part hangs (SIGSTOP: it keeps its connections and is silent), and what is said of the rest."""

import asyncio
import contextlib
import os
import signal
import time

import asyncpg
import httpx
import pytest

from authz import apikeys
from tests.faults.replicas import family, memory
from tests.faults.table import slower
from tests.newcomer import REGISTER, registration
from tests.waiting import until

pytestmark = pytest.mark.journey

EVALUATE = "/ofrep/v1/evaluate/flags/f"
CROWD = 40  # writers
GROWTH = 64  # MiB
POOL = 10  # connections of a service, the ones for a rush among them
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'flags'"


@contextlib.contextmanager
def frozen(platform, name):
    """Stop a process and its children, and let them go on afterwards."""
    pids = family(platform.pid(name))
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@pytest.fixture
async def org(platform):
    """An organization with a flag that is on, and clients with a token and with a key that is known everywhere."""
    await until(platform.healthy, 30)
    async with httpx.AsyncClient(base_url=platform.url, timeout=15) as web:

        async def there():
            answer = await web.post(REGISTER, json=registration())
            return answer.json() if answer.status_code == 201 else None

        web.headers["authorization"] = f"Bearer {(await until(there))['access_token']}"
        flag = await web.post("/api/v1/feature-flags", json={"key": "f", "name": "F"})
        web.flag = f"/api/v1/feature-flags/{flag.raise_for_status().json()['id']}"
        (await web.post(f"{web.flag}/enable", json={})).raise_for_status()
        key = (
            (await web.post("/api/v1/api-keys", json={"name": "k"}))
            .raise_for_status()
            .json()["key"]
        )
        async with httpx.AsyncClient(
            base_url=platform.url, timeout=15, headers={"x-api-key": key}
        ) as sdk:
            web.sdk = sdk
            await until(lambda: served(sdk, True), 20)
            yield web


async def served(sdk, value):
    answer = await sdk.post(EVALUATE, json={"context": {"targetingKey": "u"}})
    return answer.status_code == 200 and answer.json()["value"] is value


async def evaluates(sdk, times=100):
    """Evaluate again and again without one failure; return the slowest hundredth, in seconds."""
    took = []
    for _ in range(times):
        begun = time.monotonic()
        assert await served(sdk, True)
        took.append(time.monotonic() - begun)
    return sorted(took)[int(times * 0.99) - 1]


async def test_evaluation_goes_on_while_postgres_hangs_and_writes_are_refused_soon(
    platform, org, finding
):
    quick = await evaluates(org.sdk)
    before = memory(platform.pid("flags"), "VmRSS")
    with frozen(platform, "postgres"):
        still = await evaluates(org.sdk)
        begun = time.monotonic()
        refused = await org.post(f"{org.flag}/toggle", json={"reason": "now?"})
        late = time.monotonic() - begun
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["retry-after"]) >= 1
        crowd = [org.post(f"{org.flag}/toggle", json={"reason": "we all"}) for _ in range(CROWD)]
        assert {said.status_code for said in await asyncio.gather(*crowd)} <= {503, 504}
        await evaluates(org.sdk)

    async def writes():
        return (await org.patch(org.flag, json={"description": "again"})).status_code == 200

    async def let_go():
        there = await asyncpg.connect(os.environ["DATABASE_URL"])
        try:
            return await there.fetchval(CONNECTIONS) <= POOL
        finally:
            await there.close()

    begun = time.monotonic()
    await until(writes, 20)
    normal = time.monotonic() - begun
    await until(let_go, 60, "no more connections than the pool has")
    after = memory(platform.pid("flags"), "VmRSS")
    assert after - before < GROWTH
    finding(
        "R4",
        f"SIGSTOP to every process of PostgreSQL, 200 evaluations, a write, then {CROWD} writes at once",
        f"0 evaluations failed, p99 {still * 1000:.0f} ms ({quick * 1000:.0f} before); the write was 503 with"
        f" Retry-After after {late:.1f} s, the others were refused; writes went on {normal:.1f} s after SIGCONT, flags"
        f" had no more than its {POOL} connections and {after:.0f} MiB ({before:.0f} before)",
        partly=slower(late, 2, "the refusal")
        + slower(normal, 5, "the way back")
        + "some seconds, not 30",
    )


async def test_changes_are_served_while_valkey_hangs(platform, org, finding):
    with frozen(platform, "valkey"):
        begun = time.monotonic()
        switched = await org.post(f"{org.flag}/disable", json={"reason": "no news"})
        assert switched.status_code == 200
        answered = time.monotonic() - begun
        await until(lambda: served(org.sdk, False), 20)
        visible = time.monotonic() - begun
    finding(
        "R6",
        "SIGSTOP to Valkey, a toggle",
        f"answered after {answered:.2f} s, served after {visible:.2f} s",
        partly=slower(visible, 10, "the change"),
    )


async def test_known_credentials_work_while_iam_hangs_and_unknown_ones_are_undecided(
    platform, org, finding
):
    with frozen(platform, "iam"):
        await evaluates(org.sdk)
        assert (await org.get(org.flag)).status_code == 200

        async def undecided():
            stranger = {"x-api-key": apikeys.mint("server")[1]}
            async with httpx.AsyncClient(base_url=platform.url, headers=stranger) as web:
                answer = await web.post(EVALUATE, json={})
                assert answer.status_code in (401, 503)
                return answer.status_code == 503

        await until(undecided, 40)
        await evaluates(org.sdk)
    await until(platform.healthy, 30)
    finding(
        "R7",
        "SIGSTOP to iam",
        "200 evaluations with a known key and a read with a known token: 0 failed; an unknown key got 503",
        partly="half a minute, not the 15",
    )


async def test_nothing_is_changed_by_old_authority_while_iam_hangs(platform, org):
    """Reading goes on; after five seconds of silence whatever changes something asks iam, and has no answer."""
    with frozen(platform, "iam"):
        before = (await org.get(org.flag)).raise_for_status().json()

        async def undecidable():
            begun = time.monotonic()
            answer = await org.patch(org.flag, json={"description": f"at {begun}"})
            assert answer.status_code in (200, 503), answer.text
            if answer.status_code == 200:
                before["version"] = answer.json()["version"]
                return False
            assert answer.json()["code"] == "authority_unavailable"
            assert int(answer.headers["retry-after"]) >= 1
            return time.monotonic() - begun < 3

        await until(undecidable, 30)
        for path in ("feature-flags", "experiments", "vms"):
            body = {"key": "new", "name": "new"}
            refused = await org.post(f"/api/v1/{path}", json=body)
            assert (refused.status_code, refused.json()["code"]) == (503, "authority_unavailable")
        assert (await org.get(org.flag)).json()["version"] == before["version"]
        await evaluates(org.sdk)

    async def changes():
        return (await org.patch(org.flag, json={"description": "again"})).status_code == 200

    await until(changes, 30)


async def test_facts_wait_while_audit_hangs_and_arrive_in_order(platform, org, finding):
    with frozen(platform, "audit"):
        for n in range(5):
            done = await org.post(f"{org.flag}/toggle", json={"reason": f"no {n}"})
            assert done.status_code == 200

    async def all_there():
        params = {"entity_type": "feature_flag", "limit": 100}
        items = (await org.get("/api/v1/audit-logs", params=params)).json()["items"]
        told = [e["reason"] for e in reversed(items) if e["reason"].startswith("no ")]
        return told if len(told) == 5 else None

    begun = time.monotonic()
    assert await until(all_there, 30) == [f"no {n}" for n in range(5)]
    finding(
        "R8",
        "SIGSTOP to audit, five changes",
        f"all acknowledged; in the log, in order, {time.monotonic() - begun:.1f} s after SIGCONT",
        partly="seconds, not 5 min; the rate at which a backlog drains is not measured here",
    )
