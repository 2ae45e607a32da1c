"""The gRPC door, in process."""

import grpc
import pytest
from grpc import aio

from chassis.pages import Cursors
from chassis.rpc import OPTIONS, Guard
from compute.api.grpc import ComputeServicer
from compute.domain.vm import Step
from compute.usecases.agents import NewAgent
from switchyard.compute.v1 import compute_pb2 as pb
from switchyard.compute.v1 import compute_pb2_grpc

ANA = (("authorization", "Bearer ana"),)
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
async def stub(vms, agents, usage, identity):
    server = aio.server(interceptors=[Guard("s" * 32)], options=OPTIONS)
    servicer = ComputeServicer((vms, agents, usage), identity, Cursors(b"key"))
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


@pytest.fixture
async def writer(agents, ana):
    said = {"agent_type": "writer", "name": "Größe ✓", "description": "", "is_free_agent": False}
    return await agents.create(ana, NewAgent(**said, configuration_template={}, card=None))


async def test_the_types_of_agents_that_may_be_used_are_told_from_those_that_may_not(stub, writer):
    asked = pb.ResolveAgentsRequest(agent_types=["writer", "reader"])
    found = await stub.ResolveAgents(asked, metadata=ANA)
    [got] = found.allowed
    assert (got.id, got.name, got.version) == (str(writer.id), "Größe ✓", 1)
    assert (got.agent_type, got.is_free_agent) == ("writer", False)
    assert found.denied == ["reader"]
    nobody = pb.ResolveAgentsRequest()
    assert await failure(stub.ResolveAgents(nobody, metadata=ANA)) is INVALID
    assert await failure(stub.ResolveAgents(asked)) is grpc.StatusCode.UNAUTHENTICATED


def event(writer, called="e1", **said):
    return pb.UsageRecord(source="app", event_id=called, agent_id=str(writer.id), **said)


async def test_usage_is_recorded_once_and_what_is_not_set_is_not_known(stub, writer, work, clock):
    sent = pb.RecordUsageRequest(records=[event(writer, token_count=7), event(writer, "e2")])
    sent.records[0].occurred_at.FromDatetime(clock())
    first = await stub.RecordUsage(sent, metadata=ANA)
    assert (first.accepted, first.duplicates, len(first.ids)) == (2, 0, 2)
    again = await stub.RecordUsage(sent, metadata=ANA)
    assert (again.accepted, again.duplicates, again.ids) == (0, 2, first.ids)
    kept = {r.event_id: r for r in work.ledger.kept.values()}
    assert (kept["e1"].token_count, kept["e1"].occurred_at) == (7, clock())
    assert (kept["e2"].token_count, kept["e2"].cost_micros, kept["e2"].calls) == (None, None, 1)


@pytest.mark.parametrize(
    "said",
    [
        {"token_count": -1},
        {"cost_micros": 2**63 - 1},
        {"kind": "vm_time"},
        {"agent_id": "writer"},
        {"event_id": ""},
        {"source": "ein Quell"},
        {"occurred_at": {"seconds": 2**62}},
    ],
)
async def test_usage_that_rest_would_refuse_is_refused_and_nothing_is_recorded(
    stub, writer, work, said
):
    bad = event(writer)
    bad.MergeFrom(pb.UsageRecord(**said))
    if said.get("event_id") == "":
        bad.event_id = ""
    sent = pb.RecordUsageRequest(records=[event(writer, "fine"), bad])
    assert await failure(stub.RecordUsage(sent, metadata=ANA)) is INVALID
    assert work.ledger.kept == {}
