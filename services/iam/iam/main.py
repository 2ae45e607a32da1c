"""The composition root: the only place where iam is put together."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
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
from iam.domain.password import POLICIES, Policy
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
from iam.usecases.passwords import PasswordChanges
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


@dataclass(frozen=True, slots=True)
class _Ground:
    """What every use-case stands on."""

    settings: Settings
    work: OpenWork
    passwords: PooledPasswords
    means: Means
    ring: Keyring
    redis: Redis

    @property
    def policy(self) -> Policy:
        """What a password must be like here."""
        return POLICIES[self.settings.passwords]

    @property
    def opening(self) -> Opening:
        """How sessions begin."""
        return Opening(_issuer(self.settings), self.ring, self.means)

    @property
    def keys(self) -> SigningKeys:
        """The keys that sign tokens."""
        return SigningKeys(self.work, self.ring, _rotation(self.settings), _now)

    @property
    def assignments(self) -> Assignments:
        """Who has which role."""
        return Assignments(self.work, self.means)


def _wired(settings: Settings, frame: Frame, passwords: PooledPasswords, redis: Redis) -> Service:
    means = Means(_now, uuid7, lambda: secrets.token_urlsafe(32))
    work, bell, feed = _heard(frame, _issuer(settings), redis)
    ring = Keyring(AesSealer(settings.sealing_secret, "signing keys"), _now)
    ground = _Ground(settings, work, passwords, means, ring, redis)
    replicas = Replicas(work, feed, means)
    iam_pb2_grpc.add_IamServicer_to_server(IamServicer(replicas, frame.identity), frame.rpc)
    start = _start(ground)
    return frame.service(
        frame.rest("iam", routers, *_login(ground), *_people(ground), *_things(ground)),
        (NAME,),
        jobs=(Sweeper(work, means).run, Tide(ground.assignments).run),
        checks=(start.waits,),
        always=(start.run, feed.run, bell.tell, bell.listen),
    )


def _start(on: _Ground) -> Start:
    return Start(
        on.keys,
        Bootstrap(on.work, on.passwords, on.policy, on.means),
        _secret(on.settings.bootstrap_admin_password),
        _secret(on.settings.bootstrap_api_key),
    )


def _login(on: _Ground) -> tuple[object, ...]:
    """Return what stands between a password and a token."""
    return (
        _issuer(on.settings),
        on.keys,
        Cookies(secure=on.settings.issuer.startswith("https://")),
        Logins(on.work, on.passwords, RedisThrottle(on.redis), on.opening),
        PasswordChanges(on.work, on.passwords, RedisThrottle(on.redis), on.policy, on.means),
        Keys(on.work, on.means),
        Sessions(on.work, on.means),
    )


def _people(on: _Ground) -> tuple[object, ...]:
    """Return what is done to people, their organizations and their roles."""
    users = Users(on.work, on.passwords, on.policy, on.means)
    return (
        users,
        Members(on.work, users),
        Organizations(on.work, on.passwords, on.policy, on.opening),
        Roles(on.work, on.means),
        on.assignments,
        Invitations(on.work, on.passwords, on.policy, on.opening),
    )


def _things(on: _Ground) -> tuple[object, ...]:
    """Return what is done at the gitops doors, and what is decided about things."""
    return (
        Decisions(on.work, on.means),
        Gitops(on.work, on.passwords, on.policy, on.means),
        Supers(on.work, on.means),
        Debug(on.work, on.means),
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
