"""The gRPC door, in process."""

import grpc
import pytest
from grpc import aio

from chassis.pages import Cursors
from chassis.rpc import OPTIONS, Guard
from compute.api.grpc import ComputeServicer
from compute.domain.vm import Step
from switchyard.compute.v1 import compute_pb2 as pb
from switchyard.compute.v1 import compute_pb2_grpc

ANA = (("authorization", "Bearer ana"),)


@pytest.fixture
async def stub(vms, identity):
    server = aio.server(interceptors=[Guard("s" * 32)], options=OPTIONS)
    servicer = ComputeServicer(vms, identity, Cursors(b"key"))
    compute_pb2_grpc.add_ComputeServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield compute_pb2_grpc.ComputeStub(channel)
    await server.stop(None)


@pytest.fixture
def vm(work, make_vm):
    vm = make_vm(step=Step.UP)
    work.vms.kept[vm.id] = vm
    return vm


async def failure(call):
    with pytest.raises(aio.AioRpcError) as failed:
        await call
    return failed.value.code()


async def test_one_machine(stub, vm):
    got = await stub.GetVm(pb.GetVmRequest(id=str(vm.id)), metadata=ANA)
    assert (got.id, got.name, got.status) == (str(vm.id), "web", "RUNNING")
    assert (got.cpu, got.memory_gb, got.disk_gb, got.version) == (2, 4, 20, 1)


async def test_a_list_goes_on_with_its_cursor(stub, work, make_vm, clock):
    for name in "abc":
        vm = make_vm(name, at=clock.forward(seconds=1))
        work.vms.kept[vm.id] = vm
    first = await stub.ListVms(pb.ListVmsRequest(limit=2), metadata=ANA)
    last = await stub.ListVms(pb.ListVmsRequest(limit=2, cursor=first.next_cursor), metadata=ANA)
    assert [vm.name for vm in (*first.items, *last.items)] == ["c", "b", "a"]
    assert last.next_cursor == ""


async def test_failures_say_what_they_are(stub, vm):
    codes = grpc.StatusCode
    get, bad = pb.GetVmRequest(id=str(vm.id)), pb.GetVmRequest(id="x")
    nora, otto = ((("authorization", f"Bearer {who}"),) for who in ("nora", "otto"))
    assert await failure(stub.GetVm(bad)) is codes.UNAUTHENTICATED
    assert await failure(stub.GetVm(bad, metadata=nora)) is codes.PERMISSION_DENIED
    assert await failure(stub.GetVm(bad, metadata=ANA)) is codes.INVALID_ARGUMENT
    assert await failure(stub.GetVm(get, metadata=otto)) is codes.NOT_FOUND
    listed = pb.ListVmsRequest(limit=101)
    assert await failure(stub.ListVms(listed, metadata=ANA)) is codes.INVALID_ARGUMENT
