"""What auditing costs, and how soon a change is seen.

    python -m yard with -- python benchmarks/audit_cost.py seen                       # through the real gateway
    python -m yard with --database-only -- python benchmarks/audit_cost.py toggle     # the real use-case on PostgreSQL
    python -m yard with --database-only -- python benchmarks/audit_cost.py export     # a million entries

seen: from the answer to a toggle to the first list that shows its entry, p50 and p99. toggle: the same toggles with and
without the recorded fact, alternating, so that whatever else the machine does meets both; the median of each and of
the differences of neighbours. export: the memory of the process (RSS) before, at its highest, and after.
"""

import argparse
import os
import resource
import statistics
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import uvloop
from uuid_utils.compat import uuid7

from chassis.caller import Caller
from chassis.db import database, transaction
from schemas.migrate import migrate


def now():
    return datetime.now(UTC)


async def role_of(service):
    """Migrate a service's schema; return the URL of its role."""
    admin = os.environ["TEST_DATABASE_URL"]
    url = urlsplit(admin)
    where = url.netloc.rpartition("@")[2]
    role = url._replace(netloc=f"bench_{service}:bench@{where}").geturl()
    await migrate(service, role, admin)
    return role


def of(values, part):
    return sorted(values)[min(len(values) - 1, int(part * len(values)))]


async def seen(given):
    from main_job import prepare, until_visible

    url = os.environ["SWITCHYARD_URL"]
    async with httpx.AsyncClient(base_url=url, timeout=10) as web:
        flag, _ = await prepare(web)
        await until_visible(web, flag, 10)
        run = await until_visible(web, flag, given.times)
    taken = [1000 * one for one in run.latencies]
    print(
        f"toggle → visible, {len(taken)} times: p50 {of(taken, 0.5):.0f} ms, p99 {of(taken, 0.99):.0f} ms"
    )


class Silent:
    """A work that leaves no fact."""

    def __init__(self, work):
        self._work = work

    def __getattr__(self, name):
        return getattr(self._work, name)

    def record(self, fact):
        """Leave nothing."""


class NoNews:
    def tell(self, place, revision):
        """Announce nothing: what replicas hear is not what is measured."""


async def toggle(given):
    from flags.domain.flag import Draft
    from flags.domain.place import Place
    from flags.store.work import sql_work
    from flags.usecases.flags import Aim, Flags

    tenant = uuid7()
    rights = frozenset({"flag:create", "flag:toggle", "flag:read"})
    caller = Caller(subject="bench", tenant=tenant, permissions=rights)
    place = Place(tenant, "default", "production")
    async with database(await role_of("flags"), "flags") as sessions:
        told = sql_work(sessions, lambda: None, NoNews())

        @asynccontextmanager
        async def silent():
            async with told() as work:
                yield Silent(work)

        ways = [Flags(told, now, uuid7), Flags(silent, now, uuid7)]
        await ways[0].create(caller, place, Draft(key="bench", name="Bench"))
        aim = Aim(flag="bench", place=place, reason="benchmark")
        taken = [[], []]
        for turn in range(given.times + 20):
            for which in (0, 1) if turn % 2 else (1, 0):
                begun = time.perf_counter()
                await ways[which].toggle(caller, aim)
                taken[which].append(1000 * (time.perf_counter() - begun))
        audited, bare = taken[0][20:], taken[1][20:]
        more = statistics.median(a - b for a, b in zip(audited, bare, strict=True))
        with_fact, without = statistics.median(audited), statistics.median(bare)
        print(
            f"toggle: {with_fact:.2f} ms with its fact, {without:.2f} ms without:"
            f" {100 * (with_fact / without - 1):.1f} % (median of the differences {more:.2f} ms)"
        )
        async with transaction(sessions) as session:
            from sqlalchemy import text

            kept = await session.scalar(text("SELECT count(*) FROM flags.outbox"))
        assert kept == len(taken[0]) + 1, (
            "the fact was not recorded, or the silent toggle recorded one"
        )


def rss():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def export(given):
    from audit_list import VAULT, filled

    from audit.clients.signer import new_key, signing
    from audit.domain.wanted import Wanted
    from audit.store.work import sql_work
    from audit.usecases.exporter import Exporter
    from audit.usecases.recorder import Recorder
    from audit.usecases.signer import Signer

    role, tenant = await role_of("audit"), uuid7()
    await filled(role, tenant, given.rows)
    caller = Caller(subject="bench", tenant=tenant, permissions=frozenset({"audit:export"}))
    async with database(role, "audit") as sessions:
        work = sql_work(sessions, VAULT)
        signer = Signer(work, VAULT, now, "bench.example", new_key, signing)
        exporter = Exporter(work, Recorder(work, now, os.urandom, VAULT), signer, now, uuid7)
        await signer.sign(tenant)
        for form in ("jsonl", "csv"):
            before, highest, size, begun = rss(), 0.0, 0, time.perf_counter()
            async for part in await exporter.export(caller, Wanted(), form):
                size += len(part)
                highest = max(highest, rss())
            taken = time.perf_counter() - begun
            print(
                f"export of {given.rows:,} entries as {form}: {size / 2**20:,.0f} MiB in {taken:.0f} s"
                f" ({given.rows / taken:,.0f}/s); RSS before {before:.0f} MiB, highest {highest:.0f},"
                f" after {rss():.0f}"
            )
    print(
        f"highest ever, filling included: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=("seen", "toggle", "export"))
    parser.add_argument("--times", type=int, default=300)
    parser.add_argument("--rows", type=int, default=1_000_000)
    asked = parser.parse_args()
    uvloop.run({"seen": seen, "toggle": toggle, "export": export}[asked.what](asked))
