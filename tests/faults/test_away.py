"""PostgreSQL is dead, or hangs; Valkey is dead: what goes on under the mixed load, and what is refused (R3, R4, R6).

Dead is: every process of it killed, and what the supervisor starts in its place ends at once, since its configuration
is away. Then it is put back, and nobody helps.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections import Counter

import asyncpg
import httpx
import pytest

from tests.faults.asking import problem
from tests.faults.lengths import length, shorter
from tests.faults.mixed import Mix, p99, statuses
from tests.faults.replicas import family, memory
from tests.faults.table import slower
from tests.faults.test_frozen import frozen
from tests.faults.test_replicas import organized, written
from tests.waiting import until

pytestmark = pytest.mark.journey

BEFORE = length(3, 30)  # seconds of load before the fault
AWAY = length(3, 30)  # of PostgreSQL
AWAY_VALKEY = length(3, 60)
SOON = 120  # seconds within which all is well again, on the slowest machine
CROWD = 40  # writers at once
GROWTH = 64  # MiB
POOL = 10  # connections of a service, the ones for a rush among them
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'flags'"
TRANSACTIONS = "SELECT sum(xact_commit + xact_rollback)::bigint FROM pg_stat_database"
NEEDS = {"postgres": "postgres/postgresql.conf", "valkey": "run/valkey.conf"}


@contextlib.contextmanager
def dead(platform, name):
    """Kill every process of it, and let none start again."""
    place = platform.data / NEEDS[name]
    aside = place.with_suffix(".aside")
    place.rename(aside)
    try:
        for pid in family(platform.pid(name)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        yield
    finally:
        aside.rename(place)


@pytest.fixture
async def org(platform):
    """An organization whose stream is known."""
    await until(platform.healthy, SOON)
    async with organized(platform.url) as web:

        async def known():
            async with httpx.AsyncClient(base_url=platform.url, timeout=20) as sdk:
                said = await sdk.post(
                    "/ofrep/v1/evaluate/flags",
                    json={"context": {"targetingKey": "u"}},
                    headers={"x-api-key": web.key},
                )
            return said.json()["eventStreams"][0]["url"] if said.status_code == 200 else None

        web.stream_of = await until(known, SOON, "the key is known")
        yield web


async def asked(question):
    """Ask PostgreSQL as its administrator."""
    there = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        return await there.fetchval(question)
    finally:
        await there.close()


class Spell:
    """One fault under the mixed load: when it began and ended, and what was answered before, meanwhile and after."""

    def __init__(self, mix):
        self.mix, self.began, self.ended, self.failed = mix, 0.0, 0.0, 0.0

    @contextlib.asynccontextmanager
    async def of(self, fault, *, more=None):
        """Put the fault between two spans of load; `more` load than the mix is already there before it."""
        first = time.monotonic()
        await asyncio.gather(
            asyncio.sleep(BEFORE), *([more()] if more else [])
        )  # what to measure by
        with fault:
            self.began = time.monotonic()
            yield
            self.ended = time.monotonic()
        self.first, self.failed = first, await self.mix.calm(SOON)

    @property
    def normal(self):
        """The seconds after the fault in which something still failed."""
        return max(0.0, self.failed - self.ended)

    def before(self, kind):
        return self.mix.of(kind, self.first, self.began)

    def meanwhile(self, kind):
        return self.mix.of(kind, self.began, self.ended)

    def evaluated(self):
        """Say how evaluation went: what failed is told, and most may not have.

        On a machine that is busy a request can miss its five seconds, and a service its health checks.
        """
        answers, meanwhile = (
            self.mix.of("evaluate", self.first, time.monotonic()),
            self.meanwhile("evaluate"),
        )
        assert 2 * statuses(meanwhile)[200] > len(meanwhile), told(meanwhile)
        self.lost = [a for a in answers if a.status != 200]
        self.quick, self.still = p99(self.before("evaluate")), p99(self.meanwhile("evaluate"))
        return (
            f"{len(self.lost)} of {len(answers)} evaluations failed, p99 {self.still * 1000:.0f} ms"
            f" ({self.quick * 1000:.0f} before)"
        )

    def short_of(self):
        """Return what `partly` says of evaluation."""
        times, lost = self.still / self.quick, self.lost
        return (f"{len(lost)} evaluations failed ({told(lost)}), wanted 0; " if lost else "") + (
            f"p99 grew {times:.1f}× in this run, wanted ≤ 2×; " if times > 2 else ""
        )


def told(answers):
    """Say how many were answered what."""
    return ", ".join(f"{n} × {status}" for status, n in sorted(statuses(answers).items()))


def refusals(spell):
    """Check that no write that began meanwhile was done, and say how late the latest refusal was, in seconds."""
    writes = spell.meanwhile("write")
    assert writes
    assert 200 not in statuses(w for w in writes if w.ended < spell.ended), told(writes)
    return max((w.took for w in writes if w.status >= 500), default=0.0)


async def test_evaluation_goes_on_while_postgres_is_dead(platform, org, finding):
    async with Mix(org).running() as mix:
        spell = Spell(mix)
        async with spell.of(dead(platform, "postgres")):
            await asyncio.sleep(AWAY)  # how long it is away is the fault
        late, served = refusals(spell), spell.evaluated()
    await written(org, mix)
    finding(
        "R3",
        f"every process of PostgreSQL killed, and none could start for {AWAY} s, under the mixed load",
        f"{served}; of writes {told(spell.meanwhile('write'))}, each refusal with Retry-After and after {late:.1f} s at"
        f" most, of reads {told(spell.meanwhile('read'))}, of streams {told(spell.meanwhile('stream'))}; nothing failed"
        f" any more {spell.normal:.1f} s after; {len(mix.changes)} writes acknowledged, each logged once",
        partly=spell.short_of()
        + slower(late, 2, "a refusal")
        + slower(spell.normal, 5, "the way back")
        + shorter(f"{AWAY} s, not 30"),
    )


async def test_evaluation_goes_on_while_postgres_hangs(platform, org, finding):
    before = memory(platform.pid("flags"), "VmRSS")
    async with Mix(org).running() as mix:
        spell = Spell(mix)
        async with spell.of(frozen(platform, "postgres"), more=lambda: crowded(org)):
            crowd = asyncio.create_task(crowded(org))
            await asyncio.sleep(AWAY)  # how long it hangs is the fault
            assert 200 not in await crowd
        late, served = refusals(spell), spell.evaluated()
    await written(org, mix)

    async def let_go():
        return await asked(CONNECTIONS) <= POOL

    await until(let_go, SOON, "no more connections than the pool has")
    after = memory(platform.pid("flags"), "VmRSS")
    assert after - before < GROWTH
    finding(
        "R4",
        f"SIGSTOP to every process of PostgreSQL for {AWAY} s under the mixed load, and {CROWD} writes more at once, as"
        " also before",
        f"{served}; of writes {told(spell.meanwhile('write'))}, each refusal with Retry-After and after {late:.1f} s at"
        f" most; nothing failed any more {spell.normal:.1f} s after SIGCONT; flags had no more than its {POOL}"
        f" connections and {after:.0f} MiB ({before:.0f} before); {len(mix.changes)} writes acknowledged, each logged"
        " once",
        partly=spell.short_of()
        + slower(late, 2, "a refusal")
        + slower(spell.normal, 5, "the way back")
        + shorter(f"{AWAY} s, not 30"),
    )


async def crowded(org):
    """Write much at once; return how many were done, and how many refused."""
    body = {"description": "we all"}
    async with httpx.AsyncClient(
        base_url=org.base_url, timeout=SOON, headers={"authorization": org.headers["authorization"]}
    ) as web:
        said = await asyncio.gather(*(web.patch(org.flag, json=body) for _ in range(CROWD)))
    return Counter(200 if one.status_code == 200 else problem(one) for one in said)


class Rate:
    """How often PostgreSQL is asked for something, in a second."""

    async def since(self):
        self._begun, self._from = time.monotonic(), await asked(TRANSACTIONS)

    async def now(self):
        """Return the rate since the last time."""
        begun, before = self._begun, self._from
        await self.since()
        return (self._from - before) / (self._begun - begun)


async def test_everything_goes_on_while_valkey_is_dead(platform, org, finding):
    """Changes are served all the while; nobody falls upon PostgreSQL instead."""
    rate, seen = Rate(), []
    async with Mix(org).running() as mix:
        spell = Spell(mix)
        await rate.since()
        async with spell.of(dead(platform, "valkey")):
            usual, end = max(1, await rate.now()), time.monotonic() + AWAY_VALKEY
            while time.monotonic() < end:
                seen.append(await switched(org, on=len(seen) % 2 == 0))
                await asyncio.sleep(0.5)
            without = await rate.now()
        again = await rate.now()
        served = spell.evaluated()
    await written(org, mix)
    failed = [a for a in mix.answers if a.status >= 500]
    assert len(failed) < len(mix.answers) / 2, told(failed)
    most = max(without, again)
    finding(
        "R6",
        f"Valkey killed, and could not start for {AWAY_VALKEY} s, under the mixed load",
        f"{len(failed)} of {len(mix.answers)} requests were 5xx; {served}; {len(seen)} changes, each served after"
        f" {max(seen):.2f} s at most; PostgreSQL had {usual:.0f} transactions a second before, {without:.0f} meanwhile,"
        f" {again:.0f} after; {len(mix.changes)} writes acknowledged, each logged once",
        partly=(f"{len(failed)} failed ({told(failed)}), wanted 0; " if failed else "")
        + slower(max(seen), 10, "a change")
        + (f"PostgreSQL was asked {most / usual:.1f}× as often; " if most > 2 * usual else "")
        + shorter(f"{AWAY_VALKEY} s, not 60"),
    )


async def done(org, path, body):
    """Do it, again where a busy machine has no connection free; return the answer, and when it was asked for."""
    while True:
        begun = time.monotonic()
        said = await org.post(path, json=body)
        if said.is_success:
            return said.json(), begun
        problem(said)
        await asyncio.sleep(1)


async def switched(org, *, on):
    """Switch a flag; return the seconds until it is served."""
    if not hasattr(org, "other"):
        made, _ = await done(org, "/api/v1/feature-flags", {"key": "g", "name": "G"})
        org.other = f"/api/v1/feature-flags/{made['id']}"
    _, begun = await done(org, f"{org.other}/{'enable' if on else 'disable'}", {"reason": "seen?"})

    async def served():
        async with httpx.AsyncClient(base_url=org.base_url, timeout=20) as sdk:
            said = await sdk.post(
                "/ofrep/v1/evaluate/flags/g",
                json={"context": {"targetingKey": "u"}},
                headers={"x-api-key": org.key},
            )
        return said.json()["reason"] == ("STATIC" if on else "DISABLED")

    await until(served, SOON, "the change is served")
    return time.monotonic() - begun
