"""Our neighbour outside the database: Redis, in whose streams parcels wait for a worker.

A stream is trusted only while Redis writes it to its disk (append-only file); where it does not, or is away, it is
Unavailable, and the database keeps the parcels instead.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from chassis.errors import Unavailable
from experiments.domain.intake import SHARDS
from experiments.ports.measuring import Parcel

PREFIX = "experiments:intake:"
PATIENCE = 2.0  # seconds for an answer
AGAIN = 1.0  # seconds until a Redis that failed is asked again
TRUSTED = 5.0  # seconds for which it is believed to write to its disk
FULL = 100_000_000  # bytes of one shard's parcels; beyond, the database takes them


class StreamAway(Unavailable):
    """Redis does not answer, or does not write to its disk."""

    code = "experiments.stream_away"


@asynccontextmanager
async def streams_at(url: str) -> AsyncGenerator["RedisStream"]:
    """Open a client for Redis that gives up soon, and close it."""
    redis: Any = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
        url, socket_connect_timeout=0.5, socket_timeout=None, health_check_interval=15
    )
    try:
        yield RedisStream(redis)
    finally:
        await redis.aclose()


class RedisStream:
    """One stream for each shard."""

    def __init__(self, redis: Any) -> None:  # noqa: ANN401 - redis-py has no types
        self._redis = redis
        self._away_until = 0.0
        self._trusted_until = 0.0

    async def put(self, parcels: Sequence[Parcel]) -> None:
        """Hand parcels over, all or none; Unavailable if that is not certain.

        Redis acknowledges before it knows whether its disk takes what it wrote (`appendfsync everysec`), so it is asked
        again afterwards. What it has then after all comes twice, which changes nothing.
        """
        async with self._watched():
            if time.monotonic() >= self._trusted_until:
                await self._check()
            async with self._redis.pipeline(transaction=True) as pipe:
                for parcel in parcels:
                    entry = {"k": parcel.kind, "n": parcel.n, "b": parcel.body}
                    pipe.xadd(f"{PREFIX}{parcel.shard}", entry)
                await pipe.execute()
            await self._check()

    async def read(self, shard: int, most: int) -> Sequence[Parcel]:
        """Return parcels of a shard, the oldest first, of about `most` items together; they stay."""
        found: list[Parcel] = []
        total, after = 0, "-"
        async with self._watched():
            while total < most:
                entries = await self._redis.xrange(f"{PREFIX}{shard}", after, "+", count=64)
                for mark, entry in entries:
                    parcel = Parcel(
                        entry[b"k"].decode(), shard, int(entry[b"n"]), entry[b"b"], mark.decode()
                    )
                    found.append(parcel)
                    total += parcel.n
                    after = f"({parcel.mark}"
                    if total >= most:
                        break
                if len(entries) < 64:
                    break
        return found

    async def drop(self, shard: int, parcels: Sequence[Parcel]) -> None:
        """Forget parcels that have been absorbed; one that stays behind is absorbed again, without effect."""
        async with self._watched():
            await self._redis.xdel(f"{PREFIX}{shard}", *(parcel.mark for parcel in parcels))

    async def shards_waiting(self) -> set[int]:
        """Return the shards for which something waits."""
        async with self._watched(), self._redis.pipeline(transaction=False) as pipe:
            for shard in range(SHARDS):
                pipe.xlen(f"{PREFIX}{shard}")
            lengths = await pipe.execute()
        return {shard for shard, length in enumerate(lengths) if length}

    async def _check(self) -> None:
        """Refuse a Redis that would forget its streams when it is killed."""
        now = time.monotonic()
        said = await self._redis.info("persistence")
        if not int(said.get("aof_enabled", 0)) or said.get("aof_last_write_status") != "ok":
            self._trusted_until = 0.0
            raise StreamAway("Redis does not write to its disk, so it cannot be trusted with data")
        self._trusted_until = now + TRUSTED

    @asynccontextmanager
    async def _watched(self) -> AsyncGenerator[None]:
        """Turn Redis' ways of failing into one fault, and leave it alone for a moment afterwards.

        The patience is ours: redis-py's own is `asyncio.wait_for`, which can lose a cancellation on Python 3.11, and
        who waits here is cancelled when the service stops.
        """
        if time.monotonic() < self._away_until:
            raise StreamAway("Redis does not answer")
        try:
            async with asyncio.timeout(PATIENCE):
                yield
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = time.monotonic() + AGAIN
            self._trusted_until = 0.0
            raise StreamAway("Redis does not answer") from error
