"""Silent, late and broken connections: from the gate to a service, from a service to iam (R9) and to PostgreSQL (R5).

A replica of flags lies behind wires (`tests.faults.wire`); the platform's own is not hurt. What is asserted holds on
any machine: who waits is answered, rightly or with a sentence; how long that took is told and not asserted.
"""

import asyncio
import contextlib
import time
from types import SimpleNamespace

import httpx
import pytest

from authz import apikeys
from tests.faults.replicas import Gate, Replica, running
from tests.faults.table import slower
from tests.faults.test_replicas import knows, organized
from tests.faults.wire import Wire
from tests.waiting import until

pytestmark = pytest.mark.journey

EVALUATE = "/ofrep/v1/evaluate/flags/f"
BODY = {"context": {"targetingKey": "u"}}
PATIENT = 60  # seconds of a client: more than anything here takes on the slowest machine
SOON = 120  # seconds within which what must happen does, on the slowest machine


class Asking:
    """A client who evaluates again and again, and notes what was answered and how long the slowest took."""

    def __init__(self, web, key):
        self._web, self._key = web, {"x-api-key": key}
        self.served, self.refused, self.took = 0, [], []

    async def ask(self):
        begun = time.monotonic()
        said = await self._web.post(EVALUATE, json=BODY, headers=self._key)
        self.took.append(time.monotonic() - begun)
        if said.status_code == 200:
            assert (said.json()["value"], said.json()["reason"]) == (True, "STATIC"), said.text
            self.served += 1
        else:
            self.refused.append(problem(said))
        return said.status_code == 200

    async def times(self, count):
        for _ in range(count):
            await self.ask()

    @contextlib.asynccontextmanager
    async def always(self, clients):
        """Ask all the while."""
        tasks = [asyncio.create_task(self.times(10**9)) for _ in range(clients)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(e, asyncio.CancelledError) for e in ended), ended

    def slowest(self, share=1.0):
        return sorted(self.took)[max(0, int(len(self.took) * share) - 1)]


def problem(said):
    """Return the status of a refusal, which says what is the matter, and when to come again if that helps."""
    assert said.status_code in (503, 504), said.text
    assert said.headers["content-type"] == "application/problem+json"
    assert said.json()["code"]
    assert said.json()["detail"]
    if said.status_code == 503:
        assert int(said.headers["retry-after"]) >= 1
    return said.status_code


@contextlib.asynccontextmanager
async def wired(platform, folder, **env):
    """Lend a replica of flags and the wires on which its database, iam and its own door are."""
    replica = Replica(platform, "flags", folder, **env)
    wires = SimpleNamespace(
        database=Wire.spliced(replica.env, "FLAGS_DATABASE_URL"),
        iam=Wire.spliced(replica.env, "SWITCHYARD_IAM_ADDRESS"),
        door=Wire("127.0.0.1", replica.http),
    )
    async with contextlib.AsyncExitStack() as stack:
        for wire in vars(wires).values():
            await stack.enter_async_context(wire.joined())
        await stack.enter_async_context(running(replica))
        await replica.start()
        yield replica, wires


@pytest.fixture
async def org(platform):
    await until(platform.healthy, SOON)
    async with organized(platform.url) as web:
        yield web


async def known(web, org):
    """Wait until a replica knows an organization, and its key."""
    asking = Asking(web, org.key)
    await until(asking.ask, SOON, "the replica knows the key")

    async def read():
        return (await web.get(org.flag, headers=token(org))).status_code == 200

    await until(read, SOON, "the replica knows the person")


def token(org):
    return {"authorization": org.headers["authorization"]}


async def test_a_silent_replica_is_given_up_and_another_asked(platform, org, tmp_path, finding):
    """Health checks are so rare here that the gate's own second try has to help."""
    async with wired(platform, tmp_path) as (replica, wires):
        door = SimpleNamespace(service="flags", http=wires.door.port, grpc=replica.grpc)
        gate = Gate(platform, tmp_path, [door], health_interval=20, try_time=1)
        async with running(gate):
            await gate.start()
            await knows(gate, org, ["flags"])
            async with httpx.AsyncClient(base_url=gate.url, timeout=PATIENT) as web:
                before, asking = Asking(web, org.key), Asking(web, org.key)
                await before.times(100)
                wires.door.hang()

                async def helped():
                    return await gate.counted("flags", "upstream_rq_retry_success") >= 3

                async with asking.always(clients=2):
                    await until(helped, SOON, "another replica answers instead")
                    await until(lambda: asking.served >= 100, SOON, "most are served at once")
                given_up = await gate.counted("flags", "upstream_rq_per_try_timeout")
                wires.door.flow()
                await nothing_left(gate, web, org)
    assert given_up >= 3
    failed = len(asking.refused)
    finding(
        "R9",
        "one of two replicas of flags keeps its connections to the gate and is silent, and no health check sees it",
        f"{given_up} tries given up, {failed} of {len(asking.took)} evaluations failed, the slowest took"
        f" {asking.slowest():.1f} s ({before.slowest():.2f} before)",
        partly=(f"{failed} failed, wanted 0; " if failed else "")
        + slower(asking.slowest(), 2.2, "an evaluation (two tries of a second)"),
    )


async def nothing_left(gate, web, org):
    """Nobody waits at the gate any more, and who asks is served."""

    async def idle():
        return not await gate.counted("flags", "upstream_rq_active")

    await until(idle, SOON, "nobody waits any more")
    await until(Asking(web, org.key).ask, SOON, "evaluation goes on")


async def test_a_silent_iam_is_not_waited_for(platform, org, tmp_path, finding):
    async with (
        wired(platform, tmp_path) as (replica, wires),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{replica.http}", timeout=PATIENT) as web,
    ):
        await known(web, org)
        before, asking = Asking(web, org.key), Asking(web, org.key)
        await before.times(100)
        wires.iam.hang()
        undecided = await undecidable(web, org)
        await asking.times(100)
        wires.iam.flow()

        async def writes():
            return (await changed(web, org)).status_code == 200

        begun = time.monotonic()
        await until(writes, SOON, "writing goes on")
        normal = time.monotonic() - begun
    assert asking.refused == []
    finding(
        "R9",
        "a replica of flags keeps its connections to iam, which is silent",
        f"a key that nobody knows and a write are 503 with a sentence after {undecided:.1f} s at most; of 100"
        f" evaluations none failed, p99 {asking.slowest(0.99) * 1000:.0f} ms"
        f" ({before.slowest(0.99) * 1000:.0f} before); writing went on {normal:.1f} s after",
        partly=slower(undecided, 1.1, "a refusal"),
    )


async def changed(web, org):
    body = {"description": f"at {time.monotonic()}"}
    return await web.patch(org.flag, json=body, headers=token(org))


async def undecidable(web, org):
    """Ask what only iam can answer until it is said that it cannot; return how long the slowest answer took."""
    took = []

    async def refused(ask):
        begun = time.monotonic()
        said = await ask()
        if said.status_code in (200, 401):  # a moment ago iam was heard
            return False
        assert problem(said) == 503
        assert said.json()["code"] == "authority_unavailable"
        took.append(time.monotonic() - begun)
        return True

    def stranger():
        key = {"x-api-key": apikeys.mint("server")[1]}
        return web.post(EVALUATE, json=BODY, headers=key)

    await until(lambda: refused(stranger), SOON, "an unknown key is undecidable")
    await until(lambda: refused(lambda: changed(web, org)), SOON, "a write is undecidable")
    return max(took)
