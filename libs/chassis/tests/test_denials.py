"""Denials become facts: the first before the answer, a flood as a number, and never at the price of the answer."""

import asyncio
import time
from dataclasses import replace
from uuid import uuid4

import httpx
import pytest
from grpc import aio
from sqlalchemy import Identity, select, text

from chassis import denials as said
from chassis.context import CURRENT, Asked
from chassis.db import base_for, database, transaction
from chassis.denials import Denials
from chassis.errors import Forbidden, NotFound
from chassis.http import Asking, Wiring, doors, needs, rest_app
from chassis.outbox import OutboxRow
from chassis.rpc import Guard, who
from switchyard.iam.v1 import iam_pb2 as pb
from switchyard.iam.v1 import iam_pb2_grpc

pytestmark = pytest.mark.store
REFUSED = Forbidden("Insufficient permissions: thing:delete required", needed="thing:delete")
router = doors("/api/v1/things", "things")


@router.delete("/{thing}", **needs("thing:delete"))
async def delete(thing: str) -> dict:
    return {}


@router.get("/{thing}", **needs("thing:read"))
async def hidden(thing: str, caller: Asking) -> dict:
    raise NotFound("no such thing", needed="thing:read" if thing == "theirs" else "")


class Anyone:
    def __init__(self, caller):
        self.caller = caller

    async def of(self, headers):
        return self.caller


class Room:
    """An outbox of its own, and what stands in it."""

    def __init__(self, sessions, row):
        self.sessions, self.row, self.woken = sessions, row, 0
        self.denials = Denials(sessions, row, self.wake)

    def wake(self):
        self.woken += 1

    async def facts(self):
        async with transaction(self.sessions) as session:
            rows = await session.scalars(select(self.row).order_by(self.row.seq))
            return [row.body for row in rows]


@pytest.fixture
async def room(admin_url):
    schema = f"denials_{uuid4().hex[:12]}"
    base = base_for(schema)
    row = type("Outbox", (OutboxRow, base), {})
    assert isinstance(row.__table__.c.seq.identity, Identity)
    async with database(admin_url, schema) as sessions:
        async with transaction(sessions) as session:
            await session.execute(text(f"CREATE SCHEMA {schema}"))
            await (await session.connection()).run_sync(base.metadata.create_all)
        yield Room(sessions, row)
        async with transaction(sessions) as session:
            await session.execute(text(f"DROP SCHEMA {schema} CASCADE"))


def web(room, caller):
    wiring = Wiring(identity=Anyone(caller), denials=room.denials)
    app = rest_app("things", [router], wiring)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t/api/v1/things")


async def test_a_refusal_is_stored_before_its_answer_with_who_what_and_where(room, ana):
    async with web(room, ana) as things:
        answer = await things.delete("/x1", headers={"x-request-id": "a-request-of-mine"})
        assert answer.status_code == 403
        [fact] = await room.facts()
    assert (fact["action"], fact["outcome"]) == ("authz.denied", "denied")
    assert (fact["tenant"], fact["actor"]["id"]) == (str(ana.tenant), ana.subject)
    path = "/api/v1/things/{thing}"
    assert fact["target"] == {"type": "thing", "id": "x1", "name": path}
    assert fact["after"] == {
        "permission": "thing:delete",
        "code": "forbidden",
        "method": "DELETE",
        "path": path,
        "count": 1,
        "crowded": False,
    }
    assert fact["context"]["request_id"] == "a-request-of-mine"
    assert room.woken == 1


async def test_a_flood_is_one_line_at_once_and_one_with_the_number(room, ana):
    async with web(room, ana) as things:
        answers = await asyncio.gather(*(things.delete(f"/x{n}") for n in range(200)))
        assert {a.status_code for a in answers} == {403}
        assert len(await room.facts()) == 1
        await room.denials.flush()
    first, rest = await room.facts()
    assert (first["after"]["count"], rest["after"]["count"]) == (1, 199)


async def test_a_refusal_that_looks_like_absence_is_told_and_real_absence_is_not(room, ana):
    async with web(room, ana) as things:
        answers = [await things.get("/nothing"), await things.get("/theirs")]
        assert [a.status_code for a in answers] == [404, 404]
    await room.denials.flush()
    [fact] = await room.facts()
    assert (fact["target"]["id"], fact["after"]["permission"]) == ("theirs", "thing:read")


async def test_an_id_that_is_none_is_not_kept(room, ana):
    async with web(room, ana) as things:
        await things.delete("/x%00y")
        await things.delete(f"/{'x' * 2000}")
    await room.denials.flush()
    assert [fact["target"]["id"] for fact in await room.facts()] == ["", ""]


async def test_without_a_database_the_answer_comes_at_once_and_the_fact_later(
    room, ana, unused_tcp_port
):
    url = f"postgresql://nobody@127.0.0.1:{unused_tcp_port}/none"
    async with database(url, "x") as away:
        room.denials = Denials(away, room.row, room.wake)
        async with web(room, ana) as things:
            begun = time.monotonic()
            answers = [(await things.delete(f"/x{n}")).status_code for n in range(20)]
            assert time.monotonic() - begun < 2
        assert answers == [403] * 20
        await room.denials.flush()
        room.denials._sessions = room.sessions
        await room.denials.flush()
    [fact] = await room.facts()
    assert fact["after"]["count"] == 20


async def test_nobody_and_other_faults_leave_nothing(room, ana):
    await room.denials.note(None, REFUSED, "GET", "/x")
    await room.denials.note(ana, NotFound("gone"), "GET", "/x")
    await room.denials.flush()
    assert await room.facts() == []


async def test_the_noise_of_one_tenant_leaves_the_line_of_another(room, ana):
    noisy = [replace(ana, subject=f"key-{n}") for n in range(300)]
    quiet = replace(ana, tenant=uuid4(), subject="bo")
    for caller in (*noisy, quiet):
        await room.denials.note(caller, REFUSED, "GET", "/x")
    await room.denials.flush()
    facts = await room.facts()
    assert sum(fact["after"]["count"] for fact in facts) == 301
    assert len(facts) <= 103
    assert [f["after"]["count"] for f in facts if f["actor"]["id"] == "bo"] == [1]


async def test_a_refused_call_over_grpc_is_told_as_well(room, ana):
    class Iam(iam_pb2_grpc.IamServicer):
        async def Check(self, request, context):
            (await who(Anyone(ana), context)).must("thing:delete")

    server = aio.server(interceptors=[Guard("m" * 32, frozenset(), room.denials)])
    iam_pb2_grpc.add_IamServicer_to_server(Iam(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(aio.AioRpcError, match="thing:delete"):
                await iam_pb2_grpc.IamStub(channel).Check(pb.CheckRequest())
    finally:
        await server.stop(0)
    [fact] = await room.facts()
    assert (fact["after"]["method"], fact["actor"]["id"]) == ("gRPC", ana.subject)
    assert fact["after"]["path"] == "/switchyard.iam.v1.Iam/Check"


async def test_the_job_tells_by_itself_what_was_counted(room, ana, monkeypatch):
    monkeypatch.setattr(said, "EVERY", 0.01)
    token = CURRENT.set(Asked(request_id="kept"))
    await room.denials.note(ana, REFUSED, "GET", "/x")
    await room.denials.note(ana, REFUSED, "GET", "/x")
    CURRENT.reset(token)
    job = asyncio.create_task(room.denials.run())
    try:
        async with asyncio.timeout(20):
            while len(facts := await room.facts()) < 2:
                await asyncio.sleep(0.01)
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
    assert [f["context"]["request_id"] for f in facts] == ["kept", "kept"]
