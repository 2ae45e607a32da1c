"""The composition root: the only place where iam is put together."""

import secrets
from argparse import Namespace
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
from pydantic import SecretStr
from redis.asyncio import Redis
from uuid_utils.compat import uuid7

from chassis.authority import Authority
from chassis.db import database
from chassis.frame import Frame, Tables, framed
from chassis.serve import Service
from iam.api.grpc import INTERNAL, NAME, IamServicer
from iam.api.rest import routers
from iam.api.talk import Lobby, origins
from iam.api.tokens import Cookies
from iam.clients.bell import Bell, redis_at
from iam.clients.images import PooledImages
from iam.clients.keyring import Keyring
from iam.clients.passwords import PooledPasswords, hasher_for
from iam.clients.presence import RedisPresence
from iam.clients.seal import AesSealer
from iam.clients.shelves import Bucket, FolderShelf, S3Shelf
from iam.clients.throttle import RedisThrottle
from iam.domain.password import POLICIES, Policy
from iam.domain.session import LEEWAY, Issuer, Lifetimes
from iam.domain.signing import Rotation
from iam.jobs import Cleaner, Start, Sweeper, Tide
from iam.ports import Means, OpenWork, Shelf
from iam.settings import Settings
from iam.store.tables import Idempotency, Lease, Outbox
from iam.store.work import sql_work
from iam.usecases.api_keys import Keys
from iam.usecases.assignments import Assignments
from iam.usecases.authority import Replicas
from iam.usecases.avatars import Avatars
from iam.usecases.board import Board
from iam.usecases.bootstrap import Bootstrap
from iam.usecases.debug import Debug
from iam.usecases.decisions import Decisions
from iam.usecases.external import External
from iam.usecases.feed import Feed
from iam.usecases.gitops import Gitops
from iam.usecases.gitops_supers import Supers
from iam.usecases.guests import Guests
from iam.usecases.hall import Hall
from iam.usecases.invitations import Invitations
from iam.usecases.keys import SigningKeys
from iam.usecases.live import Live
from iam.usecases.logins import Logins
from iam.usecases.members import Members
from iam.usecases.opening import Opening
from iam.usecases.organizations import Organizations
from iam.usecases.passwords import PasswordChanges
from iam.usecases.registering import Registration
from iam.usecases.roles import Roles
from iam.usecases.sessions import Sessions
from iam.usecases.stats import Statistics
from iam.usecases.users import Users
from switchyard.iam.v1 import iam_pb2_grpc

TABLES = Tables(Outbox, Lease, Idempotency)
AHEAD = timedelta(hours=1)
SETTLING = 0.5  # seconds that a change of authority is waited for before its answer


@asynccontextmanager
async def build(settings: Settings) -> AsyncGenerator[Service]:
    """Wire the service from the inside out; close whatever it opened."""
    own = settings.model_copy(update={"iam_address": _own_address(settings)})
    with (
        closing(PooledPasswords(hasher_for(settings.passwords))) as passwords,
        closing(PooledImages()) as images,
    ):
        async with (
            redis_at(settings.redis_url) as redis,
            httpx.AsyncClient(timeout=5, trust_env=False) as http,
            framed("iam", own, TABLES, INTERNAL) as frame,
        ):
            pictures = _Pictures(images, _shelf(settings, http))
            yield _wired(settings, frame, passwords, redis, pictures)


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
    def gitops(self) -> Gitops:
        """What is kept under /global."""
        return Gitops(self.work, self.passwords, self.policy, self.means)

    @property
    def assignments(self) -> Assignments:
        """Who has which role."""
        return Assignments(self.work, self.means)


@dataclass(frozen=True, slots=True)
class _Pictures:
    """How pictures are made, and where they are kept."""

    images: PooledImages
    shelf: Shelf


def _shelf(settings: Settings, http: httpx.AsyncClient) -> Shelf:
    if not settings.s3_url:
        return FolderShelf(settings.storage_dir)
    bucket = Bucket(
        url=settings.s3_url,
        name=settings.s3_bucket,
        region=settings.s3_region,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key.get_secret_value(),
    )
    return S3Shelf(bucket, http, _now)


