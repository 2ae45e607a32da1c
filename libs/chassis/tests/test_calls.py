"""gRPC at both ends, over a real loopback connection."""

import time
from contextlib import asynccontextmanager
from math import inf

import grpc
import pytest
from grpc import aio

from chassis.context import CURRENT, Asked, asked
from chassis.edge import asked_by
from chassis.errors import FieldError, Invalid, NotFound, Unavailable
from chassis.rpc import FAMILY, STATUS, Guard, as_fault, neighbour
from chassis.settings import ServiceSettings
from switchyard.iam.v1 import iam_pb2 as pb
from switchyard.iam.v1 import iam_pb2_grpc

SECRET = "m" * 32
INTERNAL = frozenset({"/switchyard.iam.v1.Iam/ResolveKey"})


class Iam(iam_pb2_grpc.IamServicer):
    def __init__(self):
        self.seen = []
        self.fault = None
        self.answer = {}

    async def Check(self, request, context):
        self.seen.append((dict(context.invocation_metadata()), asked(), context.time_remaining()))
        if self.fault:
            raise self.fault
        asked().answer.update(self.answer)
        return pb.CheckResponse(allowed=True)

    async def ResolveKey(self, request, context):
        return pb.ApiKey(id="k1")

    async def Snapshot(self, request, context):
        yield pb.SnapshotEvent(epoch=1)
        if self.fault:
            raise self.fault


@asynccontextmanager
async def served(servicer):
    server = aio.server(interceptors=[Guard(SECRET, INTERNAL)])
    iam_pb2_grpc.add_IamServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@pytest.fixture
async def iam():
    return Iam()


@pytest.fixture
async def stub(iam):
    async with served(iam) as address, neighbour(address, "flags", SECRET) as channel:
        yield iam_pb2_grpc.IamStub(channel)


@pytest.mark.parametrize("family", sorted(STATUS, key=lambda f: f.__name__))
async def test_a_fault_comes_out_as_the_fault_it_was(iam, stub, family):
    iam.fault = family("what happened", code="own.code")
    with pytest.raises(aio.AioRpcError) as raised:
        await stub.Check(pb.CheckRequest())
    fault = as_fault(raised.value)
    assert isinstance(fault, FAMILY.get(STATUS[family], Unavailable))
    assert (fault.detail, fault.code) == ("what happened", "own.code")


async def test_a_refusal_is_an_answer_and_is_not_asked_for_again(iam, stub):
    """Else each write that is refused asks iam three times while the database is away."""
    iam.fault = Unavailable("its database is away")
    with pytest.raises(aio.AioRpcError) as raised:
        await stub.Check(pb.CheckRequest())
    assert (raised.value.code(), len(iam.seen)) == (grpc.StatusCode.UNAVAILABLE, 1)


async def test_field_errors_cross_too(iam, stub):
    iam.fault = Invalid("bad", errors=(FieldError("/name", "zu läng", "too_long"),))
    with pytest.raises(aio.AioRpcError) as raised:
        await stub.Check(pb.CheckRequest())
    assert as_fault(raised.value).errors == iam.fault.errors


async def test_a_stream_that_fails_tells_its_fault(iam, stub):
    iam.fault = NotFound("gone", code="own.gone")
    seen = []
    with pytest.raises(aio.AioRpcError) as raised:
        async for event in stub.Snapshot(pb.SnapshotRequest()):
            seen.append(event.epoch)
    assert (seen, as_fault(raised.value).code) == ([1], "own.gone")


async def test_a_bug_is_not_renamed(iam, stub):
    iam.fault = ZeroDivisionError("oops")
    with pytest.raises(aio.AioRpcError) as raised:
        await stub.Check(pb.CheckRequest())
    assert raised.value.code() is grpc.StatusCode.UNKNOWN


