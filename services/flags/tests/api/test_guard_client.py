"""The client of experiments, against a real gRPC server that lets in only services."""

import time
from uuid import uuid4

import pytest
from grpc import StatusCode, aio

from chassis import mesh
from chassis.errors import NotFound, Unauthenticated, Unavailable
from chassis.rpc import OPTIONS, Guard, neighbour
from flags.clients.experiments import ExperimentsClient
from flags.domain.guard import Evidence
from switchyard.experiments.v1 import experiments_pb2 as pb
from switchyard.experiments.v1 import experiments_pb2_grpc as rpc

SECRET = "s" * 32
VERDICT = "/switchyard.experiments.v1.Experiments/GuardVerdict"
INTERNAL = frozenset({VERDICT})
TENANT = uuid4()


class Judge(rpc.ExperimentsServicer):
    """Judges by the name of the experiment; keeps what it was asked, and how much time it was given."""

    def __init__(self):
        self.asked = []

    async def GuardVerdict(self, request, context):
        said = dict(context.invocation_metadata())
        caller = mesh.verify(SECRET, said[mesh.HEADER], VERDICT, time.time())
        self.asked.append((request.tenant, caller, context.time_remaining()))
        if request.experiment == "none":
            await context.abort(StatusCode.NOT_FOUND, "there is no experiment 'none'")
        harmed = [pb.HarmedGuardrail(metric="errors", variant="b")]
        return pb.GuardVerdictResponse(
            harmed=True, guardrails=harmed, units=7, watched=["errors", "speed"], unwatched=["slow"]
        )


@pytest.fixture
async def judge():
    """A server at a port of its own, and what it was asked."""
    server = aio.server(interceptors=[Guard(SECRET, INTERNAL)], options=OPTIONS)
    judge = Judge()
    rpc.add_ExperimentsServicer_to_server(judge, server)
    judge.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield judge
    await server.stop(None)


async def test_it_asks_as_a_service_with_a_deadline_and_reads_what_it_is_told(judge):
    async with neighbour(judge.address, "flags", SECRET) as channel:
        found = await ExperimentsClient(channel).evidence(TENANT, "checkout")
    assert found == Evidence(
        watched=frozenset({"errors", "speed"}),
        unwatched=frozenset({"slow"}),
        harmed=(("errors", "b"),),
        units=7,
    )
    [(tenant, caller, left)] = judge.asked
    assert (tenant, caller) == (str(TENANT), "flags")
    assert 0 < left <= 5


async def test_what_is_not_there_and_who_is_not_let_in_are_faults(judge):
    async with neighbour(judge.address, "flags", SECRET) as channel:
        with pytest.raises(NotFound, match="no experiment 'none'"):
            await ExperimentsClient(channel).evidence(TENANT, "none")
    async with neighbour(judge.address, "flags", "x" * 32) as channel:
        with pytest.raises(Unauthenticated):
            await ExperimentsClient(channel).evidence(TENANT, "checkout")


async def test_nobody_there_is_unavailable():
    server = aio.server()
    port = server.add_insecure_port("127.0.0.1:0")  # bound, and given back: nobody listens
    await server.stop(None)
    async with neighbour(f"127.0.0.1:{port}", "flags", SECRET) as channel:
        with pytest.raises(Unavailable):
            await ExperimentsClient(channel).evidence(TENANT, "checkout")
