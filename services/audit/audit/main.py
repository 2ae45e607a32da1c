"""The composition root: the only place where audit is put together."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from audit.api.grpc import AuditServicer
from audit.api.rest import routers
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
        work = sql_work(frame.sessions)
        recorder, reader = Recorder(work, _now), Reader(work)
        servicer = AuditServicer(recorder, reader, frame.identity, frame.cursors)
        audit_pb2_grpc.add_AuditServicer_to_server(servicer, frame.rpc)
        yield frame.service(frame.rest("audit", routers, reader), (NAME,))