def _wired(
    settings: Settings,
    frame: Frame,
    passwords: PooledPasswords,
    redis: Redis,
    pictures: _Pictures,
) -> Service:
    means = Means(_now, uuid7, lambda: secrets.token_urlsafe(32))
    work, bell, feed, board = _heard(frame, _issuer(settings), redis)
    ring = Keyring(AesSealer(settings.sealing_secret, "signing keys"), _now)
    ground = _Ground(settings, work, passwords, means, ring, redis)
    replicas = Replicas(work, feed, means)
    hall = Hall(settings.sockets_per_account, settings.sockets)
    iam_pb2_grpc.add_IamServicer_to_server(IamServicer(replicas, frame.identity, hall), frame.rpc)
    start, presence = _start(ground, frame.authority), RedisPresence(redis, hall)
    avatars = Avatars(ground.gitops, work, pictures.images, pictures.shelf, means)
    lobby = _lobby(ground, frame, board, hall)
    live = (lobby, avatars, Statistics(work, presence, means))
    return frame.service(
        frame.rest("iam", routers, *_login(ground), *_people(ground), *_things(ground), *live),
        (NAME,),
        jobs=(Sweeper(work, means).run, Tide(ground.assignments).run, Cleaner(avatars).run),
        checks=(start.waits,),
        always=(start.run, feed.run, board.run, bell.tell, bell.listen, presence.run),
    )


def _lobby(on: _Ground, frame: Frame, board: Board, hall: Hall) -> Lobby:
    """Return what WebSockets need."""
    return Lobby(
        live=Live(on.work, board, on.means),
        hall=hall,
        authority=frame.authority,
        sealer=AesSealer(on.settings.sealing_secret, "positions"),
        means=on.means,
        origins=origins(on.settings.cors_origins, on.settings.issuer),
        beat=on.settings.socket_beat,
        patience=on.settings.socket_patience,
    )


def _start(on: _Ground, authority: Authority) -> Start:
    return Start(
        on.keys,
        authority,
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
        Registration(on.work, on.passwords, on.policy, on.opening, on.settings.registration_tenant),
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
        Guests(on.work, on.means),
        External(on.work, on.means),
    )


def _things(on: _Ground) -> tuple[object, ...]:
    """Return what is done at the gitops doors, and what is decided about things."""
    return (
        Decisions(on.work, on.means),
        on.gitops,
        Supers(on.work, on.means),
        Debug(on.work, on.means),
    )


def _heard(frame: Frame, issuer: Issuer, redis: Redis) -> tuple[OpenWork, Bell, Feed, Board]:
    """Return work whose changes ring the bell that wakes the feed and the board, which read the changes."""
    wake = frame.relay.wake
    reading = sql_work(frame.sessions, issuer, wake, _nothing, _at_once)
    feed, board = Feed(reading, _now), Board(reading)

    def heard() -> None:
        feed.wake()
        board.wake()

    bell = Bell(redis, heard)

    async def settled(epoch: int) -> None:
        if frame.authority.fresh:
            await frame.authority.until(lambda _: frame.authority.epoch >= epoch, SETTLING)

    return sql_work(frame.sessions, issuer, wake, bell.ring, settled), bell, feed, board


def _nothing() -> None:
    """The feed itself changes nothing, so it has nobody to wake."""


async def _at_once(_: int) -> None:
    """And nothing to wait for."""


async def rotate_keys(settings: Settings, asked: Namespace) -> str:
    """Make the next signing key beside the running service, which hears of it by the change log."""
    issuer = _issuer(settings)
    ring = Keyring(AesSealer(settings.sealing_secret, "signing keys"), _now)
    async with database(settings.database_url, "iam") as sessions:
        work = sql_work(sessions, issuer, _nothing, _nothing, _at_once)
        keys = SigningKeys(work, ring, _rotation(settings), _now)
        made = await keys.rotate(
            at_once=asked.now, revoke_old=asked.revoke_old, reason=asked.reason
        )
    return f"{made.kid} signs from {made.signs_from.isoformat(timespec='seconds')}"


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
