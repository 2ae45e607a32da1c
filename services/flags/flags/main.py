"""The composition root: the only place where flags is put together."""

import logging
import resource
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from uuid_utils.compat import uuid7

from authz.limits import Limiter
from chassis.frame import Tables, framed
from chassis.rpc import neighbour
from chassis.serve import Service
from flagd.evaluation.v1 import evaluation_pb2_grpc as evaluation_v1
from flagd.evaluation.v2 import evaluation_pb2_grpc as evaluation_v2
from flagd.sync.v1 import sync_pb2_grpc
from flags.api.desks import Desks
from flags.api.flagd import EvaluationV1, EvaluationV2
from flags.api.flagd_sync import FlagSync
from flags.api.grpc import INTERNAL, NAME, FlagsServicer
from flags.api.ofrep import Ofrep
from flags.api.rest import routers
from flags.api.tickets import Tickets
from flags.api.unleash import Unleash
from flags.clients.authors import KnownAuthors
from flags.clients.experiments import ExperimentsClient
from flags.clients.news import RedisNews, redis_at
from flags.jobs import counting, freshness, guarding, keeping, sweeping, ticking
from flags.ports import OpenWork
from flags.settings import Settings
from flags.store.shelf import SqlShelf
from flags.store.snapshots import Folder
from flags.store.tables import Idempotency, Lease, Outbox
from flags.store.work import sql_work
from flags.usecases.allocations import Allocations
from flags.usecases.clockwork import Clockwork
from flags.usecases.emergency import Emergency
from flags.usecases.exchange import Exchange
from flags.usecases.explaining import Explaining
from flags.usecases.flags import Flags
from flags.usecases.guarding import Guarding
from flags.usecases.keyring import Keyring
from flags.usecases.projects import Projects
from flags.usecases.requests import ChangeRequests
from flags.usecases.revisions import Revisions
from flags.usecases.rollouts import Rollouts
from flags.usecases.rulesets import Rulesets
from flags.usecases.schedules import Schedules
from flags.usecases.segments import Segments
from flags.usecases.usage import Counting, Usages
from switchyard.flags.v1 import flags_pb2_grpc

log = logging.getLogger(__name__)

TABLES = Tables(Outbox, Lease, Idempotency)
RPC_NAMES = (
    NAME,
    "flagd.evaluation.v1.Service",
    "flagd.evaluation.v2.Service",
    "flagd.sync.v1.FlagSyncService",
)


@asynccontextmanager
async def build(settings: Settings) -> AsyncGenerator[Service]:
    """Wire the service from the inside out; close whatever it opened."""
    _room_for_streams()
    async with (
        framed("flags", settings, TABLES, INTERNAL) as frame,
        redis_at(settings.redis_url) as redis,
        neighbour(
            settings.experiments_address, "flags", settings.mesh_secret, settings.patience
        ) as experiments,
    ):
        news = RedisNews(redis)
        work = sql_work(frame.sessions, frame.relay.wake, news)
        projects = Projects(work, _now, uuid7)
        flags = Flags(work, _now, uuid7)
        folder = Folder(Path(settings.snapshot_dir)) if settings.snapshot_dir else None
        rulesets = Rulesets(SqlShelf(frame.sessions), folder)
        keyring = Keyring(frame.authority, folder, settings.keys_usable_for)
        _recall(rulesets, keyring)

        limiter = Limiter(settings.evaluations_per_second)
        counts = Counting(rulesets, work, _now)
        clockwork = Clockwork(work, KnownAuthors(frame.identity), _now, uuid7)
        guards = Guarding(clockwork, ExperimentsClient(experiments))

        desks = Desks(rulesets, frame.identity, limiter, frame.denials)
        ofrep = Ofrep(desks, _tickets(settings))
        evaluating = (desks, ofrep, Unleash(desks))
        rest = ofrep.before(
            frame.rest("flags", routers, flags, projects, *_others(work, rulesets), *evaluating)
        )
        servicer = FlagsServicer(
            flags, Allocations(work, _now, uuid7), frame.identity, frame.cursors
        )
        flags_pb2_grpc.add_FlagsServicer_to_server(servicer, frame.rpc)
        evaluation_v1.add_ServiceServicer_to_server(EvaluationV1(desks), frame.rpc)
        evaluation_v2.add_ServiceServicer_to_server(EvaluationV2(desks), frame.rpc)
        sync_pb2_grpc.add_FlagSyncServiceServicer_to_server(FlagSync(desks), frame.rpc)
        always = (
            *freshness(rulesets, news, settings.poll_every),
            *keeping(rulesets, keyring),
            counting(counts, settings.usage_every),
        )
        jobs = (sweeping(counts), ticking(clockwork), guarding(guards))
        service = frame.service(rest, RPC_NAMES, jobs=jobs, always=always)
        # Not the frame's own check: keys that are known can be served while iam is away.
        yield replace(service, checks=(keyring.trouble, lambda: _looking(rulesets)))


def _others(work: OpenWork, rulesets: Rulesets) -> tuple[object, ...]:
    """Return what people do beside flags themselves, for the REST doors."""
    return (
        Segments(work, _now, uuid7),
        Revisions(work, _now, uuid7),
        Explaining(work, rulesets.shelf, rulesets.seen, _now, uuid7),
        Usages(work, _now, uuid7),
        Schedules(work, _now, uuid7),
        Rollouts(work, _now, uuid7),
        Emergency(work, _now, uuid7),
        ChangeRequests(work, _now, uuid7),
        Exchange(work, _now, uuid7),
    )


def _recall(rulesets: Rulesets, keyring: Keyring) -> None:
    places, keys = rulesets.recall(), keyring.recall()
    log.info("recalled", extra={"data": {"places": places, "keys": keys}})


def _looking(rulesets: Rulesets) -> str:
    return "" if rulesets.looked else "looking for what is newer than the last snapshots"


def _tickets(settings: Settings) -> Tickets:
    secret = sha256(f"tickets {settings.mesh_secret}".encode()).digest()
    return Tickets(secret, settings.issuer.rstrip("/"))


def _room_for_streams() -> None:
    """Have as many open files as this process may: each stream is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _now() -> datetime:
    return datetime.now(UTC)
