"""The composition root: the only place where iam is put together."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr
from redis.asyncio import Redis
from uuid_utils.compat import uuid7

from chassis.frame import Frame, Tables, framed
from chassis.serve import Service
from iam.api.grpc import INTERNAL, NAME, IamServicer
from iam.api.rest import routers
from iam.api.tokens import Cookies
from iam.clients.bell import Bell, redis_at
from iam.clients.keyring import Keyring
from iam.clients.passwords import PooledPasswords, hasher_for
from iam.clients.seal import AesSealer
from iam.clients.throttle import RedisThrottle
from iam.domain.password import POLICIES
from iam.domain.session import LEEWAY, Issuer, Lifetimes
from iam.domain.signing import Rotation
from iam.jobs import Start, Sweeper, Tide
from iam.ports import Means, OpenWork
from iam.settings import Settings
from iam.store.tables import Idempotency, Lease, Outbox
from iam.store.work import sql_work
from iam.usecases.api_keys import Keys
from iam.usecases.assignments import Assignments
from iam.usecases.authority import Replicas
from iam.usecases.bootstrap import Bootstrap
from iam.usecases.debug import Debug
from iam.usecases.decisions import Decisions
from iam.usecases.feed import Feed
from iam.usecases.gitops import Gitops
from iam.usecases.gitops_supers import Supers
from iam.usecases.invitations import Invitations
from iam.usecases.keys import SigningKeys
from iam.usecases.logins import Logins
from iam.usecases.members import Members
from iam.usecases.opening import Opening
from iam.usecases.organizations import Organizations
from iam.usecases.roles import Roles
from iam.usecases.sessions import Sessions
from iam.usecases.users import Users
from switchyard.iam.v1 import iam_pb2_grpc

TABLES = Tables(Outbox, Lease, Idempotency)
AHEAD = timedelta(hours=1)
SETTLING = 0.5  # seconds that a change of authority is waited for before its answer


@asynccontextmanager
async def build(settings: Settings) -> AsyncGenerator[Service]:
    """Wire the service from the inside out; close whatever it opened."""
    own = settings.model_copy(update={"iam_address": _own_address(settings)})
    with closing(PooledPasswords(hasher_for(settings.passwords))) as passwords:
        async with (
            redis_at(settings.redis_url) as redis,
            framed("iam", own, TABLES, INTERNAL) as frame,
        ):
            yield _wired(settings, frame, passwords, redis)


def _own_address(settings: Settings) -> str:
    """Return where this very process answers: no replica of iam waits for another one to become ready."""
    everywhere = settings.grpc_host in ("0.0.0.0", "::", "[::]")  # noqa: S104 - compared, not bound
    host = "127.0.0.1" if everywhere else settings.grpc_host
    return f"{host}:{settings.grpc_port}"


def _wired(settings: Settings, frame: Frame, passwords: PooledPasswords, redis: Redis) -> Service:
    means = Means(_now, uuid7, lambda: secrets.token_urlsafe(32))
    issuer = _issuer(settings)
    work, bell, feed = _heard(frame, issuer, redis)
    ring = Keyring(AesSealer(settings.sealing_secret, "signing keys"), _now)
    policy = POLICIES[settings.passwords]
    opening = Opening(issuer, ring, means)
    users = Users(work, passwords, policy, means)
    assignments = Assignments(work, means)
    replicas = Replicas(work, feed, means)
    keys = SigningKeys(work, ring, _rotation(settings), _now)
    start = Start(
        keys,
        Bootstrap(work, passwords, policy, means),
        _secret(settings.bootstrap_admin_password),
        _secret(settings.bootstrap_api_key),
    )
    iam_pb2_grpc.add_IamServicer_to_server(IamServicer(replicas, frame.identity), frame.rpc)
    rest = frame.rest(
        "iam",
        routers,
        issuer,
        keys,
        Cookies(secure=settings.issuer.startswith("https://")),
        Logins(work, passwords, RedisThrottle(redis), opening),
        users,
        Members(work, users),
        Organizations(work, passwords, policy, opening),
        Roles(work, means),
        assignments,
        Decisions(work, means),
        Invitations(work, passwords, policy, opening),
        Keys(work, means),
        Sessions(work, means),
        Gitops(work, passwords, policy, means),
        Supers(work, means),
        Debug(work, means),
    )
    return frame.service(
        rest,
        (NAME,),
        jobs=(Sweeper(work, means).run, Tide(assignments).run),
        checks=(start.waits,),
        always=(start.run, feed.run, bell.tell, bell.listen),
    )


def _heard(frame: Frame, issuer: Issuer, redis: Redis) -> tuple[OpenWork, Bell, Feed]:
    """Return work whose changes ring the bell that wakes the feed that reads the changes."""
    wake = frame.relay.wake
    feed = Feed(sql_work(frame.sessions, issuer, wake, _nothing, _at_once), _now)
    bell = Bell(redis, feed.wake)

    async def settled(epoch: int) -> None:
        if frame.authority.fresh:
            await frame.authority.until(lambda _: frame.authority.epoch >= epoch, SETTLING)

    return sql_work(frame.sessions, issuer, wake, bell.ring, settled), bell, feed


def _nothing() -> None:
    """The feed itself changes nothing, so it has nobody to wake."""


async def _at_once(_: int) -> None:
    """And nothing to wait for."""


def _issuer(settings: Settings) -> Issuer:
    access = timedelta(seconds=settings.access_seconds)
    lifetimes = Lifetimes(access=access, refresh=timedelta(days=settings.refresh_days))
    return Issuer(name=settings.issuer, audience=settings.audience, lifetimes=lifetimes)


def _rotation(settings: Settings) -> Rotation:
    return Rotation(
        signs_for=timedelta(days=settings.rotate_days),
        published_ahead=AHEAD,
        kept_after=timedelta(seconds=settings.access_seconds) + LEEWAY + AHEAD,
    )


def _secret(setting: SecretStr | None) -> str | None:
    return setting.get_secret_value() if setting else None


def _now() -> datetime:
    return datetime.now(UTC)
