"""The composition root: the only place where experiments is put together."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from chassis.frame import Tables, framed
from chassis.serve import Service
from experiments.api.grpc import INTERNAL, ExperimentsServicer
from experiments.api.rest import routers
from experiments.clients import streams_at
from experiments.jobs import Absorber, Guard, Scheduler
from experiments.settings import Settings
from experiments.store.packing import Rows
from experiments.store.tables import Idempotency, Lease, Outbox
from experiments.store.work import sql_work
from experiments.usecases.experiments import Experiments, Schedules
from experiments.usecases.intake import Intakes
from experiments.usecases.metrics import Metrics
from experiments.usecases.results import Results, Verdict, judged
from switchyard.experiments.v1 import experiments_pb2_grpc

TABLES = Tables(Outbox, Lease, Idempotency)
RPC = "switchyard.experiments.v1.Experiments"


def now() -> datetime:
    """Read the clock."""
    return datetime.now(UTC)


@asynccontextmanager
async def build(settings: Settings) -> AsyncGenerator[Service]:
    """Wire the service from the inside out; close whatever it opened."""
    async with (
        framed("experiments", settings, TABLES, INTERNAL) as frame,
        streams_at(settings.redis_url) as stream,
    ):

        def wake() -> None:
            frame.relay.wake()
            scheduler.wake()

        work = sql_work(frame.sessions, wake)
        absorber = Absorber(work, stream)
        intakes = Intakes(work, stream, Rows(), now, absorber.wake)
        scheduler = Scheduler(work, now, settings.schedule_interval)
        experiments, schedules = Experiments(work, now, uuid7), Schedules(work, now)

        async def judge(tenant: UUID, experiment: str) -> Verdict:
            return await judged(work, tenant, experiment, now())

        servicer = ExperimentsServicer(experiments, frame.identity, frame.cursors, judge)
        experiments_pb2_grpc.add_ExperimentsServicer_to_server(servicer, frame.rpc)
        rest = frame.rest(
            "experiments",
            routers,
            experiments,
            schedules,
            Metrics(work, now, uuid7),
            intakes,
            Results(work, now),
        )
        yield frame.service(rest, (RPC,), jobs=(scheduler.run, absorber.run, Guard(work, now).run))
