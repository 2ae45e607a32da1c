"""One tenant at many times its quota: it is told to wait, its neighbours are served (R23), with or without Valkey.

Two gates let one quota through: each counts in Envoy itself, its share, so there is nothing that could be away.
"""

import asyncio
import contextlib
import json
import sys
import time
from asyncio.subprocess import PIPE
from collections import Counter
from contextlib import AsyncExitStack
from statistics import median

import httpx
import pytest

from tests.faults.asking import BODY, EVALUATE
from tests.faults.lengths import length
from tests.faults.replicas import ROOT, beside
from tests.faults.test_frozen import frozen
from tests.newcomer import registered
from tests.waiting import until

pytestmark = pytest.mark.journey

LIMIT = 50  # requests a second of a tenant, of all gates: each lets half of it through
TIMES = 20  # what the noisy tenant asks for, in such limits
CALM = 20  # requests a second of its neighbour, at one gate
GATES = ("127.0.0.1", "127.0.0.2")  # only counted: nobody asks a gate there
ROUNDS = length(2, 3)  # of quiet and of noise, in turn: what else the machine does falls upon both
ASKED = length(50, 400)  # times in each


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
    """Evaluate, one after the other and below the limit; return the seconds each took."""
    took = []
    for _ in range(ASKED):
        begun = time.monotonic()
        said = await web.post(EVALUATE, json=BODY, headers=key)
        took.append(time.monotonic() - begun)
        assert said.status_code == 200, said.text
        await asyncio.sleep(max(0, 1 / CALM - took[-1]))
    return took


class Noise:
    """A process that asks and asks at every gate, whatever it is told; what it was answered over all rounds."""

    def __init__(self, gates, key):
        words = ("tests.faults.noise", key["x-api-key"], str(LIMIT * TIMES))
        self._command = (sys.executable, "-m", *words, *(gate.url for gate in gates))
        self.told, self.refusals, self.took = Counter(), [], 0.0

    @contextlib.asynccontextmanager
    async def made(self):
        begun = time.monotonic()
        process = await asyncio.create_subprocess_exec(*self._command, cwd=ROOT, stdout=PIPE)
        try:
            async with asyncio.timeout(60):
                assert await process.stdout.readline() == b"loud\n"
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            said = await process.stdout.read()
            took = time.monotonic() - begun
            assert await process.wait() == 0
        self.hear(json.loads(said), took)

    def hear(self, said, took):
        told = Counter({int(status): n for status, n in said["told"].items()})
        assert set(told) <= {200, 429}, told
        assert told[200] <= LIMIT * (took + 1) * 1.05, "two gates let more than one limit through"
        self.told, self.took = self.told + told, self.took + said["seconds"]
        self.refusals += said["kept"]


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
                await door.post(EVALUATE, json=BODY, headers=key)
                for door in (web, other)
                for key in (loud, calm)
            ]
            return all(s.status_code == 200 for s in said)

        await until(both_known, 60, "both keys are known")
        noise, before, beside_it = Noise(gates, loud), [], []
        with frozen(platform, "valkey"):
            for _ in range(ROUNDS):
                before += await quiet(web, calm)
                async with noise.made():
                    beside_it += await quiet(web, calm)
        for said in noise.refusals:
            assert json.loads(said["body"])["code"] == "gateway.rate_limited"
            assert int(said["headers"]["retry-after"]) >= 1
            assert said["headers"]["ratelimit-policy"]
            assert said["headers"]["ratelimit"]

        async def served_again():
            return (await web.get("/api/v1/feature-flags", headers=token)).status_code == 200

        await until(served_again, 60, "the noisy tenant is served again")
    tell(finding, noise, before, beside_it)


def tell(finding, noise, before, beside_it):
    quick, p99 = (sorted(took)[int(len(took) * 0.99) - 1] for took in (before, beside_it))
    asked, served = noise.told.total() / noise.took, noise.told[200] / noise.took
    finding(
        "R23",
        f"a tenant asks {asked:.0f} times a second, {asked / LIMIT:.0f}× its quota, at two gates, while Valkey hangs;"
        " it asks from a process of the lowest priority, and quiet and noise take turns",
        f"{served / LIMIT:.2f} of its quota passed, {noise.told[429]} × 429 with headers; its neighbour: 0 of"
        f" {len(before) + len(beside_it)} failed, median {median(beside_it) * 1000:.1f} ms"
        f" ({median(before) * 1000:.1f} in quiet), p99 {p99 * 1000:.1f} ms ({quick * 1000:.1f}, {p99 / quick:.1f}×)",
        partly=(
            f"p99 grew {p99 / quick:.1f}× in this run, wanted ≤ 1.2×; " if p99 / quick > 1.2 else ""
        )
        + (f"{asked / LIMIT:.0f}×, not {TIMES}×" if asked / LIMIT < 0.8 * TIMES else ""),
    )
