"""Who is connected to which replica: each says so in Redis, for a few seconds at a time."""

import asyncio
import logging
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError

from iam.domain.stats import Connected
from iam.usecases.hall import Hall

log = logging.getLogger(__name__)

PREFIX = "iam:connected:"
EVERY = 5.0
KEPT = 16  # seconds; a replica that is gone is forgotten by then


class RedisPresence:
    """This replica's say, and its ear."""

    def __init__(self, redis: Redis, hall: Hall) -> None:
        self._redis = redis
        self._hall = hall
        self._name = f"{PREFIX}{uuid4().hex}"

    async def run(self) -> None:
        """Say how many are connected here, until cancelled; then say nothing more."""
        try:
            while True:
                try:
                    await self._say()
                except (RedisError, OSError, TimeoutError):
                    log.debug("Redis is away; nobody hears how many are connected here")
                await asyncio.sleep(EVERY)
        finally:
            await self._forget()

    async def connected(self) -> Connected | None:
        """Return how many there are together; None while nobody can be asked."""
        try:
            await self._say()
            names = [name async for name in self._redis.scan_iter(match=f"{PREFIX}*", count=1000)]  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
            said: list[bytes | str | None] = await self._redis.mget(names)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType, reportUnknownVariableType, reportGeneralTypeIssues]
        except (RedisError, OSError, TimeoutError):
            return None
        pairs = [tuple(map(int, text.split())) for text in said if text]
        return Connected(len(pairs), sum(p[0] for p in pairs), sum(p[1] for p in pairs))

    async def _say(self) -> None:
        text = f"{self._hall.sockets} {self._hall.streams}"
        await self._redis.set(self._name, text, ex=KEPT)

    async def _forget(self) -> None:
        try:
            await self._redis.delete(self._name)
        except (RedisError, OSError, TimeoutError):
            return
