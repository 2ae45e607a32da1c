"""The composition root: the only place where experiments is put together."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from uuid_utils.compat import uuid7

from chassis.frame import Tables, framed
from chassis.rpc import neighbour
from chassis.serve import Service
from experiments.api.grpc import ExperimentsServicer
from experiments.api.rest import routers
from experiments.clients.flags import FlagsClient
from experiments.jobs import Publisher, Scheduler
from experiments.settings import Settings
from experiments.store.tables import Idempotency, Lease, Outbox
from experiments.store.work import sql_work
from experiments.usecases.experiments import Experiments, Schedules
from experiments.usecases.history import History
from experiments.usecases.layers import Holdouts, Layers
from experiments.usecases.metrics import Metrics
from experiments.usecases.publishing import Publishing
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
        framed("experiments", settings, TABLES) as frame,
        neighbour(settings.flags_address, "experiments", settings.mesh_secret) as channel,
    ):

        def wake() -> None:
            for one in (frame.relay, scheduler, publisher):
                one.wake()

        work, flags = sql_work(frame.sessions, wake), FlagsClient(channel)
        scheduler = Scheduler(work, now, settings.schedule_interval)
        publisher = Publisher(Publishing(work, flags, now))
        experiments, schedules = Experiments(work, flags, now, uuid7), Schedules(work, flags, now)
        servicer = ExperimentsServicer(experiments, frame.identity, frame.cursors)
        experiments_pb2_grpc.add_ExperimentsServicer_to_server(servicer, frame.rpc)
        others = (
            History(work, now),
            Metrics(work, now, uuid7),
            Layers(work, now, uuid7),
            Holdouts(work, now, uuid7),
        )
        rest = frame.rest("experiments", routers, experiments, schedules, *others)
        yield frame.service(rest, (RPC,), jobs=(scheduler.run, publisher.run))
