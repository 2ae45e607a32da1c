"""How many are connected, over all replicas, in a real Redis."""

import asyncio
from contextlib import suppress

import pytest

from iam.clients import presence as clients
from iam.clients.bell import redis_at
from iam.clients.presence import RedisPresence
from iam.domain.stats import Connected
from iam.usecases.hall import Hall


@pytest.fixture
def prefix(monkeypatch, request):
    """Names of this test's own: others use the same Redis."""
    monkeypatch.setattr(clients, "PREFIX", f"test:{request.node.name}:{id(request)}:")


@pytest.mark.store
async def test_all_replicas_are_added_up_and_one_that_stops_is_not_counted(redis_url, prefix):
    one, two = Hall(), Hall()
    async with redis_at(redis_url) as redis:
        first, second = RedisPresence(redis, one), RedisPresence(redis, two)
        running = asyncio.create_task(second.run())
        with one.seat("ann"), two.seat("ann"), two.seat("bob"), two.stream():
            await second.connected()
            assert await first.connected() == Connected(2, 3, 1)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        assert await first.connected() == Connected(1, 0, 0)
        assert 0 < await redis.ttl(first._name) <= clients.KEPT


async def test_without_redis_nobody_knows():
    async with redis_at("redis://127.0.0.1:1/0") as redis:
        presence = RedisPresence(redis, Hall())
        assert await presence.connected() is None
        running = asyncio.create_task(presence.run())
        await asyncio.sleep(0)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
