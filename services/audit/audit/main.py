"""The composition root: the only place where audit is put together."""

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from audit.api.grpc import AuditServicer
from audit.api.rest import routers
from audit.clients.seal import AesVault
from audit.jobs import adopting
from audit.settings import Settings
from audit.store.tables import Idempotency, Lease, Outbox
from audit.store.work import sql_work
from audit.usecases.reader import Reader
from audit.usecases.recorder import Recorder
from chassis.frame import Tables, framed
from chassis.serve import Service
from switchyard.audit.v1 import audit_pb2_grpc

TABLES = Tables(Outbox, Lease, Idempotency)
NAME = "switchyard.audit.v1.Audit"
INTERNAL = frozenset({f"/{NAME}/Append"})


def _now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def build(settings: Settings) -> AsyncGenerator[Service]:
    """Wire the service from the inside out; close whatever it opened."""
    async with framed("audit", settings, TABLES, INTERNAL) as frame:
        vault = AesVault(settings.sealing_secret)
        work = sql_work(frame.sessions, vault)
        recorder, reader = Recorder(work, _now, os.urandom, vault), Reader(work)
        servicer = AuditServicer(recorder, reader, frame.identity, frame.cursors)
        audit_pb2_grpc.add_AuditServicer_to_server(servicer, frame.rpc)
        rest = frame.rest("audit", routers, reader)
        yield frame.service(rest, (NAME,), jobs=(adopting(recorder),))
