"""What we say to flags over a real channel on loopback, and what becomes of its refusals."""

from uuid import UUID

import pytest
from grpc import aio

from chassis.errors import Conflict, FieldError, Invalid, Unavailable
from chassis.rpc import Guard, neighbour
from experiments.clients.flags import FlagsClient
from experiments.domain.layers import Held, Slot
from experiments.domain.publication import Publication, wish
from experiments.domain.schedule import Plan
from experiments.usecases.experiments import Draft
from switchyard.flags.v1 import flags_pb2 as pb
from switchyard.flags.v1 import flags_pb2_grpc as rpc

SECRET = "s" * 32
METHOD = "/switchyard.flags.v1.Flags/PutAllocation"


class Listening(rpc.FlagsServicer):
    """A flags service that only listens, behind the real guard of internal methods."""

    def __init__(self):
        self.heard, self.fault = [], None

    async def PutAllocation(self, request, context):
        self.heard.append(request)
        if self.fault:
            raise self.fault
        return pb.PutAllocationResponse(version=request.version, flag_enabled=True)


@pytest.fixture
async def listening():
    server, servicer = aio.server(interceptors=[Guard(SECRET, frozenset({METHOD}))]), Listening()
    rpc.add_FlagsServicer_to_server(servicer, server)
    servicer.port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield servicer
    await server.stop(None)


@pytest.fixture
async def client(listening):
    async with neighbour(f"127.0.0.1:{listening.port}", "experiments", SECRET) as channel:
        yield FlagsClient(channel)


@pytest.fixture
async def document(experiments, schedules, ana, work):
    from dataclasses import replace

    from experiments.usecases.experiments import Intent

    targeting = {"op": "eq", "attribute": "plan", "value": "größer"}
    draft = Draft(key="checkout", name="n", traffic=5_000, targeting=targeting)
    made = await experiments.create(ana, draft)
    plan = Plan(start="2026-06-02T12:00", end="2026-06-03T12:00")
    planned = await schedules.set(ana, Intent(experiment="checkout"), plan)
    placed = replace(planned, slot=Slot(UUID(int=7), 10, 20))
    assert made.id == placed.id
    return wish(placed, (Held(UUID(int=8), 100),), "why")


def published(document, version=4):
    return Publication(
        experiment_id=UUID(int=5), tenant=UUID(int=6), version=version, document=document
    )


async def test_everything_that_is_wanted_arrives(client, listening, document):
    taken = await client.put(published(document))
    [heard] = listening.heard
    assert (taken.version, taken.enabled, heard.version, heard.validate_only) == (4, True, 4, False)
    assert (heard.tenant_id, heard.experiment_id) == (str(UUID(int=6)), str(UUID(int=5)))
    assert (heard.flag, heard.project, heard.environment) == ("checkout", "default", "production")
    it = heard.allocation
    assert [(arm.key, arm.weight, arm.serves) for arm in it.arms] == [
        ("control", 50_000, ""),
        ("treatment", 50_000, ""),
    ]
    assert [(g.name, g.start, g.end) for g in it.gates] == [
        ("holdout", 100, 100_000),
        ("layer", 10, 20),
        ("traffic", 0, 5_000),
    ]
    assert "plan" in it.targeting_json
    assert (it.starts_at.seconds, it.ends_at.seconds - it.starts_at.seconds) == (
        1780401600,
        86_400,
    )


async def test_a_withdrawal_has_no_allocation_and_a_check_changes_nothing(
    client, listening, document
):
    await client.put(published({**document, "allocation": None}))
    await client.check(UUID(int=6), UUID(int=5), document)
    gone, asked = listening.heard
    assert (gone.HasField("allocation"), asked.validate_only) == (False, True)


@pytest.mark.parametrize(
    "fault",
    [
        Invalid("no", code="flags.bad_allocation", errors=(FieldError("/targeting/op", "no"),)),
        Conflict("no", code="flags.in_experiment"),
    ],
)
async def test_a_refusal_comes_out_as_the_fault_it_was(client, listening, document, fault):
    listening.fault = fault
    with pytest.raises(type(fault)) as refused:
        await client.check(UUID(int=6), UUID(int=5), document)
    assert (refused.value.code, refused.value.errors) == (fault.code, fault.errors)


async def test_flags_that_is_not_there_is_unavailable(document):
    async with neighbour("127.0.0.1:1", "experiments", SECRET) as channel:
        with pytest.raises(Unavailable):
            await FlagsClient(channel).check(UUID(int=6), UUID(int=5), document)
