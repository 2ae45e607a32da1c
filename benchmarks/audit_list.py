"""How fast the audit log is read at five million rows: pages, exact totals, proofs.

    python -m yard with --database-only -- python benchmarks/audit_list.py

It fills a log of its own by COPY (`--rows`), builds the indexes, signs the tree, and prints the median of `--times`
reads of a page of 50: for each filter the first page and a deep one. "in db" is the time of the read's SQL statements
alone, median and best (on a shared machine the best says more); "whole" is the use-case with all around it.

Filling takes two minutes for a million rows where nothing else runs, and 3 GB. The throw-away database is gone
afterwards; in one that stays, whose superuser's URL is TEST_DATABASE_URL, the next run finds its log of `--rows`
entries again:

    TEST_DATABASE_URL=postgresql://postgres@127.0.0.1:5432/bench python benchmarks/audit_list.py --rows 1000000
"""

import argparse
import os
import random
import statistics
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import asyncpg
import uvloop
from sqlalchemy import event
from uuid_utils.compat import uuid7

from audit.clients.seal import AesVault
from audit.clients.signer import new_key, signing
from audit.domain.entry import Event, instant
from audit.domain.merkle import Frontier, leaf_hash
from audit.domain.wanted import Wanted
from audit.domain.writing import prepared
from audit.store.log import _COLUMNS
from audit.store.work import sql_work
from audit.usecases.prover import Prover
from audit.usecases.reader import Reader
from audit.usecases.signer import Signer
from chassis.caller import Caller
from chassis.db import database
from chassis.facts import Actor, Target
from chassis.pages import PageAsk
from schemas.migrate import migrate

VAULT = AesVault("for measuring only, worth nothing")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ACTIONS = (
    "flag.updated",
    "flag.toggle_enabled",
    "flag.toggle_disabled",
    "vm.created",
    "user.updated",
)


def rows(tenant, count, tree):
    """Yield entries as the table holds them: bodies of 0.5 kB, no personal parts (keys are not what is measured)."""
    dice = random.Random(7)
    counts = {}
    template = prepared(
        Event(
            id=tenant,
            tenant=tenant,
            occurred_at=BEGIN,
            actor=Actor("service", "@actor@", "bench", "session-1"),
            action="@action@.x",
            target=Target("flag", "@entity@", "Dark mode"),
            after={"status": "enabled"},
            before={"status": "disabled"},
            reason="benchmark",
        ),
        bytes(32),
    )
    begin = template.begin.decode().replace("@action@.x", "@action@")
    for seq in range(1, count + 1):
        actor, entity = f"user-{dice.randrange(500)}", f"flag-{dice.randrange(20000)}"
        action = ACTIONS[min(int(dice.expovariate(1)), 4)]
        outcome = "success" if dice.random() < 0.99 else "denied"
        ts = BEGIN + timedelta(milliseconds=3 * seq)
        uid = uuid7()
        head = begin.replace("@actor@", actor).replace("@action@", action)
        head = head.replace(f'"id":"{tenant}"', f'"id":"{uid}"').replace(
            '"success"', f'"{outcome}"'
        )
        middle = template.middle.decode().replace("@entity@", entity)
        body = f'{head},"seq":{seq},{middle},"ts":"{instant(ts)}","v":2}}'.encode()
        verb = action.partition(".")[2]
        strands = (actor, entity, "flag", verb, action, outcome)
        ordinals = []
        for which, value in enumerate(strands):
            counts[which, value] = number = counts.get((which, value), 0) + 1
            ordinals.append(number)
        leaf = leaf_hash(body)
        tree.grow(leaf)
        words = f"{action}\n{actor}\nbench\nflag\n{entity}\ndark mode\nbenchmark"
        place = (tenant, seq, uid, ts, actor, entity, "flag", verb, action, outcome)
        yield (*place, *ordinals, words, body, leaf, None, None)


async def there_already(role, count):
    """Return whose log of so many entries an earlier run has left; None for none."""
    there = await asyncpg.connect(role)
    found = await there.fetchval("SELECT tenant FROM audit.head WHERE seq = $1", count)
    await there.close()
    return found


async def filled(role, tenant, count):
    """Fill the log and build its indexes; return nothing but what it costs."""
    there = await asyncpg.connect(role, command_timeout=3600)
    tree, begun = Frontier(), time.perf_counter()
    kept = await there.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'audit' AND tablename = 'entry'"
        " AND indexname <> 'entry_pkey'"
    )
    for index in kept:
        await there.execute(f"DROP INDEX audit.{index['indexname']}")
    await there.copy_records_to_table(
        "entry", schema_name="audit", columns=_COLUMNS, records=rows(tenant, count, tree)
    )
    copied = time.perf_counter()
    await there.execute("SET maintenance_work_mem = '512MB'")
    for index in kept:
        await there.execute(index["indexdef"])
    await there.execute(
        "INSERT INTO audit.head (tenant, seq, ts, leaves, edge) VALUES ($1, $2, $3, $2, $4)",
        tenant,
        count,
        BEGIN + timedelta(milliseconds=3 * count),
        tree.packed(),
    )
    await there.execute("VACUUM ANALYZE audit.entry")
    print(
        f"{count:,} rows: COPY {copied - begun:.0f} s, indexes {time.perf_counter() - copied:.0f} s"
    )
    size = await there.fetchval("SELECT pg_size_pretty(pg_total_relation_size('audit.entry'))")
    print(f"table with indexes: {size}")
    await there.close()


