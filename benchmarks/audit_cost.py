"""What auditing costs, and how soon a change is seen.

    python -m yard with -- python benchmarks/audit_cost.py seen                       # through the real gateway
    python -m yard with -- python benchmarks/audit_cost.py relay                      # outbox → gRPC → log, all real
    python -m yard with --database-only -- python benchmarks/audit_cost.py toggle     # the real use-case on PostgreSQL
    python -m yard with --database-only -- python benchmarks/audit_cost.py export     # a million entries

seen: from the answer to a toggle to the first list that shows its entry, p50 and p99. relay: facts laid into the outbox
of the running flags in one transaction, and how many a second its relay brings into the log of the running audit,
one batch after the other as it always does; their order and number are checked. toggle: the same toggles with and
without the recorded fact, alternating, so that whatever else the machine does meets both; the median of each and of
the differences of neighbours. export: the memory of the process (RSS) before, at its highest, and after.
"""

import argparse
import asyncio
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


def _said(pid, name):
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""


def _ancestors(pid):
    while pid > 1:
        yield pid
        pid = int((_said(pid, "stat").rpartition(")")[2].split() or "00")[1])


def worked():
    """Return the seconds of processor time of flags, audit and PostgreSQL of the platform that runs this command."""
    ours = {pid for pid in _ancestors(os.getpid()) if "yard" in _said(pid, "cmdline")}
    names = {"flags": "-m flags serve", "audit": "-m audit serve", "postgres": "postgres"}
    spent = dict.fromkeys(names, 0.0)
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        command = _said(pid, "cmdline").replace("\0", " ")
        name = next((n for n, said in names.items() if said in command), None)
        if name and pid != os.getpid() and ours & set(_ancestors(pid)):
            taken = sum(map(int, _said(pid, "stat").rpartition(")")[2].split()[11:13]), 0)
            spent[name] += taken / os.sysconf("SC_CLK_TCK")
    return spent


async def relay(given):
    from sqlalchemy import text

    from chassis.facts import Actor, Fact, Target
    from chassis.outbox import record
    from flags.store.tables import Outbox

    count = min(given.rows, 20_000)
    async with database(os.environ["DATABASE_URL"], "flags") as sessions:

        async def asked(query, **values):
            async with transaction(sessions) as session:
                return await session.scalar(text(query), values)

        rates, costs = [], []
        for _ in range(5):
            tenant = uuid7()
            async with transaction(sessions) as session:
                for number in range(count):
                    status = {
                        "key": f"flag-{number % 1000}",
                        "name": "Dark mode",
                        "version": number,
                    }
                    fact = Fact(
                        tenant=tenant,
                        actor=Actor("user", f"user-{number % 200}", "ana@example.com", "session-1"),
                        action="flag.toggle_enabled",
                        target=Target("flag", f"flag-{number % 1000}", "Dark mode"),
                        before={**status, "status": "disabled"},
                        after={**status, "status": "enabled"},
                        reason="benchmark",
                    )
                    record(session, Outbox, fact, lambda: None)
            left, begun, before = count, time.perf_counter(), worked()
            while left:
                was, left = left, await asked("SELECT count(*) FROM flags.outbox")
                if was == left == count:  # the relay has not looked yet
                    begun = time.perf_counter()
                await asyncio.sleep(0.1)
            rates.append(count / (time.perf_counter() - begun))
            after = worked()
            costs.append({name: (after[name] - before[name]) / count * 1e6 for name in after})
            there = "SELECT count(*) FROM audit.entry WHERE tenant = :tenant AND seq <= :count"
            assert await asked(there, tenant=tenant, count=count) == count, "facts are missing"
    print(
        f"relay → gRPC → log, {count:,} facts of one service: {statistics.median(rates):,.0f} facts/s"
        f" (runs: {', '.join(f'{rate:,.0f}' for rate in rates)}); each takes "
        + ", ".join(
            f"{statistics.median(one[name] for one in costs):.0f} µs of {name}" for name in costs[0]
        )
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
    parser.add_argument("what", choices=("seen", "relay", "toggle", "export"))
    parser.add_argument("--times", type=int, default=300)
    parser.add_argument("--rows", type=int, default=1_000_000)
    asked = parser.parse_args()
    uvloop.run(
        {"seen": seen, "relay": relay, "toggle": toggle, "export": export}[asked.what](asked)
    )
