"""The composition root: the only place where compute is put together."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from prometheus_client import Gauge
from uuid_utils.compat import uuid7

from chassis.frame import Tables, framed
from chassis.serve import Service
from compute.api.grpc import ComputeServicer
from compute.api.rest import routers
from compute.clients.depot import Depot
from compute.clients.images import Images
from compute.clients.qemu import Qemu
from compute.clients.shelf import QemuShelf
from compute.clients.trial import Trial
from compute.domain.course import Terms
from compute.domain.quota import Amount
from compute.jobs import clearing, importing, offering, reconciling
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
from compute.usecases.usage import Usage
from compute.usecases.vms import Vms
from egress.guard import Rules
from switchyard.compute.v1 import compute_pb2_grpc

TABLES = Tables(Outbox, Lease, Idempotency)
ORPHANS = Gauge("compute_orphans", "Guests of this host that are in no table: above 3 is an alarm")


@asynccontextmanager
async def build(settings: Settings) -> AsyncGenerator[Service]:
    """Wire the service from the inside out; close whatever it opened."""
    async with framed("compute", settings, TABLES) as frame:
        stirred = asyncio.Event()
        work = sql_work(frame.sessions, frame.relay.wake, stirred.set)
        limit, (trial, host) = _limit(settings), _host(settings)
        rules = Rules.of(settings.egress_allowed, plain_http=settings.egress_plain_http)
        depot = Depot(host.homes.fetched, rules, settings.image_max_bytes)
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

        homes_images = settings.guests_dir / "images"
        shelf = QemuShelf(homes_images, host.homes, host.images, depot)
        importer = Importer(work=work, depot=depot, shelf=shelf, now=_now)
        templates = Templates(work=work, hypervisor=host, depot=depot, now=_now, new_id=uuid7)

        uses = (
            vms,
            templates,
            Quotas(work, limit),
            Operations(work),
            Consoles(work, host, _now),
            Snapshots(work=work, now=_now, new_id=uuid7),
            Agents(work, _now, uuid7),
            Usage(work, _now, uuid7),
        )
        rest = frame.rest("compute", routers, *uses)
        servicer = ComputeServicer(vms, frame.identity, frame.cursors)
        compute_pb2_grpc.add_ComputeServicer_to_server(servicer, frame.rpc)
        yield frame.service(
            rest,
            ("switchyard.compute.v1.Compute",),
            jobs=(
                reconciling(reconciler, stirred, host.events),
                offering(Offers(work, host)),
                clearing(orphans),
                importing(importer),
            ),
            always=(trial.keep_up,),
        )
        host.close()


def _host(settings: Settings) -> tuple[Trial, Qemu]:
    root, images = (
        settings.guests_dir,
        Images((settings.images_dir, settings.guests_dir / "images")),
    )
    trial = Trial(settings.images_dir, images, settings.accel)
    return trial, Qemu(root, images, trial)


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