async def test_the_request_and_its_caller_are_passed_on(iam, stub):
    token = CURRENT.set(
        Asked(
            request_id="request-1",
            trace_id="a" * 32,
            traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-00",
            credential=("authorization", "Bearer t"),
        )
    )
    await stub.Check(pb.CheckRequest())
    CURRENT.reset(token)
    metadata, there, _ = iam.seen[0]
    assert metadata["authorization"] == "Bearer t"
    assert metadata["x-mesh"].startswith("flags.")
    assert (there.request_id, there.trace_id) == ("request-1", "a" * 32)


async def test_every_unary_call_has_a_deadline(iam, stub):
    await stub.Check(pb.CheckRequest())
    assert 0 < iam.seen[0][2] < 2.5


async def test_a_neighbour_has_a_second_in_production_and_more_where_machines_are_busy(iam):
    settings = ServiceSettings()
    assert settings.patience == 1.0
    assert settings.model_copy(update={"profile": "test"}).patience == 2.5
    async with (
        served(iam) as address,
        neighbour(address, "flags", SECRET, 30.0) as channel,
    ):
        await iam_pb2_grpc.IamStub(channel).Check(pb.CheckRequest())
    assert 2.5 < iam.seen[0][2] < 31


async def test_what_is_left_of_a_callers_time_is_passed_on_less_a_fifth(iam, stub):
    token = CURRENT.set(asked_by([(b"x-budget-ms", b"30000")]))
    try:
        await stub.Check(pb.CheckRequest(), timeout=100)
    finally:
        CURRENT.reset(token)
    _, there, remaining = iam.seen[0]
    assert 0 < remaining <= 25  # what grpc sends is rounded up, by a hundredth at most
    assert 0 < there.left(100) <= 0.8 * 25
    assert there.left(1e-3) == 1e-3
    await stub.Check(pb.CheckRequest(), timeout=100)
    assert 25 < iam.seen[1][2] <= 102


def test_when_the_time_is_up_nothing_is_left_for_a_neighbour():
    assert Asked(ends=time.monotonic() - 1).left(5) == 0
    assert Asked().left(5) == 5


@pytest.mark.parametrize("said", [b"", b"-1", b"1e3", b"soon", b"9" * 30, "²".encode("latin-1")])
def test_a_budget_that_is_none_is_as_long_as_ever(said):
    assert asked_by([(b"x-budget-ms", said)]).ends == inf


async def test_an_internal_method_is_for_services_only(iam):
    async with served(iam) as address:
        async with neighbour(address, "flags", SECRET) as channel:
            assert (await iam_pb2_grpc.IamStub(channel).ResolveKey(pb.ResolveKeyRequest())).id
        async with aio.insecure_channel(address) as channel:
            stub = iam_pb2_grpc.IamStub(channel)
            for metadata in ((), (("x-mesh", f"flags.{int(time.time()) + 50}.00"),)):
                with pytest.raises(aio.AioRpcError) as raised:
                    await stub.ResolveKey(pb.ResolveKeyRequest(), metadata=metadata)
                assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_nobody_there_is_unavailable(unused_tcp_port):
    async with neighbour(f"127.0.0.1:{unused_tcp_port}", "flags", SECRET) as channel:
        with pytest.raises(aio.AioRpcError) as raised:
            await iam_pb2_grpc.IamStub(channel).Check(pb.CheckRequest(), timeout=3)
    assert isinstance(as_fault(raised.value), Unavailable)


async def test_how_fresh_a_decision_must_be_is_passed_on_and_told_back(iam, stub):
    iam.answer = {"x-authz-epoch": "42"}
    token = CURRENT.set(Asked(epoch="41"))
    try:
        call = stub.Check(pb.CheckRequest())
        await call
    finally:
        CURRENT.reset(token)
    metadata, heard, _ = iam.seen[0]
    assert (metadata["x-authz-epoch"], heard.epoch) == ("41", "41")
    assert dict(await call.trailing_metadata())["x-authz-epoch"] == "42"
    iam.answer = {}
    call = stub.Check(pb.CheckRequest())
    await call
    assert "x-authz-epoch" not in dict(await call.trailing_metadata() or ())
    assert "x-authz-epoch" not in iam.seen[1][0]
