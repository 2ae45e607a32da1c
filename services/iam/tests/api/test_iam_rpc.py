import asyncio
import time
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc import aio

from authz import apikeys
from chassis import mesh
from chassis.authority import Authority
from chassis.frame import tell_usage
from chassis.identity import Identity
from chassis.rpc import Guard, neighbour
from chassis.tokens import Verifier
from iam.api.grpc import INTERNAL, IamServicer
from iam.api.telling import FULL
from iam.usecases.api_keys import NewKey
from iam.usecases.logins import Login
from iam.usecases.users import UserChange
from switchyard.iam.v1 import iam_pb2 as pb
from switchyard.iam.v1 import iam_pb2_grpc

SECRET = "m" * 32


@asynccontextmanager
async def running(*jobs):
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def address(iam, replica):
    server = aio.server(interceptors=[Guard(SECRET, INTERNAL)])
    iam_pb2_grpc.add_IamServicer_to_server(IamServicer(iam.replicas, replica, iam.hall), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with running(iam.feed.run()):
        yield f"127.0.0.1:{port}"
    await server.stop(0)


@pytest.fixture
def replica(make):
    return Identity(Authority(), Verifier(make.issuer.name, make.issuer.audience), None)


@pytest.fixture
async def stub(address):
    async with neighbour(address, "flags", SECRET) as channel:
        yield iam_pb2_grpc.IamStub(channel)


@pytest.fixture
def boss(iam):
    return iam.user(iam.tenant(), "boss@acme.test", roles=["admin"])


async def test_a_stranger_gets_no_snapshot_and_resolves_no_key(address):
    async with aio.insecure_channel(address) as channel:
        stub = iam_pb2_grpc.IamStub(channel)
        for call in (
            stub.ResolveKey(pb.ResolveKeyRequest(hash="x")),
            stub.NoteKeyUse(pb.NoteKeyUseRequest()),
            stub.Snapshot(pb.SnapshotRequest()).read(),
        ):
            with pytest.raises(aio.AioRpcError) as refused:
                await call
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_replica_lets_in_who_logged_in_and_not_who_logged_out(
    iam, boss, stub, replica, make
):
    iam.clock.at = iam.clock.at.fromtimestamp(time.time(), iam.clock.at.tzinfo)
    iam.world.signing_keys.clear()
    await iam.signing.turn()
    async with running(replica.authority.follow(stub)):
        assert await replica.authority.until(lambda s: s.subjects and s.signing_keys, 5)
        tokens = await iam.logins.login(Login(name=boss.email, password=make.password))
        shown = {"authorization": f"Bearer {tokens.access}"}
        caller = await replica.of(shown)
        assert caller.may("flag:toggle")
        await iam.logins.logout(caller)
        assert await replica.authority.until(lambda s: s.ended, 5)
        with pytest.raises(Exception, match="ended"):
            await replica.of(shown)


async def test_a_replica_knows_a_key_until_it_is_revoked(iam, boss, stub, replica, make):
    me = make.caller(boss)
    async with running(replica.authority.follow(stub)):
        key, text = await iam.keys.create(me, NewKey(name="k"))
        assert await replica.authority.until(lambda s: s.keys, 5)
        assert (await replica.of({"x-api-key": text})).permissions == {"flag:evaluate"}
        resolved = await stub.ResolveKey(pb.ResolveKeyRequest(hash=apikeys.digest(text)))
        assert (resolved.id, resolved.kind) == (str(key.id), "server")
        await iam.keys.revoke(me, key.id, None)
        assert await replica.authority.until(lambda s: not s.keys, 5)
        with pytest.raises(aio.AioRpcError) as gone:
            await stub.ResolveKey(pb.ResolveKeyRequest(hash=apikeys.digest(text)))
        assert gone.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_replica_tells_which_keys_were_used(iam, boss, stub, replica, make):
    key, text = await iam.keys.create(make.caller(boss), NewKey(name="k"))
    replica.iam = stub
    async with running(replica.authority.follow(stub)):
        assert await replica.authority.until(lambda s: s.keys, 5)
        await replica.of({"x-api-key": text})
        iam.clock.forward(hours=1)
        replica.used.seen.update(("no uuid", "00000000-0000-0000-0000-00000000000a"))
        await tell_usage(replica)
    assert iam.world.keys[key.id].last_used_at == iam.clock()
    assert replica.used.seen == set()


async def test_a_disabled_user_is_told_as_inactive(iam, boss, stub, replica, make):
    ann = iam.user(iam.world.tenants[boss.tenant])
    async with running(replica.authority.follow(stub)):
        assert await replica.authority.until(lambda s: str(ann.id) in s.subjects, 5)
        await iam.users.update(make.caller(boss), ann.id, UserChange(fields={"active": False}))
        known = replica.authority
        assert await known.until(lambda s: not s.subjects[str(ann.id)].active, 5)


async def test_a_stream_tells_only_the_kinds_that_were_asked_for(iam, boss, stub):
    stream = stub.Snapshot(pb.SnapshotRequest(kinds=[pb.KIND_TENANT]))
    kinds = []
    async with asyncio.timeout(20):
        async for event in stream:
            kinds.append(event.WhichOneof("event"))
            if kinds[-1] == "heartbeat":
                break
    stream.cancel()
    assert kinds == ["tenant", "ready", "heartbeat"]


async def streamed(stub, **asked):
    """Return what a stream tells until the state is whole."""
    stream, told = stub.Snapshot(pb.SnapshotRequest(**asked)), []
    async with asyncio.timeout(20):
        async for event in stream:
            told.append(event)
            if event.WhichOneof("event") == "ready":
                break
    stream.cancel()
    return told


async def test_the_whole_state_comes_in_batches_to_who_knows_them(iam, boss, stub):
    for n in range(7000):
        iam.tenant(f"t{n}")
    singles = await streamed(stub, kinds=[pb.KIND_TENANT])
    batches = await streamed(stub, kinds=[pb.KIND_TENANT], batched=True)
    assert [e.WhichOneof("event") for e in batches] == ["batch", "batch", "ready"]
    assert all(batch.ByteSize() <= 1.1 * FULL for batch in batches)
    assert [e for batch in batches[:-1] for e in batch.batch.events] == singles[:-1]
    assert batches[-1] == singles[-1]
    assert {e.WhichOneof("event") for e in singles} == {"tenant", "ready"}


async def test_a_state_without_anything_is_no_batch(iam, stub):
    told = await streamed(stub, kinds=[pb.KIND_API_KEY], batched=True)
    assert [e.WhichOneof("event") for e in told] == ["ready"]


async def test_check_wants_a_person(stub):
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.Check(pb.CheckRequest(permission="flag:toggle"))
    assert refused.value.code() in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNAUTHENTICATED,
    )


def test_the_internal_methods_are_those_that_show_everybodys_secrets():
    assert {m.rpartition("/")[2] for m in INTERNAL} == {
        "Snapshot",
        "ResolveKey",
        "NoteKeyUse",
        "Introspect",
        "ResolvePrincipals",
    }
    method, now = "/switchyard.iam.v1.Iam/Snapshot", time.time()
    assert mesh.verify(SECRET, mesh.sign(SECRET, "flags", method, now), method, now) == "flags"
