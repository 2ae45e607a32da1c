"""The composition root: the only place where compute is put together."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from uuid_utils.compat import uuid7

from chassis.frame import Tables, framed
from chassis.serve import Service
from compute.api.grpc import ComputeServicer
from compute.api.rest import routers
from compute.clients import LocalQemu
from compute.domain.quota import Amount
from compute.settings import Settings
from compute.store.tables import Idempotency, Lease, Outbox
from compute.store.work import sql_work
from compute.usecases.agents import Agents
from compute.usecases.quotas import Quotas
from compute.usecases.templates import Templates
from compute.usecases.usage import Usage
from compute.usecases.vms import Vms
from switchyard.compute.v1 import compute_pb2_grpc

TABLES = Tables(Outbox, Lease, Idempotency)


@asynccontextmanager
async def build(settings: Settings) -> AsyncGenerator[Service]:
    """Wire the service from the inside out; close whatever it opened."""
    async with framed("compute", settings, TABLES) as frame:
        work, limit = sql_work(frame.sessions, frame.relay.wake), _limit(settings)
        vms = Vms(work=work, hypervisor=LocalQemu(), limit=limit, now=_now, new_id=uuid7)

        agents, usage = Agents(work, _now, uuid7), Usage(work, _now, uuid7)
        templates, quotas = Templates(work), Quotas(work, limit)

        rest = frame.rest("compute", routers, vms, templates, quotas, agents, usage)
        servicer = ComputeServicer(vms, frame.identity, frame.cursors)
        compute_pb2_grpc.add_ComputeServicer_to_server(servicer, frame.rpc)
        yield frame.service(rest, ("switchyard.compute.v1.Compute",))


def _limit(settings: Settings) -> Amount:
    return Amount(
        vms=settings.quota_vms,
        cpu=settings.quota_cpu,
        memory_gb=settings.quota_memory_gb,
        disk_gb=settings.quota_disk_gb,
    )


def _now() -> datetime:
    return datetime.now(UTC)
