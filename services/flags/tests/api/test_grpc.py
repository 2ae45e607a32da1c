"""The gRPC door, over a real channel on loopback."""

import time
from uuid import UUID

import grpc
import pytest
from grpc import aio

from chassis import mesh
from chassis.pages import Cursors
from chassis.rpc import Guard
from flags.api.grpc import INTERNAL, FlagsServicer
from switchyard.flags.v1 import flags_pb2 as pb
from switchyard.flags.v1 import flags_pb2_grpc as rpc

ANA = (("authorization", "Bearer ana"),)


@pytest.fixture
async def stub(flags, allocations, identity):
    server = aio.server(interceptors=[Guard("s" * 32, INTERNAL)])
    servicer = FlagsServicer(flags, allocations, identity, Cursors(b"test"))
    rpc.add_FlagsServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield rpc.FlagsStub(channel)
    await server.stop(None)


@pytest.fixture
async def made(flags, ana, here):
    from flags.domain.flag import Draft

    return [await flags.create(ana, here, Draft(key=f"f{n}", name=f"F {n}")) for n in range(3)]


async def test_a_flag_is_got_by_id_or_key(stub, made):
    by_id = await stub.Get(pb.GetRequest(flag=str(made[0].id)), metadata=ANA)
    assert by_id == await stub.Get(pb.GetRequest(flag="f0"), metadata=ANA)
    assert (by_id.key, by_id.type, by_id.enabled, by_id.version) == ("f0", "boolean", False, 1)
    assert (by_id.project, by_id.environment) == ("default", "production")


async def test_a_toggle_is_told_with_its_reason(stub, made, work):
    asked = pb.ToggleRequest(flag="f0", reason="incident 7", environment="development")
    toggled = await stub.Toggle(asked, metadata=ANA)
    assert (toggled.enabled, toggled.environment) == (True, "development")
    assert (work.facts[-1].action, work.facts[-1].reason) == ("flag.toggle_enabled", "incident 7")


async def test_a_list_goes_on_where_its_cursor_says(stub, made):
    first = await stub.List(pb.ListRequest(limit=2), metadata=ANA)
    rest = await stub.List(pb.ListRequest(limit=2, cursor=first.next_cursor), metadata=ANA)
    assert [f.key for f in (*first.items, *rest.items)] == ["f2", "f1", "f0"]
    assert rest.next_cursor == ""


@pytest.mark.parametrize(
    ("asked", "metadata", "status", "code"),
    [
        (pb.GetRequest(flag="none"), ANA, grpc.StatusCode.NOT_FOUND, "flags.not_found"),
        (pb.GetRequest(flag="f0"), (), grpc.StatusCode.UNAUTHENTICATED, "no_credential"),
        (
            pb.GetRequest(flag="f0", environment="x"),
            ANA,
            grpc.StatusCode.NOT_FOUND,
            "flags.environment_not_found",
        ),
    ],
)
async def test_a_fault_crosses_the_wire_with_its_code(stub, made, asked, metadata, status, code):
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.Get(asked, metadata=metadata)
    assert refused.value.code() is status
    assert dict(refused.value.trailing_metadata())["fault-code"] == code


def put(ana, **more):
    allocation = pb.Allocation(
        phase=1,
        unit="targetingKey",
        salt="s",
        arms=[pb.Arm(key="control", weight=50_000), pb.Arm(key="treatment", weight=50_000)],
        targeting_json='{"op": "present", "attribute": "plan"}',
        starts_at={"seconds": 1_900_000_000},
    )
    words = {"project": "default", "environment": "production", "flag": "f0", "version": 3}
    return pb.PutAllocationRequest(
        **{**words, "experiment": "e", "experiment_id": str(UUID(int=5))},
        tenant_id=str(ana.tenant),
        allocation=allocation,
        **more,
    )


async def test_only_a_service_may_put_an_allocation(stub, made, ana):
    with pytest.raises(aio.AioRpcError) as refused:
        await stub.PutAllocation(put(ana), metadata=ANA)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_service_puts_an_allocation_or_asks_whether_it_could(stub, made, ana, work):
    method = "/switchyard.flags.v1.Flags/PutAllocation"
    signed = (("x-mesh", mesh.sign("s" * 32, "experiments", method, time.time())),)
    asked = await stub.PutAllocation(put(ana, validate_only=True), metadata=signed)
    assert (asked.flag_enabled, work.kept_allocations) == (False, {})
    granted = await stub.PutAllocation(put(ana, reason="go"), metadata=signed)
    [kept] = work.kept_allocations.values()
    assert (granted.version, kept.version, kept.flag_id) == (3, 3, made[0].id)
    assert kept.document["starts_at"] == "2030-03-17T17:46:40+00:00"
    assert kept.document["when"] == {"op": "present", "attribute": "plan"}
    assert (work.facts[-1].action, work.facts[-1].reason) == ("flag.allocated", "go")
