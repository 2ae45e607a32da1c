"""Two replicas of a service behind one Envoy: what one of them suffers, nobody notices (R1, R17)."""

import asyncio
import contextlib
import itertools
import os
import signal
from collections import Counter
from uuid import uuid4

import httpx
import pytest

from tests.faults.lengths import FULL, length
from tests.faults.replicas import DRAINED, Gate, Replica, beside, running
from tests.newcomer import Patient, registered
from tests.waiting import until

pytestmark = pytest.mark.journey

SERVICES = ("flags", "iam")
# `make check` restarts two services and the gate, `make faults` all of them.
ALL = ("flags", "iam", "experiments", "audit", "compute")
ROLLED = ALL if FULL or os.environ.get("SWITCHYARD_RELIABILITY") else SERVICES
REQUESTS = length(1_000, 50_000)
CUT = 0  # in the place of a status
LISTS = {
    "experiments": "/api/v1/experiments",
    "audit": "/api/v1/audit-logs",
    "compute": "/api/v1/vms",
}


class Balanced(httpx.AsyncBaseTransport):
    """Two gates as a Kubernetes Service offers them: whoever is ready; where one refuses, the other."""

    def __init__(self, gates):
        self._doors = {gate.url: httpx.AsyncHTTPTransport() for gate in gates}
        self._ready, self._turns = dict.fromkeys(self._doors, True), itertools.count()

    async def handle_async_request(self, request):
        ready = [url for url, well in self._ready.items() if well]
        first, *others = (ready or list(self._doors))[:: next(self._turns) % 2 * 2 - 1]
        for url in (first, *others):
            request.url = httpx.URL(url).copy_with(raw_path=request.url.raw_path)
            try:
                return await self._doors[url].handle_async_request(request)
            except httpx.ConnectError as error:
                refused = error
        raise refused

    async def look(self):
        """Ask each again and again whether it is ready, as a readiness probe does."""
        async with httpx.AsyncClient(timeout=2) as web:
            while True:
                for url in self._doors:
                    try:
                        self._ready[url] = (await web.get(f"{url}/health")).status_code == 200
                    except httpx.HTTPError:
                        self._ready[url] = False
                await asyncio.sleep(0.2)

    async def both(self):
        await until(lambda: all(self._ready.values()), 60, "both gates are ready")

    async def aclose(self):
        for door in self._doors.values():
            await door.aclose()


class Load:
    """Clients that evaluate, read and write through a gate, each as fast as the answers come."""

    def __init__(self, gate, org, services=(), transport=None):
        self.gate, self.org, self._transport = gate, org, transport
        self._paths = [org.flag, "/api/v1/users/me", *(LISTS[s] for s in services if s in LISTS)]
        self.told, self.changes, self.again = Counter(), [], 0
        self.stop = False

    @contextlib.asynccontextmanager
    async def running(self, *, writing):
        kinds = [self.evaluate, self.evaluate, self.read] + [self.write] * writing
        options = {"base_url": self.gate.url, "transport": self._transport}
        async with httpx.AsyncClient(**options, timeout=20) as web:
            tasks = [asyncio.create_task(kind(web)) for kind in kinds]
            try:
                await until(lambda: len(self.told) >= 2, 30, "the load runs")
                yield
                await self.some_more(100)
                self.stop = True
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()

    async def some_more(self, count):
        """Wait until so many more requests were answered."""
        wanted = self.asked() + count
        await until(lambda: self.asked() >= wanted, 180 + count / 20, f"{count} more answers")

    def asked(self):
        return sum(self.told.values())

    def unavailable(self):
        """Return how many were refused for a moment: a busy machine is slow to ask after a replica's health.

        Or cut off: who is killed between the two writes of head and body takes back what nobody can take back.
        """
        assert {status for _, status in self.told} <= {200, 503, 504, CUT}, self.told
        assert all(self.told[kind, 200] for kind in ("evaluation", "read"))
        return sum(n for (_, status), n in self.told.items() if status != 200)

    def refused(self):
        """Say what was refused, and how."""
        return ", ".join(
            f"{n} × {kind} {status}" for (kind, status), n in self.told.items() if status != 200
        )

    async def evaluate(self, web):
        body = {"context": {"targetingKey": "u"}}
        while not self.stop:
            asking = web.post(
                "/ofrep/v1/evaluate/flags/f", json=body, headers={"x-api-key": self.org.key}
            )
            self.told["evaluation", await status_of(asking)] += 1

    async def read(self, web):
        token = {"authorization": self.org.headers["authorization"]}
        for path in itertools.cycle(self._paths):
            if self.stop:
                return
            self.told["read", await status_of(web.get(path, headers=token))] += 1

    async def write(self, web):
        """Toggle with a key, again with the same key until it is acknowledged."""
        token = {"authorization": self.org.headers["authorization"]}
        for n in itertools.count():
            if self.stop:
                return
            reason, headers = f"no {n}", token | {"idempotency-key": uuid4().hex}
            path = f"{self.org.flag}/toggle"
            while (
                said := await web.post(path, json={"reason": reason}, headers=headers)
            ).status_code != 200:
                assert said.status_code in (409, 503, 504), said.text
                self.again += 1
                await asyncio.sleep(0.05)
            self.changes.append(reason)


async def status_of(asking):
    """Return the status of an answer, or that its body did not come."""
    try:
        return (await asking).status_code
    except httpx.RemoteProtocolError:
        return CUT


