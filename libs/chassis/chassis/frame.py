"""The frame itself: what every service has before it has anything of its own, opened and closed together.

A service's `main.build` opens a frame, puts its use-cases and doors into it, and yields the finished service.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256

from fastapi import APIRouter
from grpc import aio
from starlette.types import ASGIApp

from authz.limits import Limiter
from authz.mesh import keys
from chassis.authority import Authority
from chassis.db import Sessions, database
from chassis.delivery import to_audit
from chassis.denials import Denials
from chassis.http import Wiring, rest_app
from chassis.idempotency import Idempotency, IdempotencyRow
from chassis.identity import Identity
from chassis.leases import LeaseRow
from chassis.outbox import OutboxRow, Relay
from chassis.pages import Cursors
from chassis.rpc import OPTIONS, Guard, neighbour
from chassis.serve import Check, Job, Service
from chassis.settings import ServiceSettings
from chassis.tokens import Verifier
from switchyard.iam.v1 import iam_pb2, iam_pb2_grpc


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables that every schema has."""

    outbox: type[OutboxRow]
    lease: type[LeaseRow]
    idempotency: type[IdempotencyRow]


@dataclass(frozen=True, slots=True)
class Frame:
    """An opened frame."""

    name: str
    settings: ServiceSettings
    sessions: Sessions
    authority: Authority
    identity: Identity
    relay: Relay
    idempotency: Idempotency
    denials: Denials
    rpc: aio.Server
    iam: "iam_pb2_grpc.IamAsyncStub"

    @property
    def cursors(self) -> Cursors:
        """What seals positions in lists; all replicas seal alike."""
        return Cursors(sha256(f"cursors {self.settings.mesh_secret}".encode()).digest())

    def rest(self, title: str, routers: Sequence[APIRouter], *uses: object) -> ASGIApp:
        """Return the REST app with these doors onto these use-cases."""
        wiring = Wiring(
            identity=self.identity,
            idempotency=self.idempotency,
            denials=self.denials,
            cursors=self.cursors,
            limiter=Limiter(self.settings.requests_per_second),
            uses={type(use): use for use in uses},
        )
        return rest_app(title, routers, wiring)

    def service(
        self,
        rest: ASGIApp,
        rpc_names: tuple[str, ...],
        jobs: tuple[Job, ...] = (),
        checks: tuple[Check, ...] = (),
        always: tuple[Job, ...] = (),
    ) -> Service:
        """Return the finished service: its own jobs and checks beside those that all have.

        `always` are jobs that every process needs, also one that leaves `jobs` to another.
        """
        return Service(
            name=self.name,
            rest=rest,
            rpc=self.rpc,
            rpc_names=rpc_names,
            jobs=(self.relay.run, self._sweep, *jobs),
            checks=(self._knows_authority, *checks),
            always=(self._follow, self.denials.run, self._tell_usage, *always),
        )

    async def _follow(self) -> None:
        await self.authority.follow(self.iam)

    async def _tell_usage(self) -> None:
        """Tell iam every few seconds which API keys were used, and once more before the end."""
        try:
            while True:
                await asyncio.sleep(5)
                await tell_usage(self.identity)
        finally:
            await tell_usage(self.identity)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(600)
            await self.idempotency.sweep()

    def _knows_authority(self) -> str:
        return "" if self.authority.usable else "waiting for iam's first snapshot"


async def tell_usage(identity: Identity) -> None:
    """Tell iam which API keys were used and not told of yet; while it is away that waits."""
    now = time.monotonic()
    if due := identity.used.due(now):
        with suppress(aio.AioRpcError):
            await identity.iam.NoteKeyUse(iam_pb2.NoteKeyUseRequest(key_ids=due), timeout=1.0)
            identity.used.told(due, now)


@asynccontextmanager
async def framed(
    name: str, settings: ServiceSettings, tables: Tables, internal: frozenset[str] = frozenset()
) -> AsyncGenerator[Frame]:
    """Open what every service needs; close it in reverse. `internal` are gRPC methods for services only."""
    secret = settings.mesh_secret
    async with (
        database(settings.database_url, name, settings.database_pool) as sessions,
        neighbour(settings.iam_address, name, secret, settings.patience) as iam_channel,
        neighbour(settings.audit_address, name, secret, settings.patience) as audit_channel,
    ):
        iam = iam_pb2_grpc.IamStub(iam_channel)
        authority = Authority()
        relay = Relay(sessions, tables.outbox, tables.lease, to_audit(audit_channel, name))
        denials = Denials(sessions, tables.outbox, relay.wake)
        yield Frame(
            name=name,
            settings=settings,
            sessions=sessions,
            authority=authority,
            identity=Identity(authority, Verifier(settings.issuer, settings.audience), iam),
            relay=relay,
            idempotency=Idempotency(sessions, tables.idempotency, keys(secret)),
            denials=denials,
            rpc=aio.server(interceptors=[Guard(secret, internal, denials)], options=OPTIONS),
            iam=iam,
        )
        await denials.flush()
