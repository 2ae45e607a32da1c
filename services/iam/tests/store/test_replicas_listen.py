"""Two replicas on one PostgreSQL and one Redis: what one changes is heard at the other, with and without the bell."""

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from chassis.db import database
from iam.clients import bell as bells
from iam.clients.bell import Bell, redis_at
from iam.domain.gitops import C, Draft
from iam.domain.user import User
from iam.ports import Means
from iam.store.work import sql_work
from iam.usecases import board as boards
from iam.usecases.board import Board
from iam.usecases.gitops import Gitops
from iam.usecases.live import Live, Wanted, called

pytestmark = pytest.mark.store


async def at_once(_):
    pass


@asynccontextmanager
async def replica(iam_url, redis, make, passwords):
    """A replica as far as listening needs one: work that rings the bell, and a board that hears it."""
    async with database(iam_url, "iam") as sessions:
        board = Board(sql_work(sessions, make.issuer, lambda: None, lambda: None, at_once))
        bell = Bell(redis, board.wake)
        work = sql_work(sessions, make.issuer, lambda: None, bell.ring, at_once)
        means = Means(lambda: datetime.now(UTC), uuid4, lambda: uuid4().hex)
        jobs = [asyncio.create_task(job()) for job in (board.run, bell.tell, bell.listen)]
        with board.listening():
            yield Gitops(work, passwords, None, means), Live(work, board, means)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)


@pytest.fixture(params=["the bell", "no bell"])
def way(request, monkeypatch):
    """With the bell nobody looks by themselves; without it nobody hears the other."""
    monkeypatch.setattr(bells, "CHANNEL", f"test:{uuid4().hex}")
    if request.param == "the bell":
        monkeypatch.setattr(boards, "EVERY", 60)
        return True
    return False


async def test_what_one_replica_changes_is_heard_at_the_other(
    way, iam, iam_url, redis_url, make, monkeypatch
):
    tenant = make.tenant()
    boss: User = make.user(tenant=tenant.id, username="boss", grants=(make.grant("admin"),))
    caller, passwords = make.caller(boss), iam.passwords
    async with (
        redis_at(redis_url if way else "redis://127.0.0.1:1/0") as redis,
        replica(iam_url, redis, make, passwords) as (gitops, _),
        replica(iam_url, redis, make, passwords) as (_, live),
    ):
        async with gitops.work() as work:
            await work.tenants.put(tenant)
            await work.users.put(boss)
        position = await live.begin(caller, None)
        await _until_heard(live, caller, gitops, position)


async def _until_heard(live, caller, gitops, position):
    """Change something until it is heard: the other replica may still be about to subscribe to the bell."""
    heard = list[str]()
    async with asyncio.timeout(20):
        while not heard:
            await gitops.create(caller, C.GROUPS, Draft(key=f"g_{uuid4().hex[:8]}"))
            with suppress(TimeoutError):
                position, posted = await live.heard(caller, Wanted().covers, position, 1)
                heard += [called(one) for one in posted]
    assert all(key.startswith("g_") for key in heard)
