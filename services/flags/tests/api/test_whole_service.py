"""Two replicas of the whole service, wired as in production: PostgreSQL, Redis and an iam that only knows our keys."""

import asyncio
import contextlib
import time
from uuid import uuid4

import httpx
import pytest
from grpc import aio

from authz import apikeys
from chassis import mesh
from flags.main import build
from flags.settings import Settings
from switchyard.iam.v1 import iam_pb2 as pb
from switchyard.iam.v1 import iam_pb2_grpc

pytestmark = pytest.mark.store
SECRET = "for-tests-only-" * 3
FLAGS, OFREP = "/api/v1/feature-flags", "/ofrep/v1/evaluate/flags"
MANAGING = [f"flag:{verb}" for verb in ("read", "create", "update", "delete", "toggle")]


class OurKeys(iam_pb2_grpc.IamServicer):
    """iam as far as replicas follow it."""

    def __init__(self, *events):
        self._events = events

    async def Snapshot(self, request, context):
        said = dict(context.invocation_metadata())
        method = "/switchyard.iam.v1.Iam/Snapshot"
        mesh.verify(SECRET, said[mesh.HEADER], method, time.time())
        for event in self._events:
            yield event
        yield pb.SnapshotEvent(epoch=1, ready=pb.Ready())
        while True:
            await asyncio.sleep(0.5)
            yield pb.SnapshotEvent(epoch=1, heartbeat=pb.Heartbeat())


@pytest.fixture(scope="session")
def flags_url(service_url):
    return service_url("flags")


@contextlib.asynccontextmanager
async def iam(*events):
    server = aio.server()
    iam_pb2_grpc.add_IamServicer_to_server(OurKeys(*events), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


@contextlib.asynccontextmanager
async def replica(settings):
    """Lend a client of a running replica."""
    async with build(settings) as service:
        tasks = [asyncio.create_task(job()) for job in service.always]
        transport = httpx.ASGITransport(service.rest)
        async with httpx.AsyncClient(transport=transport, base_url="http://flags.test") as web:
            await until(lambda: not any(check() for check in service.checks))
            yield web
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(holds, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not (got := holds() if not asyncio.iscoroutinefunction(holds) else await holds()):
            await asyncio.sleep(0.01)
    return got


@pytest.fixture
def keyring():
    """A managing and an evaluating key of a fresh tenant, and what iam says of them."""
    tenant, account = str(uuid4()), str(uuid4())
    (manage_id, manage), (read_id, read) = apikeys.mint("management"), apikeys.mint("server")
    subject = pb.Subject(id=account, tenant_id=tenant, active=True, permissions=MANAGING)
    managing = pb.ApiKey(
        hash=apikeys.digest(manage),
        id=manage_id,
        tenant_id=tenant,
        kind="management",
        subject_id=account,
    )
    reading = pb.ApiKey(
        hash=apikeys.digest(read),
        id=read_id,
        tenant_id=tenant,
        kind="server",
        environment="production",
        scopes=["flag:evaluate"],
    )
    events = [
        pb.SnapshotEvent(epoch=1, subject=subject),
        pb.SnapshotEvent(epoch=1, api_key=managing),
        pb.SnapshotEvent(epoch=1, api_key=reading),
    ]
    return {"x-api-key": manage}, {"x-api-key": read}, events


@pytest.mark.parametrize("redis", ["there", "away"])
async def test_a_change_at_one_replica_is_served_by_the_other(flags_url, request, keyring, redis):
    redis_url = request.getfixturevalue("redis_url") if redis == "there" else "redis://127.0.0.1:1"
    manage, read, events = keyring
    async with iam(*events) as address:
        # Without Redis only polling is left; with it, polling is too slow to be what is seen here.
        settings = Settings(
            database_url=flags_url,
            redis_url=redis_url,
            iam_address=address,
            audit_address="127.0.0.1:1",
            mesh_secret=SECRET,
            poll_every=10 if redis == "there" else 0.2,
        )
        async with replica(settings) as here, replica(settings) as there:
            body = {"key": "dark-mode", "name": "Dark mode"}
            made = await here.post(FLAGS, json=body, headers=manage)
            assert made.status_code == 201, made.text

            def served(value):
                async def so():
                    got = await there.post(f"{OFREP}/dark-mode", json={}, headers=read)
                    return got.status_code == 200 and got.json()["value"] is value

                return so

            await until(served(value=False))
            toggle = f"{FLAGS}/dark-mode/toggle"
            toggled = await here.post(toggle, json={"reason": "now"}, headers=manage)
            assert toggled.json()["status"] == "enabled"
            await until(served(value=True), seconds=5)


async def test_a_repeated_request_has_one_effect(flags_url, keyring):
    manage, _, events = keyring
    async with iam(*events) as address:
        settings = Settings(
            database_url=flags_url,
            redis_url="redis://127.0.0.1:1",
            iam_address=address,
            audit_address="127.0.0.1:1",
            mesh_secret=SECRET,
        )
        async with replica(settings) as web:
            headers = {**manage, "idempotency-key": "once"}
            await web.post(FLAGS, json={"key": "f", "name": "F"}, headers=manage)
            first = await web.post(f"{FLAGS}/f/toggle", json={}, headers=headers)
            again = await web.post(f"{FLAGS}/f/toggle", json={}, headers=headers)
            assert (first.json(), again.headers["idempotent-replayed"]) == (again.json(), "true")
            assert (await web.get(f"{FLAGS}/f", headers=manage)).json()["version"] == 2
