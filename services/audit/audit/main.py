"""The composition root: the only place where audit is put together."""

import gc
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from uuid_utils.compat import uuid7

from audit.api.grpc import AuditServicer
from audit.api.rest import routers
from audit.clients.seal import AesVault
from audit.clients.signer import new_key, signing
from audit.clients.webhook import Webhooks
from audit.jobs import adopting, checkpoints, streaming, sweeping
from audit.settings import Settings
from audit.store.tables import Idempotency, Lease, Outbox
from audit.store.work import leases, sql_work
from audit.usecases.exporter import Exporter
from audit.usecases.keeper import Keeper
from audit.usecases.notes import Notes
from audit.usecases.prover import Prover
from audit.usecases.reader import Reader
from audit.usecases.recorder import Recorder
from audit.usecases.sender import Sender
from audit.usecases.signer import Signer
from audit.usecases.streamer import Streamer
from audit.usecases.views import Views
from chassis.frame import Tables, framed
from chassis.serve import Service
from egress.guard import Rules
from switchyard.audit.v1 import audit_pb2_grpc

TABLES = Tables(Outbox, Lease, Idempotency)
NAME = "switchyard.audit.v1.Audit"
INTERNAL = frozenset({f"/{NAME}/Append"})


def _now() -> datetime:
    return datetime.now(UTC)


def collect_seldom() -> None:
    """Look for cycles every 20,000 new objects, not every 700, and never again among what is there by now.

    An event is thirty objects that live until it is stored, none in a cycle: looking them through took a seventh of
    the time of an append.
    """
    gc.freeze()
    gc.set_threshold(20_000)


@asynccontextmanager
async def build(settings: Settings) -> AsyncGenerator[Service]:
    """Wire the service from the inside out; close whatever it opened."""
    collect_seldom()
    async with framed("audit", settings, TABLES, INTERNAL) as frame:
        vault = AesVault(settings.sealing_secret)
        work = sql_work(frame.sessions, vault)
        recorder = Recorder(work, _now, os.urandom, vault)
        every = timedelta(seconds=settings.views_every_seconds)
        reader = Reader(work, views=Views(work, recorder, _now, uuid7, every))
        signer = Signer(work, vault, _now, settings.log_name, new_key, signing)
        prover = Prover(work, signer)
        keeper = Keeper(work, recorder, _now, uuid7)
        exporter = Exporter(work, recorder, signer, _now, uuid7)
        rules = Rules.of(settings.egress_allowed, plain_http=settings.egress_plain_http)
        webhooks, notes = Webhooks(rules), Notes(recorder, _now, uuid7)
        streamer = Streamer(work, notes, webhooks, os.urandom)
        sender = Sender(work, notes, webhooks, f"https://{settings.log_name}")
        servicer = AuditServicer(
            recorder, reader, prover, identity=frame.identity, cursors=frame.cursors
        )
        audit_pb2_grpc.add_AuditServicer_to_server(servicer, frame.rpc)
        rest = frame.rest("audit", routers, reader, prover, exporter, keeper, streamer)
        alone = leases(frame.sessions)
        jobs = (
            adopting(recorder),
            checkpoints(signer, alone),
            sweeping(keeper, alone),
            streaming(sender, alone),
        )
        yield frame.service(rest, (NAME,), jobs=jobs)
