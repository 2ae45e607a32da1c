"""Our neighbour experiments, over gRPC: it knows whether a guardrail is harmed."""

from uuid import UUID

from grpc import aio

from chassis.rpc import as_fault
from flags.domain.guard import Evidence
from switchyard.experiments.v1 import experiments_pb2 as pb
from switchyard.experiments.v1 import experiments_pb2_grpc as rpc


class ExperimentsClient:
    """The experiments service, at the other end of a channel that says who we are and gives each call a deadline."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub: rpc.ExperimentsAsyncStub = rpc.ExperimentsStub(channel)

    async def evidence(self, tenant: UUID, experiment: str) -> Evidence:
        """Return what an experiment (id or key) tells of its guardrails. NotFound, Unavailable."""
        request = pb.GuardVerdictRequest(tenant=str(tenant), experiment=experiment)
        try:
            said = await self._stub.GuardVerdict(request)
        except aio.AioRpcError as error:
            raise as_fault(error) from error
        harmed = tuple((one.metric, one.variant) for one in said.guardrails)
        return Evidence(
            watched=frozenset(said.watched),
            unwatched=frozenset(said.unwatched),
            harmed=harmed,
            units=said.units,
        )
