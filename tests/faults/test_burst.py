"""Ten times as many clients as can be served: those who are served stay as many, the others are told at once (R15).

Capacity is made small, so that a burst is one on any machine: PostgreSQL answers late, and the gate lets a few requests
in at a time, or the service has a few connections. That nobody is refused without a sentence, nothing queues up, and
the gate refuses at once is asserted. How soon is read off the gate's own log: forty clients in one process on the same
cores begin and hear one after the other, and what they wait for each other is nobody's answer. How many are served, and
how soon a service refuses, depends on the machine: it is compared with the same machine a moment before, and told.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from types import SimpleNamespace

import httpx
import pytest

from tests.faults.asking import PATIENT, SOON, known, problem, token
from tests.faults.replicas import Gate, running
from tests.faults.table import slower
from tests.faults.test_replicas import organized
from tests.faults.wire import wired
from tests.waiting import until

pytestmark = pytest.mark.journey

AT_ONCE = 4  # requests that the gate has under way to a service; as many may wait for a connection
LATE = 0.1  # seconds
AT_ONCE_MS = 50  # nine of ten refusals of the gate, whatever else the machine does
SERVED = 24  # answers by which capacity and goodput are measured
PAUSE = 1.0  # seconds until somebody who was refused asks again


class Crowd:
    """Clients who read the same thing again and again, and wait a little where they are refused."""

    def __init__(self, gate, org):
        self._url, self._path, self._token = gate.url, org.flag, token(org)
        self.told, self.refused = Counter(), []

    async def _ask(self, web):
        while True:
            begun = time.monotonic()
            said = await web.get(self._path, headers=self._token)
            self.told[said.status_code] += 1
            if said.status_code != 200:
                self.refused.append(time.monotonic() - begun)
                assert problem(said) == 503
                await asyncio.sleep(PAUSE * (0.5 + random.random()))  # not all at once

    @contextlib.asynccontextmanager
    async def asking(self, clients):
        limits = httpx.Limits(max_connections=clients)
        async with httpx.AsyncClient(base_url=self._url, timeout=PATIENT, limits=limits) as web:
            tasks = [asyncio.create_task(self._ask(web)) for _ in range(clients)]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
                assert all(isinstance(e, asyncio.CancelledError) for e in ended), ended

    async def goodput(self):
        """Return how many are served a second."""
        begun, before = time.monotonic(), self.told[200]
        await until(lambda: self.told[200] >= before + SERVED, 5 * SOON, "some are served")
        return (self.told[200] - before) / (time.monotonic() - begun)


async def test_a_burst_is_served_as_far_as_it_can_be_and_refused_at_once_beyond(
    platform, tmp_path, finding
):
    await until(platform.healthy, SOON)
    async with (
        wired(platform, tmp_path) as (replica, wires),
        organized(platform.url) as org,
    ):
        door = SimpleNamespace(service="flags", http=wires.door.port, grpc=replica.grpc)
        gate = Gate(platform, tmp_path, [door], only=True, upstream_requests=AT_ONCE)
        async with running(gate):
            await gate.start()
            async with httpx.AsyncClient(base_url=gate.url, timeout=PATIENT) as web:
                await known(web, org)
                wires.database.late = LATE
                share, burst = await burst_of(gate, org)
                await nothing_queues(gate)
                assert (await web.get(org.flag, headers=token(org))).status_code == 200
                there = await in_the_gate(gate, burst)
    assert (
        wires.door.most <= 2 * AT_ONCE
    )  # the gate's health checks among them; there are 40 clients
    assert late(there) <= AT_ONCE_MS
    tell(finding, f"as the gate lets in at a time ({AT_ONCE})", share, burst, there)


async def test_a_burst_on_few_connections_is_refused_at_once_beyond_what_they_serve(
    platform, tmp_path, finding
):
    """Nobody stands in line who would not have his turn in time, and who is served is served as before."""
    await until(platform.healthy, SOON)
    async with (
        wired(platform, tmp_path, FLAGS_DATABASE_POOL=str(AT_ONCE // 2)) as (replica, wires),
        organized(platform.url) as org,
    ):
        gate = Gate(platform, tmp_path, [replica], only=True)  # it lets everybody in, and measures
        async with running(gate):
            await gate.start()
            async with httpx.AsyncClient(base_url=gate.url, timeout=PATIENT) as web:
                await known(web, org)
                wires.database.late = LATE
                share, burst = await burst_of(gate, org)
                wires.database.late = 0

                async def served():
                    return (await web.get(org.flag, headers=token(org))).status_code == 200

                await until(served, SOON, "nobody stands in line any more")
                there = await in_the_gate(gate, burst)
    assert wires.database.most <= 2 * AT_ONCE  # four, and what cancels a query
    tell(finding, f"as a service has connections ({AT_ONCE})", share, burst, there)


async def burst_of(place, org):
    """Ask with as many clients as are served at once, then with ten times as many; return what part is still served."""
    calm, burst = Crowd(place, org), Crowd(place, org)
    async with calm.asking(AT_ONCE):
        await until(lambda: calm.told[200] > AT_ONCE, SOON, "the replica serves")
        capacity = await calm.goodput()
    async with burst.asking(10 * AT_ONCE):
        await until(lambda: burst.told[503] > AT_ONCE, SOON, "some are refused")
        goodput = await burst.goodput()
    assert set(burst.told) == {200, 503}, burst.told
    return goodput / capacity, burst


async def nothing_queues(gate):
    async def idle():
        waiting = ("upstream_rq_active", "upstream_rq_pending_active")
        return not any([await gate.counted("flags", what) for what in waiting])

    await until(idle, SOON, "nobody waits any more")


async def in_the_gate(gate, burst):
    """Return how many milliseconds each refusal took, from its first byte in the gate to the last of the answer."""

    async def logged():
        took = [said["ms"] for said in gate.told() if said["status"] == 503]
        return took if len(took) >= len(burst.refused) else None

    return await until(logged, SOON, "the gate has told of each refusal")


def late(took):
    """Return what nine of ten took at most."""
    return sorted(took)[int(len(took) * 0.9) - 1]


def tell(finding, bound, share, burst, there):
    ours, heard = late(there), late(burst.refused) * 1000
    finding(
        "R15",
        f"ten times as many clients {bound}, PostgreSQL {LATE * 1000:.0f} ms late, all on one machine",
        f"goodput {share:.0%} of capacity; {len(burst.refused)} × 503 with Retry-After, nine of ten after {ours:.0f} ms"
        f" at most by the gate's log (the clients, one process on the same cores, heard of it within {heard:.0f} ms);"
        " nothing else, and nothing waits afterwards",
        partly=(f"goodput was {share:.0%} in this run, wanted ≥ 90 %; " if share < 0.9 else "")
        + slower(ours / 1000, 0.05, "a refusal"),
    )
