"""The neighbours of flags: Redis, over which replicas tell each other that a place has changed, and what iam says of
whoever asked for something that is done later."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from chassis.caller import Caller
from chassis.errors import Unauthenticated
from chassis.identity import Identity, NoAuthority
from flags.domain.edits import Author, Spot
from flags.domain.errors import AuthorGone
from flags.domain.place import Place
from flags.ports import Heard

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


class KnownAuthors:
    """Authors of changes that were put off, as the replica of iam's authority knows them now."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def caller(self, author: Author, spot: Spot) -> Caller:
        """Return them with what they may do now. AuthorGone if they cannot act any more.

        Unavailable while iam is not heard: nothing is done on old authority when there is no hurry.
        """
        authority = self._identity.authority
        if not authority.fresh:
            raise NoAuthority("iam cannot be reached, so what is due waits", retry_after=2)
        if author.type == "api_key":
            return self._by_key(author)
        state, now = authority.state, self._identity.clock()
        subject = state.subjects.get(author.account)
        if subject is None or not subject.active or not subject.acts_in(str(spot.tenant)):
            raise AuthorGone(f"{_who(author)} is gone or disabled")
        scope = None if author.scope is None else frozenset(author.scope)
        standing = state.standing(subject, str(spot.tenant), scope, now)
        return Caller(
            subject=author.id,
            tenant=spot.tenant,
            name=subject.name,
            account=subject.id,
            scope=scope,
            standing=standing,
            permissions=standing.permissions,
        )

    def _by_key(self, author: Author) -> Caller:
        keys = self._identity.authority.state.keys.values()
        key = next((key for key in keys if key.id == author.id), None)
        if key is None or (key.expires is not None and key.expires <= self._identity.clock()):
            raise AuthorGone(f"{_who(author)} was revoked or has expired")
        try:
            return self._identity.caller_of(key)
        except Unauthenticated as gone:
            raise AuthorGone(f"{_who(author)}: {gone.detail}") from gone


def _who(author: Author) -> str:
    kind = "the API key" if author.type == "api_key" else "the account"
    return f"{kind} {author.name or author.id!r} that asked for it"


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
