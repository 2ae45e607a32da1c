"""The composition root: the only place where experiments is put together."""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from chassis.frame import Tables, framed
from chassis.rpc import neighbour
from chassis.serve import Service
from experiments.api.grpc import INTERNAL, ExperimentsServicer
from experiments.api.rest import routers
from experiments.api.result_rendering import Documents
from experiments.clients.flags import FlagsClient
from experiments.clients.streams import streams_at
from experiments.jobs import Absorber, Guard, Publisher, Scheduler
from experiments.settings import Settings
from experiments.store.packing import Rows
from experiments.store.tables import Idempotency, Lease, Outbox
from experiments.store.work import sql_work
from experiments.usecases.experiments import Experiments, Schedules
from experiments.usecases.history import History
from experiments.usecases.intake import Intakes
from experiments.usecases.layers import Holdouts, Layers
from experiments.usecases.metrics import Metrics
from experiments.usecases.publishing import Publishing
from experiments.usecases.reports import Reports
from experiments.usecases.results import Results, Verdict, judged
from switchyard.experiments.v1 import experiments_pb2_grpc

TABLES = Tables(Outbox, Lease, Idempotency)
RPC = "switchyard.experiments.v1.Experiments"
TOKEN_BYTES = 32


def now() -> datetime:
    """Read the clock."""
    return datetime.now(UTC)


def new_token() -> str:
    """Return the unguessable end of a link."""
    return secrets.token_urlsafe(TOKEN_BYTES)


@asynccontextmanager
async def build(settings: Settings) -> AsyncGenerator[Service]:
    """Wire the service from the inside out; close whatever it opened."""
    async with (
        framed("experiments", settings, TABLES, INTERNAL) as frame,
        streams_at(settings.redis_url) as stream,
        neighbour(
            settings.flags_address, "experiments", settings.mesh_secret, settings.patience
        ) as channel,
    ):

        def wake() -> None:
            for one in (frame.relay, scheduler, publisher):
                one.wake()

        work, flags = sql_work(frame.sessions, wake), FlagsClient(channel)
        scheduler = Scheduler(work, now, settings.schedule_interval)
        publisher = Publisher(Publishing(work, flags, now))
        absorber = Absorber(work, stream)
        experiments, schedules = Experiments(work, flags, now, uuid7), Schedules(work, flags, now)

        async def judge(tenant: UUID, experiment: str) -> Verdict:
            return await judged(work, tenant, experiment, now())

        results = Results(work, now)
        servicer = ExperimentsServicer(experiments, frame.identity, frame.cursors, judge)
        experiments_pb2_grpc.add_ExperimentsServicer_to_server(servicer, frame.rpc)
        rest = frame.rest(
            "experiments",
            routers,
            experiments,
            schedules,
            History(work, now),
            Metrics(work, now, uuid7),
            Intakes(work, stream, Rows(), now, absorber.wake),
            results,
            Layers(work, now, uuid7),
            Holdouts(work, now, uuid7),
            Reports(work, Documents(results), now, uuid7, new_token),
        )
        jobs = (scheduler.run, publisher.run, absorber.run, Guard(work, now).run)
        yield frame.service(rest, (RPC,), jobs=jobs)
