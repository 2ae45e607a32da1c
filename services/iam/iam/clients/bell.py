"""The bell between replicas: whoever commits a change rings it, whoever streams changes looks at once.

Only haste depends on it. Without Redis each replica finds changes in the log a quarter of a second later.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

CHANNEL = "iam:changes"
_AGAIN = 1.0


@asynccontextmanager
async def redis_at(url: str) -> AsyncGenerator[Redis]:
    """Open a client for Redis that gives up soon, and close it."""
    redis = Redis.from_url(url, socket_connect_timeout=0.5, health_check_interval=15)  # pyright: ignore[reportUnknownMemberType]
    try:
        yield redis
    finally:
        await redis.aclose()


class Bell:
    """One replica's hand on the rope, and its ear."""

    def __init__(self, redis: Redis, heard: Callable[[], None]) -> None:
        self._redis = redis
        self._heard = heard
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Tell this replica now, and the others as soon as Redis takes it."""
        self._heard()
        self._rung.set()

    async def tell(self) -> None:
        """Pass on the ringing, until cancelled. Many changes at once ring once."""
        while True:
            await self._rung.wait()
            self._rung.clear()
            try:
                await self._redis.publish(CHANNEL, b"")  # pyright: ignore[reportUnknownMemberType]
            except (RedisError, OSError, TimeoutError):
                await asyncio.sleep(_AGAIN)

    async def listen(self) -> None:
        """Hear the others, until cancelled."""
        while True:
            try:
                async with self._redis.pubsub() as pubsub:  # pyright: ignore[reportUnknownMemberType]
                    await pubsub.subscribe(CHANNEL)
                    async for _ in pubsub.listen():  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
                        self._heard()
            except (RedisError, OSError, TimeoutError):
                log.debug("Redis is away; changes of other replicas are found in the log")
            await asyncio.sleep(_AGAIN)
