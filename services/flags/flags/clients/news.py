"""Our neighbour Redis, over which replicas tell each other that a place has changed."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from flags.domain.place import Place
from flags.ports.serving import Heard

log = logging.getLogger(__name__)

CHANNEL = "flags:changed"
MOST_WAITING = 10_000
PAUSE = 1.0


class RedisNews:
    """Announcements by publish and subscribe. Nothing depends on them but how soon a change is served."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis  # redis-py's own types are unfinished
        self._waiting: dict[Place, int] = {}
        self._woken = asyncio.Event()

    def tell(self, place: Place, revision: int) -> None:
        """Announce a change as soon as may be; of several at one place, only the newest."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting[place] = max(revision, self._waiting.get(place, 0))
            self._woken.set()

    async def spread(self, heard: Heard) -> None:
        """Carry what was told to this replica (`heard`) and to all others, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            news, self._waiting = self._waiting, {}
            await asyncio.gather(self._publish(news), *(heard(p, r) for p, r in news.items()))

    async def listen(self, heard: Heard, begun: Callable[[], Awaitable[None]]) -> None:
        """Pass on what others announce until cancelled; call `begun` after each break, when something may be missed."""
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as subscription:
                    await subscription.subscribe(CHANNEL)
                    await begun()
                    async for message in subscription.listen():
                        await _pass_on(message["data"], heard)
            except (RedisError, OSError) as broken:
                log.warning("no announcements from Redis: %s", broken)
            await asyncio.sleep(PAUSE)

    async def _publish(self, news: Mapping[Place, int]) -> None:
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for place, revision in news.items():
                    pipeline.publish(CHANNEL, packed(place, revision))
                await pipeline.execute()
        except (RedisError, OSError) as away:
            log.warning("a change was not announced, replicas will find it by polling: %s", away)


def packed(place: Place, revision: int) -> bytes:
    """Return an announcement as it travels."""
    return orjson.dumps([str(place.tenant), place.project, place.environment, revision])


def unpacked(said: bytes) -> tuple[Place, int]:
    """Return what an announcement says; ValueError if it is none."""
    tenant, project, environment, revision = orjson.loads(said)
    return Place(UUID(tenant), str(project), str(environment)), int(revision)


async def _pass_on(said: bytes, heard: Heard) -> None:
    try:
        place, revision = unpacked(said)
    except (ValueError, TypeError, AttributeError):
        log.warning("not an announcement: %r", said[:100])
        return
    await heard(place, revision)


@asynccontextmanager
async def redis_at(url: str) -> AsyncGenerator[Redis]:
    """Open a client for Redis that gives up soon, and close it."""
    redis: Redis = cast("Any", Redis).from_url(
        url, socket_connect_timeout=1, health_check_interval=15
    )
    try:
        yield redis
    finally:
        await redis.aclose()
