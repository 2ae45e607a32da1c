"""Two replicas with the clockwork, one of which freezes or is killed in the middle of a transition (R21).

In the middle: it has claimed the change and stands at the flag's row, which the test holds.
"""

import contextlib
import signal
from collections import Counter

import asyncpg
import httpx
import pytest

from tests.faults.replicas import ROOT, Replica, running
from tests.faults.test_clocks import At, a_flag, done, entries, registered_at, scheduled
from tests.faults.test_upgrade import Database
from tests.waiting import until

pytestmark = pytest.mark.journey

WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'"
    " AND query ILIKE '%flag%'"
)


async def test_a_change_is_made_once_when_who_makes_it_freezes_or_dies(platform, tmp_path, finding):
    await until(platform.healthy, 60)
    async with Database(platform).made() as database:
        await database.migrate(platform, ROOT)
        own = {"FLAGS_DATABASE_URL": database.url}
        pair = [Replica(platform, "flags", tmp_path, jobs=True, **own) for _ in range(2)]
        async with running(*pair), httpx.AsyncClient(timeout=20) as web:
            await pair[0].start()
            await registered_at(platform, web)
            flag = await a_flag(At(web, pair[0]))
            await pair[1].start()
            told = await in_the_middle(database, web, flag, pair, signal.SIGSTOP)
            told += await in_the_middle(database, web, flag, pair, signal.SIGKILL)
            await each_is_told_once(platform, web, flag, told)
    finding(
        "R21",
        "of two replicas one has claimed a change and stands in the middle of making it: SIGSTOP, then SIGCONT when the"
        " other has made it; another time kill -9",
        "each change made once by the other, and in the log once",
    )


async def in_the_middle(database, web, flag, pair, how):
    """Stop who makes a change in the middle, and see the other make it; return the reasons of all changes asked for."""
    maker, other = pair
    reasons, stands = [], False
    other.process.send_signal(signal.SIGSTOP)
    for seconds in (3, 20, 60):  # where all is slow it may be made before the test holds the row
        reason = f"{how.name}, due in {seconds} s"
        if (made := await scheduled(At(web, maker), flag, reason, seconds)) is None:
            continue  # it would have been due before it was asked for
        reasons.append(reason)
        async with held(database, flag):
            if stands := not await done(At(web, maker), flag, [made]):
                await until(lambda: somebody_waits(database), 120, "the change is claimed")
                maker.process.send_signal(how)
        if stands:
            break
    assert stands
    other.process.send_signal(signal.SIGCONT)
    await until(lambda: done(At(web, other), flag, [made]), 120, "the other makes the change")
    if how is signal.SIGSTOP:
        maker.process.send_signal(signal.SIGCONT)
        await until(lambda: done(At(web, maker), flag, [made]), 120, "who was frozen goes on")
    return reasons


@contextlib.asynccontextmanager
async def held(database, flag):
    """Hold the flag's row, so that whoever changes it stands there."""
    there = await asyncpg.connect(database.admin)
    try:
        async with there.transaction():
            await there.execute("SELECT FROM flags.flag WHERE id = $1 FOR UPDATE", flag)
            yield
    finally:
        await there.close()


async def somebody_waits(database):
    there = await asyncpg.connect(database.admin)
    try:
        return await there.fetchval(WAITS, database.name)
    finally:
        await there.close()


async def each_is_told_once(platform, web, flag, reasons):
    async def told():
        found = await entries(platform, web, flag)
        found = [e["reason"] for e in found if e["action_type"] == "change_executed"]
        return found if len(found) >= len(reasons) else None

    assert Counter(await until(told, 120, "the log tells of it")) == Counter(reasons)
