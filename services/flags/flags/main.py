"""The composition root: the only place where flags is put together."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from uuid_utils.compat import uuid7

from authz.limits import Limiter
from chassis.frame import Tables, framed
from chassis.serve import Service
from flags.api.grpc import INTERNAL, NAME, FlagsServicer
from flags.api.ofrep import Ofrep
from flags.api.rest import routers
from flags.clients import KnownAuthors, RedisNews, redis_at
from flags.jobs import counting, freshness, sweeping, ticking
from flags.settings import Settings
from flags.store.shelf import SqlShelf
from flags.store.tables import Idempotency, Lease, Outbox
from flags.store.work import sql_work
from flags.usecases.allocations import Allocations
from flags.usecases.clockwork import Clockwork
from flags.usecases.emergency import Emergency
from flags.usecases.exchange import Exchange
from flags.usecases.explaining import Explaining
from flags.usecases.flags import Flags
from flags.usecases.projects import Projects
from flags.usecases.requests import ChangeRequests
from flags.usecases.revisions import Revisions
from flags.usecases.rollouts import Rollouts
from flags.usecases.rulesets import Rulesets
from flags.usecases.schedules import Schedules
from flags.usecases.segments import Segments
from flags.usecases.usage import Counting, Usages
from switchyard.flags.v1 import flags_pb2_grpc

TABLES = Tables(Outbox, Lease, Idempotency)


@asynccontextmanager
async def build(settings: Settings) -> AsyncGenerator[Service]:
    """Wire the service from the inside out; close whatever it opened."""
    async with (
        framed("flags", settings, TABLES, INTERNAL) as frame,
        redis_at(settings.redis_url) as redis,
    ):
        news = RedisNews(redis)
        work = sql_work(frame.sessions, frame.relay.wake, news)
        projects = Projects(work, _now, uuid7)
        flags = Flags(work, _now, uuid7)
        rulesets = Rulesets(SqlShelf(frame.sessions))

        limiter = Limiter(settings.evaluations_per_second)
        others = (
            Segments(work, _now, uuid7),
            Revisions(work, _now, uuid7),
            Explaining(work, rulesets.shelf, rulesets.seen, _now, uuid7),
            Usages(work, _now, uuid7),
        )
        plans = (
            Schedules(work, _now, uuid7),
            Rollouts(work, _now, uuid7),
            Emergency(work, _now, uuid7),
            ChangeRequests(work, _now, uuid7),
            Exchange(work, _now, uuid7),
        )
        counts = Counting(rulesets, work, _now)
        clockwork = Clockwork(work, KnownAuthors(frame.identity), _now, uuid7)

        ofrep = Ofrep(rulesets, frame.identity, limiter, frame.denials)

        rest = ofrep.before(frame.rest("flags", routers, flags, projects, *others, *plans, ofrep))
        servicer = FlagsServicer(
            flags, Allocations(work, _now, uuid7), frame.identity, frame.cursors
        )
        flags_pb2_grpc.add_FlagsServicer_to_server(servicer, frame.rpc)
        yield frame.service(
            rest,
            (NAME,),
            jobs=(sweeping(counts), ticking(clockwork)),
            always=(
                *freshness(rulesets, news, settings.poll_every),
                counting(counts, settings.usage_every),
            ),
        )


def _now() -> datetime:
    return datetime.now(UTC)
