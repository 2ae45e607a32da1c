"""The composition root: the only place where compute is put together."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prometheus_client import Gauge
from uuid_utils.compat import uuid7

from chassis.frame import Tables, framed
from chassis.serve import Job, Service
from compute.api.grpc import ComputeServicer
from compute.api.rest import routers
from compute.clients.depot import Depot
from compute.clients.images import Images
from compute.clients.incus import Incus
from compute.clients.incus_images import IncusShelf
from compute.clients.incus_places import Places
from compute.clients.incus_trial import IncusTrial
from compute.clients.incus_wire import Wire, trust
from compute.clients.qemu import Qemu
from compute.clients.shelf import QemuShelf
from compute.clients.trial import Trial
from compute.domain.course import Terms
from compute.domain.quota import Amount
from compute.jobs import clearing, clearing_shelf, importing, offering, reconciling, tidying
from compute.ports.hypervisor import Hypervisor
from compute.ports.images import Shelf
from compute.settings import Settings
from compute.store.tables import Idempotency, Lease, Outbox
from compute.store.work import sql_work
from compute.usecases.agents import Agents
from compute.usecases.consoles import Consoles
from compute.usecases.importer import Importer
from compute.usecases.metering import Meter
from compute.usecases.offers import Offers
from compute.usecases.operations import Operations
from compute.usecases.orphans import Orphans
from compute.usecases.quotas import Quotas
from compute.usecases.reconciler import Reconciler
from compute.usecases.snapshots import Snapshots
from compute.usecases.snapshotting import Snapshotting
from compute.usecases.templates import Templates
from compute.usecases.tidying import Tidying
from compute.usecases.usage import Usage
from compute.usecases.vms import Vms
from egress.guard import Rules
from switchyard.compute.v1 import compute_pb2_grpc

IMAGES_AT_ONCE = 4
TABLES = Tables(Outbox, Lease, Idempotency)
ORPHANS = Gauge("compute_orphans", "Guests of this host that are in no table: above 3 is an alarm")


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs machines and keeps their templates, and the job that watches whether it does."""

    host: Hypervisor
    shelf: Shelf
    keep_up: Job


@asynccontextmanager
async def build(settings: Settings) -> AsyncGenerator[Service]:
    """Wire the service from the inside out; close whatever it opened."""
    depot = _depot(settings)
    async with framed("compute", settings, TABLES) as frame, _engine(settings, depot) as engine:
        stirred = asyncio.Event()
        work = sql_work(frame.sessions, frame.relay.wake, stirred.set)
        limit, host = _limit(settings), engine.host
        vms = Vms(work=work, hypervisor=host, depot=depot, limit=limit, now=_now, new_id=uuid7)
        meter = Meter(uuid7, _now)
        reconciler = Reconciler(
            work=work,
            hypervisor=host,
            terms=_terms(settings),
            now=_now,
            meter=meter,
            snapshots=Snapshotting(work=work, hypervisor=host, now=_now),
        )
        grace = timedelta(seconds=settings.orphan_seconds)
        orphans = Orphans(work, host, _now, grace, ORPHANS.set)

        importer = Importer(work=work, depot=depot, shelf=engine.shelf, now=_now)
        templates = Templates(work=work, hypervisor=host, depot=depot, now=_now, new_id=uuid7)

        agents, usage = Agents(work, _now, uuid7), Usage(work, _now, uuid7)
        uses = (
            vms,
            templates,
            Quotas(work, limit, lambda tenant: str(tenant) in frame.authority.state.tenants),
            Operations(work),
            Consoles(work, host, _now),
            Snapshots(work=work, limit=limit, now=_now, new_id=uuid7),
            agents,
            usage,
        )
        rest = frame.rest("compute", routers, *uses)
        servicer = ComputeServicer((vms, agents, usage), frame.identity, frame.cursors)
        compute_pb2_grpc.add_ComputeServicer_to_server(servicer, frame.rpc)
        yield frame.service(
            rest,
            ("switchyard.compute.v1.Compute",),
            jobs=(
                reconciling(reconciler, stirred, host.events),
                offering(Offers(work, host)),
                clearing(orphans),
                tidying(Tidying(work, _now)),
                *(importing(importer) for _ in range(IMAGES_AT_ONCE)),
                clearing_shelf(importer),
            ),
            always=(engine.keep_up,),
        )


@asynccontextmanager
async def _engine(settings: Settings, depot: Depot) -> AsyncGenerator[Engine]:
    async with _incus(settings) if settings.driver == "incus" else _qemu(settings, depot) as one:
        yield one


@asynccontextmanager
async def _qemu(settings: Settings, depot: Depot) -> AsyncGenerator[Engine]:
    own = settings.guests_dir / "images"
    images = Images((settings.images_dir, own))
    trial = Trial(settings.images_dir, images, settings.accel)
    host = Qemu(settings.guests_dir, images, trial)
    try:
        yield Engine(host, QemuShelf(own, host.homes, images, depot), trial.keep_up)
    finally:
        host.close()


@asynccontextmanager
async def _incus(settings: Settings) -> AsyncGenerator[Engine]:
    files = (settings.incus_cert, settings.incus_key, settings.incus_server_cert)
    wire = Wire(settings.incus_address, settings.incus_project, trust(*files))
    trial = IncusTrial(wire, settings.incus_pool)
    places = Places(wire, settings.incus_target)
    try:
        yield Engine(
            Incus(wire, trial, settings.incus_pool, places), IncusShelf(wire), trial.keep_up
        )
    finally:
        await wire.close()


def _depot(settings: Settings) -> Depot:
    rules = Rules.of(settings.egress_allowed, plain_http=settings.egress_plain_http)
    return Depot(settings.guests_dir / "fetched", rules, settings.image_max_bytes)


def _terms(settings: Settings) -> Terms:
    return Terms(
        boot=timedelta(seconds=settings.boot_seconds), halt=timedelta(seconds=settings.halt_seconds)
    )


def _limit(settings: Settings) -> Amount:
    return Amount(
        vms=settings.quota_vms,
        cpu=settings.quota_cpu,
        memory_gb=settings.quota_memory_gb,
        disk_gb=settings.quota_disk_gb,
    )


def _now() -> datetime:
    return datetime.now(UTC)
