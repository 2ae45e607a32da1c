"""Announcements: over a real Redis where there is one, and what becomes of them where there is none."""

import asyncio
import contextlib
from uuid import uuid4

import pytest

from flags.clients.news import RedisNews, packed, redis_at, unpacked
from flags.domain.place import Place


@pytest.fixture
def place():
    return Place(uuid4(), "default", "production")


class Heard:
    """What a replica has heard."""

    def __init__(self):
        self.news, self.came = [], asyncio.Event()

    async def __call__(self, place, revision):
        self.news.append((place, revision))
        self.came.set()


@contextlib.asynccontextmanager
async def running(*jobs):
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def test_an_announcement_says_what_it_was_told(place):
    assert unpacked(packed(place, 7)) == (place, 7)


@pytest.mark.parametrize("nonsense", [b"", b"{}", b"[1,2,3,4]", b'["x","a","b",1]', b"\xff"])
def test_nonsense_is_no_announcement(nonsense):
    with pytest.raises((ValueError, TypeError, AttributeError)):
        unpacked(nonsense)


async def test_without_redis_the_own_replica_still_hears_and_only_the_newest(place):
    heard = Heard()
    async with redis_at("redis://127.0.0.1:1/0") as redis:
        news = RedisNews(redis)
        news.tell(place, 1)
        news.tell(place, 3)
        news.tell(place, 2)
        async with running(news.spread(heard)):
            await asyncio.wait_for(heard.came.wait(), 5)
    assert heard.news == [(place, 3)]


async def test_other_replicas_hear_what_one_tells(redis_url, place):
    mine, theirs, ready = Heard(), Heard(), asyncio.Event()

    async def begun():
        ready.set()

    async with redis_at(redis_url) as here, redis_at(redis_url) as there:
        news = RedisNews(here)
        async with running(news.spread(mine), RedisNews(there).listen(theirs, begun)):
            await asyncio.wait_for(ready.wait(), 5)
            await here.publish("flags:changed", b"nonsense")
            news.tell(place, 4)
            while (place, 4) not in theirs.news:
                theirs.came.clear()
                await asyncio.wait_for(theirs.came.wait(), 5)
    assert mine.news == [(place, 4)]
