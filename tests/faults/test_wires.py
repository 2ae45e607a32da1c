"""Silent, late and broken connections: gate to service, service to neighbour (R9), service to PostgreSQL (R5).

A replica of flags, or of experiments, lies behind wires (`tests.faults.wire`); the platform's own is not hurt. What is
asserted holds on any machine: who waits is answered, rightly or with a sentence; how long that took is told and not
asserted.
"""

import asyncio
import contextlib
import statistics
import time
from types import SimpleNamespace

import httpx
import pytest

from authz import apikeys
from tests.faults.asking import BODY, EVALUATE, PATIENT, SOON, Asking, known, problem, token
from tests.faults.replicas import Gate, Replica, running
from tests.faults.table import slower
from tests.faults.test_kill import Ledger, entries, holds
from tests.faults.test_replicas import knows, organized
from tests.faults.wire import Wire, wired
from tests.waiting import until

pytestmark = pytest.mark.journey

POOL = 2  # connections of the replica to PostgreSQL, and as many more when they are needed
WRITERS, WRITES, CROWD = 8, 6, 100  # all of them far too many for four connections
LATE = 0.2  # seconds


@pytest.fixture
async def org(platform):
    await until(platform.healthy, SOON)
    async with organized(platform.url) as web:
        yield web


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
                    counts = ("upstream_rq_per_try_timeout", "upstream_rq_retry_success")
                    return all([await gate.counted("flags", what) >= 3 for what in counts])

                async with asking.always(clients=2):
                    await until(helped, SOON, "another replica answers instead")
                    await until(lambda: asking.served >= 30, SOON, "the others are served")
                given_up = await gate.counted("flags", "upstream_rq_per_try_timeout")
                wires.door.flow()
                await nothing_left(gate, web, org)
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


async def test_a_silent_flags_is_not_waited_for(platform, org, tmp_path, finding):
    """An experiment begins when flags has said that it can serve it; this one has no more than a second to say so."""
    metric = {"key": "m", "name": "M", "kind": "proportion", "event": "e"}
    draft = {"key": "f", "name": "F", "metrics": [{"key": "m", "effect": 0.1}]}
    for path, body in (("metrics", metric), ("experiments", draft)):
        (await org.post(f"/api/v1/{path}", json=body)).raise_for_status()
    # Other tests' machines are busy: their profile has more patience.
    replica = Replica(platform, "experiments", tmp_path, EXPERIMENTS_PROFILE="development")
    wire = Wire.spliced(replica.env, "SWITCHYARD_FLAGS_ADDRESS")
    web = httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{replica.http}", timeout=PATIENT, headers=token(org)
    )

    async def knows_us():
        return (await web.get("/api/v1/experiments/f")).status_code == 200

    async def begins():
        return (await web.post("/api/v1/experiments/f/start")).status_code == 200

    async with wire.joined(), running(replica), web:
        await replica.start()
        await until(knows_us, SOON, "the replica knows the organization")
        wire.hang()
        begun = time.monotonic()
        assert problem(await web.post("/api/v1/experiments/f/start")) == 503
        took = time.monotonic() - begun
        assert (await web.get("/api/v1/experiments/f")).json()["status"] == "DRAFT"
        wire.flow()
        await until(begins, SOON, "it begins")
    finding(
        "R9",
        "a replica of experiments keeps its connections to flags, which is silent",
        f"an experiment that was to begin did not, 503 with a sentence after {took:.1f} s, and began afterwards",
        partly=slower(took, 1.1, "a refusal"),
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


async def test_a_late_and_broken_database_is_not_queued_for(platform, org, tmp_path, finding):
    """Who would find no free connection in time is told so, at once; what is acknowledged is stored, once."""
    ids = await flags(org)
    options = {"timeout": PATIENT, "limits": httpx.Limits(max_connections=None)}
    async with wired(platform, tmp_path, FLAGS_DATABASE_POOL=str(POOL)) as (replica, wires):
        options["base_url"] = f"http://127.0.0.1:{replica.http}"
        sdk, web = httpx.AsyncClient(**options), httpx.AsyncClient(**options, headers=token(org))
        async with sdk, web:
            await known(sdk, org)
            before, asking = Asking(sdk, org.key), Asking(sdk, org.key)
            await before.times(100)
            ledgers = [Ledger(web, flag) for flag in ids]
            wires.database.late, wires.database.every = LATE, 100
            async with writing(ledgers) as told:
                await until(lambda: told() >= 2, SOON, "it is found out how late it is")
                crowd = await asyncio.gather(*(read(web, org) for _ in range(CROWD)))
                await asking.times(100)
                await until(
                    lambda: told() >= WRITES and wires.database.broken, SOON, "some are stored"
                )
                wires.database.late = wires.database.every = 0
                begun = time.monotonic()
            normal = time.monotonic() - begun
            await until(lambda: wires.database.now <= 2 * POOL, SOON, "no connection is left over")

            async def normal_again():
                return (await read(web, org))[0] == 200

            await until(normal_again, SOON, "reading goes on")
            for ledger in ledgers:
                await stored(org, ledger)
    refused = [took for status, took in crowd if status == 503]
    assert refused
    assert asking.refused == []
    # Four, those that are ending, and what cancels a query; not one for each who asks.
    assert wires.database.most <= CROWD / 4
    finding(
        "R5",
        f"answers of PostgreSQL {LATE * 1000:.0f} ms late, 1 % of the pieces reset ({wires.database.broken}"
        f" connections); {CROWD} readers at once and {WRITERS} writers, on {2 * POOL} connections",
        f"{len(refused)} of {CROWD} readers were 503 with Retry-After, half of them within"
        f" {statistics.median(refused) * 1000:.0f} ms, the last after {max(refused):.1f} s; {told()} keyed writes"
        f" acknowledged, each stored and logged once; of 100 evaluations none failed, p99"
        f" {asking.slowest(0.99) * 1000:.0f} ms ({before.slowest(0.99) * 1000:.0f} before); never more than"
        f" {wires.database.most} connections; all writers were done {normal:.1f} s after the end of it",
        partly=slower(max(refused), 2, "a refusal")
        + slower(max(took for _, took in crowd), 5, "an answer")
        + slower(normal, 5, "the way back"),
    )


async def flags(org):
    """Make a flag for each of the writers; return their ids."""
    made = [
        await org.post("/api/v1/feature-flags", json={"key": f"f{n}", "name": f"F{n}"})
        for n in range(WRITERS)
    ]
    return [one.raise_for_status().json()["id"] for one in made]


@contextlib.asynccontextmanager
async def writing(ledgers):
    """Write all the while, and until the last one is acknowledged; yield how many are."""
    tasks = [asyncio.create_task(ledger.write()) for ledger in ledgers]
    try:
        yield lambda: sum(len(ledger.acknowledged) for ledger in ledgers)
        for ledger in ledgers:
            ledger.stop = True
        async with asyncio.timeout(SOON):
            await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def read(web, org):
    """Read a flag; return the status and how long it took."""
    begun = time.monotonic()
    said = await web.get(org.flag)
    took = time.monotonic() - begun
    if said.status_code != 200:
        assert problem(said) == 503
        assert said.json()["code"] == "database_unavailable"
    return said.status_code, took


async def stored(org, ledger):
    async def all_there():
        return len(await entries(org, ledger.flag)) >= len(ledger.acknowledged)

    async def each_once():
        await holds(org, ledger)
        return True

    await until(all_there, SOON, "what was acknowledged is in the log")
    await until(each_once, SOON, "the log is read")