class Stopwatch:
    """Adds up what the statements of a read take."""

    def __init__(self, engine):
        self.spent = 0.0
        event.listen(engine, "before_cursor_execute", self._begin)
        event.listen(engine, "after_cursor_execute", self._end)

    def _begin(self, *_):
        self._at = time.perf_counter()

    def _end(self, *_):
        self.spent += time.perf_counter() - self._at


async def timed(action, watch, times):
    whole, inside = [], []
    for _ in range(times):
        watch.spent, begun = 0.0, time.perf_counter()
        await action()
        whole.append(1000 * (time.perf_counter() - begun))
        inside.append(1000 * watch.spent)
    return statistics.median(inside), min(inside), statistics.median(whole)


async def measure(sessions, tenant, given):
    watch = Stopwatch(sessions.kw["bind"].sync_engine)
    reader = Reader(sql_work(sessions, VAULT))
    caller = Caller(subject="bench", tenant=tenant, permissions=frozenset({"audit:read"}))
    last = BEGIN + timedelta(milliseconds=3 * given.rows)
    asked = {
        "everything": {},
        "user_id": {"user_id": "user-7"},
        "entity_id": {"entity_id": "flag-77"},
        "entity_type": {"entity_type": "flag"},
        "action_type (verb)": {"action_type": "updated"},
        "action_type (whole)": {"action_type": "vm.created"},
        "outcome": {"outcome": "denied"},
        "half the time": {"from_date": BEGIN + (last - BEGIN) / 4, "to_date": BEGIN + 3 * (last - BEGIN) / 4},
        "user_id, half the time": {"user_id": "user-7", "from_date": BEGIN + (last - BEGIN) / 2},
        "user_id + action_type": {"user_id": "user-7", "action_type": "vm.created"},
        "action_type + outcome": {"action_type": "updated", "outcome": "denied"},
        "entity_type + outcome": {"entity_type": "flag", "outcome": "denied"},
        "q, one in 500": {"q": "user-77"},
    }  # fmt: skip
    print(f"{'page of 50, ms':<24} {'first: db':>12} {'best':>6} {'whole':>7}", end="")
    print(f" {'deep: db':>12} {'best':>6} {'whole':>7}   total")
    for name, filters in asked.items():
        wanted = Wanted(**filters)
        found = await reader.search(caller, wanted, PageAsk())
        total = found.part.total
        deep = PageAsk(page=max(1, int(total * 0.9) // 50))
        first = await timed(
            lambda w=wanted: reader.search(caller, w, PageAsk()), watch, given.times
        )
        far = await timed(lambda w=wanted, a=deep: reader.search(caller, w, a), watch, given.times)
        print(
            f"{name:<24} {first[0]:>12.2f} {first[1]:>6.2f} {first[2]:>7.2f}"
            f" {far[0]:>12.2f} {far[1]:>6.2f} {far[2]:>7.2f}"
            f"   {total:,} {found.relation} (page {deep.page:,})"
        )
    await measure_proofs(sessions, caller, given)


async def measure_proofs(sessions, caller, given):
    work = sql_work(sessions, VAULT)
    signer = Signer(work, VAULT, lambda: datetime.now(UTC), "bench.example", new_key, signing)
    begun = time.perf_counter()
    signed = await signer.sign(caller.tenant)
    print(f"tiling and signing {signed.size:,} leaves at once: {time.perf_counter() - begun:.1f} s")
    dice = random.Random(3)
    async with work() as one:
        seqs = [dice.randrange(1, signed.size) for _ in range(given.times)]
        ids = [(await one.log.these(caller.tenant, [seq]))[0].event.id for seq in seqs]
    prover, taken = Prover(work, signer), []
    for event_id in ids:
        begun = time.perf_counter()
        await prover.proof(caller, event_id)
        taken.append(1000 * (time.perf_counter() - begun))
    print(f"inclusion proof: {statistics.median(taken):.2f} ms, best {min(taken):.2f}")


async def main(given):
    admin = os.environ["TEST_DATABASE_URL"]
    url = urlsplit(admin)
    role = url._replace(netloc=f"bench_audit:bench@{url.netloc.rpartition('@')[2]}").geturl()
    await migrate("audit", role, admin)
    if (tenant := await there_already(role, given.rows)) is None:
        tenant = uuid7()
        await filled(role, tenant, given.rows)
    async with database(role, "audit") as sessions:
        await measure(sessions, tenant, given)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--times", type=int, default=40)
    uvloop.run(main(parser.parse_args()))
