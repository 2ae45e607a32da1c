"""The stream, held against a real Redis: who waits for it can be cancelled at any point."""

import asyncio

import pytest

from experiments.clients.streams import streams_at

pytestmark = pytest.mark.store


async def test_a_cancellation_is_never_lost(redis_url):
    async with streams_at(redis_url) as stream:
        await stream.shards_waiting()
        for turns in range(60):
            asking = asyncio.create_task(stream.shards_waiting())
            for _ in range(turns % 15):
                await asyncio.sleep(0)
            heard = asking.cancel()
            await asyncio.wait({asking})
            assert asking.cancelled() is heard, turns
