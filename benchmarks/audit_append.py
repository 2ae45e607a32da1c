"""How many events a second the audit log takes: the real use-case on a real PostgreSQL, no gRPC in between.

    TEST_DATABASE_URL=postgresql://postgres@127.0.0.1:5432/postgres python benchmarks/audit_append.py

A run appends `--events` events of `--tenants` tenants in batches of `--batch`, by `--writers` callers at once, after a
warm-up; printed is the median of `--runs` and the best, the time on a processor that an event takes of this process and
of PostgreSQL (which says more on a shared machine), and beside it how long a lone append and a page of the list take.
The floor is COPY alone: the rows of the last run, with all indexes, under other tenants, with nothing else around it.
Bodies are those of a toggled flag, about 800 bytes. The log grows from run to run and stays (it is append-only): use
a database made for this.
"""

import argparse
import asyncio
import gc
import os
import random
import statistics
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import asyncpg
import uvloop
from uuid_utils.compat import uuid7

from audit.clients.seal import AesVault
from audit.domain.draft import Draft
from audit.domain.entry import PLATFORM, Origin
from audit.domain.wanted import Wanted
from audit.main import collect_seldom
from audit.store.log import _COLUMNS
from audit.store.work import sql_work
from audit.usecases.reader import Reader
from audit.usecases.recorder import Recorder
from chassis.caller import Caller
from chassis.db import database
from chassis.facts import Actor, Target
from chassis.pages import PageAsk
from schemas.migrate import migrate

SERVICE = Caller(subject="bench", tenant=PLATFORM, permissions=frozenset({"audit:append"}))


VAULT = AesVault("for measuring only, worth nothing")


def now():
    return datetime.now(UTC)


def draft(tenant, dice):
    on = dice.random() < 0.5
    flag = dice.randrange(1000)
    document = {"id": str(uuid7()), "key": f"flag-{flag}", "name": f"Flag {flag}", "version": flag}
    return Draft(
        event_id=str(uuid7()),
        tenant_id=str(tenant),
        occurred_at=now(),
        actor=Actor("user", f"user-{dice.randrange(200)}", "ana@example.com", "session-1"),
        action="flag.toggle_enabled" if on else "flag.toggle_disabled",
        target=Target("flag", f"flag-{flag}", f"Flag {flag}"),
        origin=Origin(
            ip="192.0.2.1", request_id=uuid7().hex, trace_id=uuid7().hex, service="flags"
        ),
        before={**document, "status": "disabled" if on else "enabled"},
        after={**document, "status": "enabled" if on else "disabled"},
        reason="benchmark",
    )


async def appended(recorder, batches, writers):
    """Append every batch; return events per second."""
    queue = list(batches)

    async def write():
        while queue:
            await recorder.append(SERVICE, queue.pop())

    begun = time.perf_counter()
    await asyncio.gather(*(write() for _ in range(writers)))
    return sum(map(len, batches)) / (time.perf_counter() - begun)


async def timed(action, times):
    """Return the median milliseconds of an action."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        await action()
        taken.append(1000 * (time.perf_counter() - begun))
    return statistics.median(taken)


def worked():
    """Return the seconds of processor time that this process and the PostgreSQL of this machine have taken."""
    theirs = 0
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/stat") as told:
                command, _, rest = told.read().rpartition(")")
        except (OSError, ValueError):
            continue
        if "postgres" in command:
            theirs += sum(map(int, rest.split()[11:13]))
    return time.process_time(), theirs / os.sysconf("SC_CLK_TCK")


async def measure_floor(role, tenants, given):
    """COPY what the log holds, and nothing else."""
    there = await asyncpg.connect(role)
    query = f"SELECT {', '.join(_COLUMNS)} FROM audit.entry WHERE tenant = $1 ORDER BY seq LIMIT $2"
    most = given.events // len(tenants)
    strands = [await there.fetch(query, tenant, most) for tenant in tenants]
    others = [uuid7() for _ in tenants]
    rows = [
        (other, row["seq"], uuid7(), *tuple(row)[3:])
        for turn in zip(*strands, strict=False)
        for other, row in zip(others, turn, strict=True)
    ]
    begun, (_, before) = time.perf_counter(), worked()
    for at in range(0, len(rows), 1_000):
        async with there.transaction():
            await there.copy_records_to_table(
                "entry", schema_name="audit", columns=_COLUMNS, records=rows[at : at + 1_000]
            )
    taken, theirs = time.perf_counter() - begun, worked()[1] - before
    print(f"floor, COPY alone: {len(rows) / taken:,.0f} events/s,", end=" ")
    print(f"{theirs / len(rows) * 1e6:.0f} µs of PostgreSQL each")
    await there.close()


async def measure(work, tenants, given):
    dice = random.Random(7)
    recorder = Recorder(work, now, os.urandom, VAULT)

    def batches(events):
        return [
            [draft(dice.choice(tenants), dice) for _ in range(given.batch)]
            for _ in range(events // given.batch)
        ]

    await appended(recorder, batches(5 * given.batch), 1)
    rates, spent = [], []
    for _ in range(given.runs):
        made = batches(given.events)
        gc.collect()
        gc.freeze()  # what was made beforehand would come off the wire
        before = worked()
        rates.append(await appended(recorder, made, given.writers))
        after = worked()
        spent.append([(b - a) / given.events * 1e6 for a, b in zip(before, after, strict=True)])
    ours, theirs = (statistics.median(one) for one in zip(*spent, strict=True))
    print(
        f"append, batches of {given.batch}, {given.writers} writers: {statistics.median(rates):,.0f} events/s,"
        f" best {max(rates):,.0f}; each takes {ours:.0f} µs of this process, {theirs:.0f} µs of PostgreSQL"
    )
    print("  runs:", ", ".join(f"{rate:,.0f}" for rate in rates))
    lone = await timed(lambda: recorder.append(SERVICE, [draft(tenants[0], dice)]), 100)
    print(f"append, one event alone: {lone:.2f} ms")


async def measure_reading(work, tenant):
    reader = Reader(work)
    caller = Caller(subject="bench", tenant=tenant, permissions=frozenset({"audit:read"}))
    total = (await reader.search(caller, Wanted(), PageAsk())).part.total
    asked = {
        "first page": (Wanted(), PageAsk()),
        "deepest page": (Wanted(), PageAsk(page=max(1, total // 50))),
        "one actor": (Wanted(user_id="user-7"), PageAsk()),
        "one flag": (Wanted(entity_id="flag-7"), PageAsk()),
        "one action": (Wanted(action_type="toggle_enabled"), PageAsk()),
        "a word": (Wanted(q="flag-77"), PageAsk()),
    }
    for name, (wanted, ask) in asked.items():
        taken = await timed(lambda w=wanted, a=ask: reader.search(caller, w, a), 20)
        print(f"list of {total:,}, {name}: {taken:.2f} ms")


async def main(given):
    collect_seldom()
    admin = os.environ["TEST_DATABASE_URL"]
    url = urlsplit(admin)
    role = url._replace(netloc=f"bench_audit:bench@{url.netloc.rpartition('@')[2]}").geturl()
    await migrate("audit", role, admin)
    tenants = [uuid7() for _ in range(given.tenants)]
    async with database(role, "audit") as sessions:
        await measure(sql_work(sessions, VAULT), tenants, given)
        await measure_floor(role, tenants, given)
        await measure_reading(sql_work(sessions, VAULT), tenants[0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (
        ("events", 50_000),
        ("batch", 500),
        ("tenants", 4),
        ("writers", 4),
        ("runs", 5),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    uvloop.run(main(parser.parse_args()))
