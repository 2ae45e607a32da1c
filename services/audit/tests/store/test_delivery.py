"""From outbox to log, over gRPC and PostgreSQL at both ends: each fact arrives once, whoever dies on the way."""

import asyncio
import os
from uuid import uuid4

import pytest
from grpc import aio
from sqlalchemy import func, select, text, update
from uuid_utils.compat import uuid7

from audit.api.grpc import AuditServicer
from audit.clients.seal import AesVault
from audit.domain.wanted import Wanted
from audit.main import INTERNAL
from audit.store.work import sql_work
from audit.usecases.reader import Reader
from audit.usecases.recorder import Recorder
from chassis.db import base_for, database, transaction
from chassis.delivery import to_audit
from chassis.errors import Unavailable
from chassis.facts import Actor, Fact, Target
from chassis.leases import LeaseRow
from chassis.outbox import ATTEMPTS, OutboxRow, Relay, record
from chassis.pages import Cursors
from chassis.rpc import OPTIONS, Guard, neighbour
from switchyard.audit.v1 import audit_pb2_grpc

VAULT = AesVault("a secret of tests: at least 32 characters")

pytestmark = pytest.mark.store
SECRET = "a secret of tests: at least 32 characters"


class Killed(BaseException):
    """The process is gone at this very line."""


class Sender:
    """A service with an outbox, in a schema of its own."""

    def __init__(self, sessions, outbox, lease, tenant):
        self.sessions, self.outbox, self.lease, self.tenant = sessions, outbox, lease, tenant

    async def record(self, *facts):
        async with transaction(self.sessions) as session:
            for changed in facts:
                said = {
                    "tenant": self.tenant,
                    "actor": Actor("user", "u-1"),
                    "action": "flag.created",
                    "target": Target("flag", "f-1"),
                }
                record(session, self.outbox, Fact(**(said | changed)), lambda: None)
                await session.flush()  # their numbers are their order

    def relay(self, deliver):
        return Relay(self.sessions, self.outbox, self.lease, deliver)

    async def waiting(self, *where):
        async with transaction(self.sessions) as session:
            query = select(func.count()).select_from(self.outbox).where(*where)
            return await session.scalar(query)


@pytest.fixture
async def sender(admin_url, tenant):
    schema = f"sender_{uuid4().hex[:12]}"
    base = base_for(schema)
    outbox = type("Outbox", (OutboxRow, base), {})
    lease = type("Lease", (LeaseRow, base), {})
    async with database(admin_url, schema) as sessions:
        async with transaction(sessions) as session:
            await session.execute(text(f"CREATE SCHEMA {schema}"))
            await (await session.connection()).run_sync(base.metadata.create_all)
        yield Sender(sessions, outbox, lease, tenant)
        async with transaction(sessions) as session:
            await session.execute(text(f"DROP SCHEMA {schema} CASCADE"))


@pytest.fixture(scope="session")
def audit_url(service_url):
    return service_url("audit")


@pytest.fixture
async def sessions(audit_url):
    async with database(audit_url, "audit") as opened:
        yield opened


@pytest.fixture
async def deliver(sessions, clock):
    work = sql_work(sessions, VAULT)
    server = aio.server(interceptors=[Guard(SECRET, INTERNAL)], options=OPTIONS)
    servicer = AuditServicer(
        Recorder(work, clock, os.urandom, VAULT),
        Reader(work),
        None,
        identity=None,
        cursors=Cursors(b"test"),
    )
    audit_pb2_grpc.add_AuditServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with neighbour(f"127.0.0.1:{port}", "flags", SECRET) as channel:
        yield to_audit(channel, "flags")
    await server.stop(0)


@pytest.fixture
def reasons(sessions, tenant):
    """What the log says, oldest first."""

    async def read():
        async with sql_work(sessions, VAULT)() as work:
            span = await work.log.span(tenant, None, None)
            found = await work.log.newest(tenant, span, Wanted(), 10_000)
        return [entry.event.reason for entry in reversed(found)]

    return read


async def drained(relay):
    while await relay.deliver_batch():
        pass


async def test_facts_arrive_in_order_over_many_batches(sender, deliver, reasons):
    said = [str(n) for n in range(1200)]
    await sender.record(*({"reason": reason} for reason in said))
    await drained(sender.relay(deliver))
    assert await reasons() == said
    assert await sender.waiting() == 0


