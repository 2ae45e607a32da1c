"""The gRPC door, in process."""

import time
from datetime import timedelta

import grpc
import pytest
from grpc import aio

from chassis import mesh
from chassis.pages import Cursors
from chassis.rpc import OPTIONS, Guard
from experiments.api.grpc import INTERNAL, ExperimentsServicer
from experiments.domain.analysis import Analysis
from experiments.domain.experiment import Status
from experiments.domain.schedule import Plan
from experiments.domain.trial import Span, Trial
from experiments.usecases.experiments import Draft, Intent
from experiments.usecases.results import judged
from switchyard.experiments.v1 import experiments_pb2 as pb
from switchyard.experiments.v1 import experiments_pb2_grpc

SECRET = "s" * 32
VERDICT = "/switchyard.experiments.v1.Experiments/GuardVerdict"
ANA = (("authorization", "Bearer ana"),)


@pytest.fixture
async def stub(experiments, identity, work, clock):
    async def judge(tenant, experiment):
        return await judged(work, tenant, experiment, clock())

    server = aio.server(interceptors=[Guard(SECRET, INTERNAL)], options=OPTIONS)
    servicer = ExperimentsServicer(experiments, identity, Cursors(b"key"), judge)
    experiments_pb2_grpc.add_ExperimentsServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield experiments_pb2_grpc.ExperimentsStub(channel)
    await server.stop(None)


async def failure(call):
    with pytest.raises(aio.AioRpcError) as failed:
        await call
    return failed.value.code()


async def test_one_experiment_by_id_or_key_as_the_clock_has_it(stub, draft, schedules, ana, clock):
    await schedules.set(ana, Intent(experiment="checkout"), Plan(start="2026-06-01T13:00"))
    clock.forward(hours=1)
    by_key = await stub.Get(pb.GetRequest(experiment="checkout"), metadata=ANA)
    by_id = await stub.Get(pb.GetRequest(experiment=str(draft.id)), metadata=ANA)
    assert by_key == by_id
    assert (by_key.status, by_key.version) == ("ACTIVE", 3)
    assert by_key.start_date.ToJsonString() == "2026-06-01T13:00:00Z"
    assert not by_key.HasField("end_date")


async def test_a_list_goes_on_with_its_cursor(stub, experiments, ana, clock):
    for number in range(3):
        await experiments.create(ana, Draft(key=f"k{number}", name="n"))
        clock.forward(seconds=1)
    first = await stub.List(pb.ListRequest(limit=2), metadata=ANA)
    last = await stub.List(pb.ListRequest(limit=2, cursor=first.next_cursor), metadata=ANA)
    assert [it.key for it in (*first.items, *last.items)] == ["k2", "k1", "k0"]
    assert last.next_cursor == ""


async def test_failures_say_what_they_are(stub, draft):
    codes = grpc.StatusCode
    get, listed = pb.GetRequest(experiment="checkout"), pb.ListRequest
    nora, otto = ((("authorization", f"Bearer {who}"),) for who in ("nora", "otto"))
    assert await failure(stub.Get(get)) is codes.UNAUTHENTICATED
    assert await failure(stub.Get(get, metadata=nora)) is codes.PERMISSION_DENIED
    assert await failure(stub.Get(get, metadata=otto)) is codes.NOT_FOUND
    assert await failure(stub.List(listed(limit=101), metadata=ANA)) is codes.INVALID_ARGUMENT
    assert await failure(stub.List(listed(limit=-1), metadata=ANA)) is codes.INVALID_ARGUMENT
    assert await failure(stub.List(listed(cursor="x"), metadata=ANA)) is codes.INVALID_ARGUMENT


async def test_a_verdict_is_for_services_and_says_what_is_harmed(stub, draft, work, clock, tenant):
    work.trials.kept.append(
        Trial(
            id=draft.id,
            tenant=tenant,
            key="checkout",
            owner_id="ana",
            status=Status.ACTIVE,
            variants=("control", "treatment"),
            spans=(Span(1, clock() - timedelta(days=1), None, (1, 1)),),
            uses=(),
            analysis=Analysis(),
        )
    )
    service = ((mesh.HEADER, mesh.sign(SECRET, "flags", VERDICT, time.time())),)
    ask = pb.GuardVerdictRequest(tenant=str(tenant), experiment="checkout")
    said = await stub.GuardVerdict(ask, metadata=service)
    assert (said.harmed, said.units, list(said.watched)) == (False, 0, [])
    assert "nobody has been exposed" in said.sentence
    assert await failure(stub.GuardVerdict(ask, metadata=ANA)) is grpc.StatusCode.UNAUTHENTICATED
    wrong = pb.GuardVerdictRequest(tenant="t", experiment="checkout")
    assert (
        await failure(stub.GuardVerdict(wrong, metadata=service))
        is grpc.StatusCode.INVALID_ARGUMENT
    )
    missing = pb.GuardVerdictRequest(tenant=str(tenant), experiment="none")
    assert await failure(stub.GuardVerdict(missing, metadata=service)) is grpc.StatusCode.NOT_FOUND
