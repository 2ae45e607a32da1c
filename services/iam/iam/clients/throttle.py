"""Failed logins per account and address, counted in Redis so that all replicas count together.

While Redis is away each replica counts in its own memory: guessing is slowed down less, logging in goes on.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from iam.domain.names import folded
from iam.domain.throttle import FORGOTTEN, FREE, LONGEST, Attempts, attempt

log = logging.getLogger(__name__)

MOST_NAMES = 100_000
PATIENCE = 0.5  # seconds that a login waits for Redis
AWAY = 1.0  # seconds until Redis is tried again
# The same rule as domain.throttle.attempt, where all replicas see it; one contract test runs on both.
_ATTEMPT = """
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local count = tonumber(redis.call('HGET', KEYS[1], 'count') or '0')
local next_ = tonumber(redis.call('HGET', KEYS[1], 'next') or '0')
if now < next_ then return tostring(next_ - now) end
count = count + 1
local pause = 0
if count >= tonumber(ARGV[1]) then
  pause = math.min(tonumber(ARGV[2]), 2 ^ math.min(count - tonumber(ARGV[1]), 10))
end
redis.call('HSET', KEYS[1], 'count', count, 'next', string.format('%.6f', now + pause))
redis.call('PEXPIRE', KEYS[1], math.floor((tonumber(ARGV[3]) + pause) * 1000))
return '0'
"""


class MemoryThrottle:
    """Counts in this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._attempts: dict[str, Attempts] = {}

    async def attempt(self, account: str, address: str) -> float:
        """Count an attempt; return for how many seconds it must not be made, 0 if it may."""
        name, now = _name(account, address), self._clock()
        after, wait = attempt(self._attempts.get(name, Attempts()), now)
        if len(self._attempts) >= MOST_NAMES:
            kept = self._attempts.items()
            self._attempts = {n: a for n, a in kept if now - a.next <= FORGOTTEN / 10}
        self._attempts[name] = after
        return wait

    async def clear(self, account: str, address: str) -> None:
        """Forget the attempts, since one succeeded."""
        self._attempts.pop(_name(account, address), None)


class RedisThrottle:
    """Counts in Redis, or in memory while Redis is away."""

    def __init__(self, redis: Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._clock = clock
        self._memory = MemoryThrottle(clock)
        self._away_until = 0.0

    async def attempt(self, account: str, address: str) -> float:
        """Count an attempt; return for how many seconds it must not be made, 0 if it may."""
        if self._clock() >= self._away_until:
            try:
                asked = self._redis.eval(
                    _ATTEMPT, 1, _name(account, address), str(FREE), str(LONGEST), str(FORGOTTEN)
                )
                async with asyncio.timeout(PATIENCE):
                    return float(await cast("Awaitable[bytes]", asked))
            except (RedisError, OSError, TimeoutError):
                self._gone()
        return await self._memory.attempt(account, address)

    async def clear(self, account: str, address: str) -> None:
        """Forget the attempts, since one succeeded."""
        await self._memory.clear(account, address)
        if self._clock() < self._away_until:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await self._redis.delete(_name(account, address))
        except (RedisError, OSError, TimeoutError):
            self._gone()

    def _gone(self) -> None:
        log.warning("Redis is away: failed logins are counted in this process")
        self._away_until = self._clock() + AWAY


def _name(account: str, address: str) -> str:
    """Return the name of a counter; what people typed does not appear in Redis."""
    return "iam:logins:" + sha256(f"{folded(account)}\n{address}".encode()).hexdigest()
