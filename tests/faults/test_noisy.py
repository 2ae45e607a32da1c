"""One tenant at many times its quota: it is told to wait, its neighbours are served (R23), with or without Valkey.

Two gates let one quota through: each counts in Envoy itself, its share, so there is nothing that could be away. The
noise is made by a process of its own that gets what is left of the processor; its neighbour is measured with and
without it, in turns, so that what else the machine does falls on both.
"""

import asyncio
import os
import time
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path

import httpx
import pytest

from tests.faults.noise import CUT, Noise
from tests.faults.replicas import beside, family
from tests.faults.test_frozen import frozen
from tests.newcomer import registered
from tests.waiting import until

pytestmark = pytest.mark.journey

PATH = "/ofrep/v1/evaluate/flags/f"
BODY = {"context": {"targetingKey": "u"}}
QUOTA = 40  # requests a second of a tenant
LIMIT = QUOTA * 2  # of the gates
GATES = ("127.0.0.1", "127.0.0.2")  # only counted: nobody asks a gate there
TIMES = 20  # the limit: what the noisy tenant asks for
TURNS, ASKED = 3, 50  # without noise and with it; requests of a neighbour in each


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


async def calm_one(web, key):
    """Evaluate, one after the other and well below the quota; return the seconds each took."""
    took = []
    for _ in range(ASKED):
        begun = time.monotonic()
        said = await web.post(PATH, json=BODY, headers=key)
        took.append(time.monotonic() - begun)
        assert said.status_code == 200, said.text
        await asyncio.sleep(1 / QUOTA)
    return took


def processor(gates):
    """Return the seconds of a processor that gates have used."""
    pids = [pid for gate in gates for pid in family(gate.process.pid)]
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(s[11]) + int(s[12]) for s in stats) / os.sysconf("SC_CLK_TCK")


class Measured:
    """What a neighbour waited without noise and with it, and what the gates worked meanwhile."""

    def __init__(self):
        self.took, self.worked, self.told = {False: [], True: []}, {False: 0.0, True: 0.0}, []

    async def turn(self, gates, noise, neighbour):
        """Measure for a while; `noise` is None or what makes it."""
        before = processor(gates)
        async with noise or nullcontext():
            self.took[bool(noise)] += await neighbour()
        self.worked[bool(noise)] += processor(gates) - before
        self.told += [noise.told] if noise else []

    def share(self, part, *, noisy):
        """Return the seconds within which such a part of the neighbour's requests was served."""
        return sorted(self.took[noisy])[int(len(self.took[noisy]) * part) - 1]

    def times(self, part):
        return self.share(part, noisy=True) / self.share(part, noisy=False)

    def sum(self, status):
        return sum(told["statuses"].get(status, 0) for told in self.told)

    @property
    def lasted(self):
        return sum(told["took"] for told in self.told)


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
        measured = Measured()
        with frozen(platform, "valkey"):
            for turn in range(2 * TURNS):
                noise = Noise(gates, loud["x-api-key"], TIMES * LIMIT) if turn % 2 else None
                await measured.turn(gates, noise, lambda: calm_one(web, calm))
        held(measured)

        async def served_again():
            return (await web.get("/api/v1/feature-flags", headers=token)).status_code == 200

        await until(served_again, 60, "the noisy tenant is served again")
    tell(finding, measured)


def held(measured):
    """Of the noise one limit is let through, and the rest refused as it should be."""
    most = sum(LIMIT * (told["took"] + 1) for told in measured.told)
    assert measured.sum("200") <= most * 1.05, "two gates let more than one limit through"
    for told in measured.told:
        assert set(told["statuses"]) <= {"200", "429", str(CUT)}, told["statuses"]
        assert told["refusals"]
        for refusal in told["refusals"]:
            assert '"code":"gateway.rate_limited"' in refusal["body"]
            assert int(refusal["fields"]["retry-after"]) >= 1
            assert refusal["fields"]["ratelimit-policy"]
            assert refusal["fields"]["ratelimit"]


def tell(finding, measured):
    refused, passed = measured.sum("429"), measured.sum("200")
    asked, times = (refused + passed) / measured.lasted, measured.times(0.99)
    cost = (measured.worked[True] - measured.worked[False]) / (refused + passed)
    finding(
        "R23",
        f"a tenant asks {asked:.0f} times a second, {asked / LIMIT:.0f}× its quota, at two gates, while Valkey hangs",
        f"{passed / measured.lasted / LIMIT:.2f} of its quota passed, {refused} × 429 with headers, for each of which a"
        f" gate worked {cost * 1e6:.0f} µs; its neighbour: 0 of {TURNS * ASKED} failed, p50"
        f" {measured.share(0.5, noisy=True) * 1000:.1f} ms ({measured.share(0.5, noisy=False) * 1000:.1f} without the"
        f" noise), p99 {measured.share(0.99, noisy=True) * 1000:.1f} ms"
        f" ({measured.share(0.99, noisy=False) * 1000:.1f}, {times:.1f}×)",
        partly=(f"p99 grew {times:.1f}× in this run, wanted ≤ 1.2×; " if times > 1.2 else "")
        + (
            f"{asked / LIMIT:.0f}× its quota is all that the noise came to, with what was left of the machine"
            if asked < 0.9 * TIMES * LIMIT
            else ""
        ),
    )
