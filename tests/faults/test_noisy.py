"""One tenant at many times its quota: it is told to wait, its neighbours are served (R23), with or without Valkey.

Two gates let one quota through: each counts in Envoy itself, its share, so there is nothing that could be away.
"""

import asyncio
import time
from contextlib import AsyncExitStack

import httpx
import pytest

from tests.faults.replicas import beside
from tests.faults.test_frozen import frozen
from tests.newcomer import registered
from tests.waiting import until

pytestmark = pytest.mark.journey

PATH = "/ofrep/v1/evaluate/flags/f"
BODY = {"context": {"targetingKey": "u"}}
QUOTA = 40  # requests a second of a tenant
LIMIT = QUOTA * 2  # of the gates
GATES = ("127.0.0.1", "127.0.0.2")  # only counted: nobody asks a gate there
CALLERS = 16  # of the noisy tenant, without a pause
ASKED = 150


async def tenant(platform, stack):
    """Register a tenant with a flag that is on; return its key's header and its token's."""
    web = await stack.enter_async_context(httpx.AsyncClient(base_url=platform.url, timeout=20))
    await registered(web)
    flag = await web.post("/api/v1/feature-flags", json={"key": "f", "name": "F"})
    id_ = flag.raise_for_status().json()["id"]
    (await web.post(f"/api/v1/feature-flags/{id_}/enable", json={})).raise_for_status()
    made = await web.post("/api/v1/api-keys", json={"name": "k"})
    token = {"authorization": web.headers["authorization"]}
    return {"x-api-key": made.raise_for_status().json()["key"]}, token


async def quiet(web, key):
    """Evaluate, one after the other and well below the quota; return the seconds each took."""
    took = []
    for _ in range(ASKED):
        begun = time.monotonic()
        said = await web.post(PATH, json=BODY, headers=key)
        took.append(time.monotonic() - begun)
        assert said.status_code == 200, said.text
        await asyncio.sleep(1 / QUOTA)
    return sorted(took)


class Noise:
    """A tenant that asks and asks at every gate, whatever it is told."""

    def __init__(self, gates, key):
        self._gates, self._key = gates, key
        self.served, self.refused = 0, []

    async def make(self, url):
        async with httpx.AsyncClient(base_url=url, timeout=20) as web:
            while True:
                said = await web.post(PATH, json=BODY, headers=self._key)
                if said.status_code == 200:
                    self.served += 1
                else:
                    self.refused.append(said)

    async def __aenter__(self):
        self._tasks = [
            asyncio.create_task(self.make(self._gates[i % len(self._gates)].url))
            for i in range(CALLERS)
        ]
        await until(lambda: len(self.refused) > CALLERS, 60, "the quota is used up")
        return self

    async def __aexit__(self, *_):
        for task in self._tasks:
            task.cancel()
        gone = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert all(isinstance(g, asyncio.CancelledError) for g in gone), gone


async def test_a_noisy_tenant_is_told_to_wait_and_its_neighbours_are_served(
    platform, tmp_path, finding
):
    await until(platform.healthy, 60)
    limits = {"tenant_rate": LIMIT, "key_rate": LIMIT, "peers": GATES}
    async with AsyncExitStack() as stack:
        (loud, token), (calm, _) = [await tenant(platform, stack) for _ in range(2)]
        gates = [
            (await stack.enter_async_context(beside(platform, tmp_path, (), **limits)))[0]
            for _ in GATES
        ]
        web, other = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=gate.url, timeout=20))
            for gate in gates
        ]

        async def both_known():
            said = [
                await door.post(PATH, json=BODY, headers=key)
                for door in (web, other)
                for key in (loud, calm)
            ]
            return all(s.status_code == 200 for s in said)

        await until(both_known, 60, "both keys are known")
        before = await quiet(web, calm)
        with frozen(platform, "valkey"):
            begun = time.monotonic()
            async with Noise(gates, loud) as noise:
                beside_it = await quiet(web, calm)
            took = time.monotonic() - begun
        asked, served = (noise.served + len(noise.refused)) / took, noise.served / took
        assert noise.served <= LIMIT * (took + 1) * 1.05, (
            "two gates let more than one limit through"
        )
        assert {said.status_code for said in noise.refused} == {429}
        for said in noise.refused[:: max(1, len(noise.refused) // 20)]:
            assert said.json()["code"] == "gateway.rate_limited"
            assert int(said.headers["retry-after"]) >= 1
            assert said.headers["ratelimit-policy"]
            assert said.headers["ratelimit"]

        async def served_again():
            return (await web.get("/api/v1/feature-flags", headers=token)).status_code == 200

        await until(served_again, 60, "the noisy tenant is served again")
    p99, quick = beside_it[int(ASKED * 0.99) - 1], before[int(ASKED * 0.99) - 1]
    times = p99 / quick
    finding(
        "R23",
        f"a tenant asks {asked:.0f} times a second, {asked / LIMIT:.0f}× its quota, at two gates, while Valkey hangs",
        f"{served / LIMIT:.2f} of its quota passed, {len(noise.refused)} × 429 with headers;"
        f" its neighbour: 0 of {ASKED} failed, p99 {p99 * 1000:.1f} ms"
        f" ({quick * 1000:.1f} before, {times:.1f}×)",
        partly=(f"p99 grew {times:.1f}× in this run, wanted ≤ 1.2×; " if times > 1.2 else "")
        + "all on one machine, so the noise also takes the processor",
    )