@contextlib.asynccontextmanager
async def organized(url):
    """Register an organization through a gate; it has a flag that is on, and a key for evaluation."""
    async with httpx.AsyncClient(base_url=url, timeout=20, transport=Patient()) as web:
        await registered(web)

        async def heard():
            return (await web.get("/api/v1/feature-flags")).status_code == 200

        await until(heard, 60, "flags has heard of the organization")
        flag = await web.post("/api/v1/feature-flags", json={"key": "f", "name": "F"})
        web.flag = f"/api/v1/feature-flags/{flag.raise_for_status().json()['id']}"
        (await web.post(f"{web.flag}/enable", json={})).raise_for_status()
        made = await web.post("/api/v1/api-keys", json={"name": "k"})
        web.key = made.raise_for_status().json()["key"]
        yield web


@pytest.fixture
async def org(platform):
    await until(platform.healthy, 60)
    async with organized(platform.url) as web:
        yield web


async def knows(gate, org, services=SERVICES):
    """Wait until every replica behind a gate has heard of the organization and its key."""

    async def all_say_so():
        async with httpx.AsyncClient(base_url=gate.url, timeout=20) as web:
            body, headers = {"context": {"targetingKey": "u"}}, {"x-api-key": org.key}
            path = "/ofrep/v1/evaluate/flags/f"
            said = [(await web.post(path, json=body, headers=headers)) for _ in range(8)]
            token = {"authorization": org.headers["authorization"]}
            said += [(await web.get("/api/v1/users/me", headers=token)) for _ in range(8)]
        return all(s.status_code == 200 for s in said)

    for service in services:

        async def two(service=service):
            return await gate.hosts(service) == 2

        await until(two, 60, f"the gate sees two of {service}")
    await until(all_say_so, 60, "all replicas know the organization")


async def written(org, load):
    """Every change that was acknowledged is in the log, once."""

    async def all_there():
        params = {"entity_type": "feature_flag", "limit": 100}
        found, items = {}, []
        while True:
            said = (
                (await org.get("/api/v1/audit-logs", params=params | found))
                .raise_for_status()
                .json()
            )
            items += [e["reason"] for e in said["items"] if e["reason"].startswith("no ")]
            if not (cursor := said.get("next_cursor")):
                return items if len(items) >= len(load.changes) else None
            found = {"cursor": cursor}

    assert Counter(await until(all_there, 180, "all changes are in the log")) == Counter(
        load.changes
    )


async def test_of_two_replicas_one_may_be_killed(platform, org, tmp_path, finding):
    """The ones that are killed are beside the platform's own; who reads and evaluates sees no failure."""
    async with beside(platform, tmp_path, SERVICES) as (gate, replicas):
        await knows(gate, org)
        load = Load(gate, org)
        async with load.running(writing=False):
            for replica in replicas:
                await load.some_more(50)
                await replica.end(signal.SIGKILL)
                await load.some_more(200)
    failed = load.unavailable()
    finding(
        "R1",
        "kill -9 to one of two replicas of flags, then to one of two of iam",
        f"{failed} of {load.asked()} evaluations and reads failed",
        partly=f"{failed} failed, wanted 0" if failed else "",
    )


async def test_a_rolling_restart_fails_nobody(platform, org, tmp_path, finding):
    """One of two after the other: asked to end, ended, started again and known to the gates before the next."""
    replicas = [
        Replica(platform, service, tmp_path, **DRAINED) for service in ROLLED for _ in range(2)
    ]
    gates = [Gate(platform, tmp_path, replicas, only=True) for _ in range(2)]
    async with running(*replicas, *gates):
        await asyncio.gather(*(replica.start() for replica in replicas))
        await asyncio.gather(*(gate.start() for gate in gates))
        for gate in gates:
            await knows(gate, org, ROLLED)
        balanced = Balanced(gates)
        looking = asyncio.create_task(balanced.look())
        load = Load(gates[0], org, ROLLED, balanced)
        try:
            async with load.running(writing=True):
                await rolled(load, org, replicas, gates)
                for gate in gates:
                    assert await gate.drained() == 0
                    await gate.start()
                    await balanced.both()
                    await load.some_more(REQUESTS // 4)
        finally:
            looking.cancel()
    failed = load.unavailable()
    await written(org, load)
    names = ", ".join(ROLLED)
    finding(
        "R17",
        f"two replicas each of {names} behind two Envoys, one of each at a time, then each Envoy: SIGTERM, end, start",
        f"{failed} of {load.asked()} evaluations and reads failed; {len(load.changes)} keyed writes, each logged once,"
        f" {load.again} of them had to be sent again",
        partly=(f"{failed} failed, wanted 0 ({load.refused()}); " if failed else "")
        + ("" if ROLLED == ALL else "not all services were restarted; ")
        + ("" if load.asked() >= 50_000 else "not 50,000"),
    )


async def rolled(load, org, replicas, gates):
    """Restart one half of the replicas, then the other."""
    for turn in (replicas[0::2], replicas[1::2]):
        await asyncio.gather(*(replica.end() for replica in turn))
        assert {replica.process.returncode for replica in turn} == {0}
        await asyncio.gather(*(replica.start() for replica in turn))
        for gate in gates:
            await knows(gate, org, ROLLED)
        await load.some_more(REQUESTS // 4)
