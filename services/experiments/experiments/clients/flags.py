"""Our neighbour flags, over gRPC: it serves what experiments want."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from chassis.authority import stamp
from chassis.rpc import as_fault
from experiments.domain.publication import Publication
from experiments.ports.assigning import Taken
from switchyard.flags.v1 import flags_pb2 as pb
from switchyard.flags.v1 import flags_pb2_grpc as rpc


class FlagsClient:
    """The flags service, at the other end of a channel."""

    def __init__(self, channel: aio.Channel) -> None:
        self._stub: rpc.FlagsAsyncStub = rpc.FlagsStub(channel)

    async def check(self, tenant: UUID, experiment: UUID, document: Mapping[str, Any]) -> Taken:
        """Ask whether flags could serve what an experiment wants; nothing is changed."""
        request = _request(tenant, experiment, document)
        request.validate_only = True
        return await self._sent(request)

    async def put(self, publication: Publication) -> Taken:
        """Tell flags what an experiment wants; it may be told again."""
        request = _request(publication.tenant, publication.experiment_id, publication.document)
        request.version = publication.version
        return await self._sent(request)

    async def _sent(self, request: pb.PutAllocationRequest) -> Taken:
        try:
            said = await self._stub.PutAllocation(request)
        except aio.AioRpcError as error:
            raise as_fault(error) from error
        return Taken(said.version, said.flag_enabled, said.flag_made)


def _request(
    tenant: UUID, experiment: UUID, document: Mapping[str, Any]
) -> pb.PutAllocationRequest:
    wanted = document["allocation"]
    return pb.PutAllocationRequest(
        tenant_id=str(tenant),
        project=document["project"],
        environment=document["environment"],
        flag=document["flag"],
        experiment_id=str(experiment),
        experiment=document["experiment"],
        owner_id=document["owner_id"],
        reason=document["reason"],
        allocation=_allocation(wanted) if wanted else None,
    )


def _allocation(wanted: Mapping[str, Any]) -> pb.Allocation:
    targeting = wanted["targeting"]
    return pb.Allocation(
        phase=wanted["phase"],
        unit=wanted["unit"],
        salt=wanted["salt"],
        arms=[pb.Arm(**arm) for arm in wanted["arms"]],
        gates=[pb.Gate(**gate) for gate in wanted["gates"]],
        targeting_json="" if targeting is None else json.dumps(targeting),
        starts_at=_stamp(wanted["starts_at"]),
        ends_at=_stamp(wanted["ends_at"]),
    )


def _stamp(said: str | None) -> Timestamp | None:
    return stamp(datetime.fromisoformat(said)) if said else None