async def test_a_relay_killed_between_sending_and_forgetting_leaves_nothing_twice(
    sender, deliver, reasons
):
    said = [str(n) for n in range(20)]
    await sender.record(*({"reason": reason} for reason in said))

    async def killed(letters):
        await deliver(letters)
        raise Killed

    with pytest.raises(Killed):
        await sender.relay(killed).deliver_batch(7)
    assert await sender.waiting() == 20
    assert await reasons() == said[:7]
    await drained(sender.relay(deliver))
    assert await reasons() == said


async def test_a_relay_that_wakes_late_sends_again_without_effect(sender, deliver, reasons):
    """It was frozen past the end of its lease; another has delivered and forgotten in the meantime."""
    said = [str(n) for n in range(10)]
    await sender.record(*({"reason": reason} for reason in said))
    frozen, thaw = asyncio.Event(), asyncio.Event()

    async def sleepy(letters):
        frozen.set()
        await thaw.wait()
        await deliver(letters)

    late = asyncio.create_task(sender.relay(sleepy).deliver_batch())
    await frozen.wait()
    await drained(sender.relay(deliver))
    thaw.set()
    await late
    assert await reasons() == said


async def test_two_relays_at_once_leave_nothing_twice(sender, deliver, reasons):
    said = {str(n) for n in range(300)}
    await sender.record(*({"reason": reason} for reason in said))
    one, other = sender.relay(deliver), sender.relay(deliver)
    await asyncio.gather(drained(one), drained(other))
    assert sorted(await reasons()) == sorted(said)


async def test_another_holder_of_the_lease_keeps_a_relay_quiet(sender, deliver, reasons):
    await sender.record({"reason": "x"})
    async with transaction(sender.sessions) as session:
        held = sender.lease(
            name="relay", holder="another", until=func.now() + text("interval '1h'")
        )
        session.add(held)
    assert await sender.relay(deliver).deliver_batch() == 0
    async with transaction(sender.sessions) as session:
        await session.execute(update(sender.lease).values(until=func.now()))
    await drained(sender.relay(deliver))
    assert await reasons() == ["x"]


async def test_nothing_is_lost_while_the_log_is_away(sender, deliver, reasons, unused_tcp_port):
    await sender.record({"reason": "1"}, {"reason": "2"})
    async with neighbour(f"127.0.0.1:{unused_tcp_port}", "flags", SECRET) as nobody:
        with pytest.raises(Unavailable):
            await sender.relay(to_audit(nobody, "flags")).deliver_batch()
    assert await sender.waiting() == 2
    await drained(sender.relay(deliver))
    assert await reasons() == ["1", "2"]


async def test_poison_is_parked_and_its_neighbours_go_on(sender, deliver, reasons):
    await sender.record({"reason": "1"}, {"reason": "bad", "action": "no verb"}, {"reason": "2"})
    relay = sender.relay(deliver)
    for _ in range(ATTEMPTS):
        await relay.deliver_batch()
    assert await reasons() == ["1", "2"]
    assert await sender.waiting(sender.outbox.parked_at.is_not(None)) == 1
    await sender.record({"reason": "3"})
    await drained(relay)
    assert await reasons() == ["1", "2", "3"]


async def test_large_facts_travel_in_several_messages(sender, deliver, reasons):
    facts = [{"reason": str(n), "after": {"x": "y" * 900_000}} for n in range(12)]
    await sender.record(*facts)
    await drained(sender.relay(deliver))
    assert await reasons() == [str(n) for n in range(12)]


async def test_a_fact_larger_than_a_message_is_parked_and_does_not_block(sender, deliver, reasons):
    huge = {"reason": "huge", "after": {"x": "y" * 4_100_000}}
    await sender.record({"reason": "1"}, huge, {"reason": "2"})
    relay = sender.relay(deliver)
    for _ in range(ATTEMPTS):
        await relay.deliver_batch()
    assert await reasons() == ["1", "2"]
    assert await sender.waiting(sender.outbox.parked_at.is_not(None)) == 1


async def test_facts_of_no_tenant_and_of_another_go_to_their_own_logs(sender, deliver, reasons):
    await sender.record({"reason": "1"}, {"tenant": None, "reason": "p"}, {"tenant": uuid7()})
    await drained(sender.relay(deliver))
    assert await reasons() == ["1"]
    assert await sender.waiting() == 0
