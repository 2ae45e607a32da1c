"""What the experiments service says over gRPC, as the use-cases have it and back."""

import json
from datetime import UTC
from typing import Any
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from chassis import mesh
from chassis.caller import Caller
from chassis.errors import Invalid
from chassis.rpc import Context
from flags.domain.place import Place
from flags.usecases.allocations import Granted, Wish
from switchyard.flags.v1 import flags_pb2 as pb


def service_of(context: Context, tenant: UUID) -> Caller:
    """Return the calling service, whose signature the guard of internal methods has verified."""
    shown = dict(context.invocation_metadata() or ()).get(mesh.HEADER, "")
    name = str(shown).partition(".")[0]
    return Caller(
        subject=name, tenant=tenant, kind="service", permissions=frozenset({"flag:update"})
    )


def wish_of(request: pb.PutAllocationRequest) -> Wish:
    """Return what is wanted; Invalid where an id is none."""
    tenant, experiment = _id(request.tenant_id), _id(request.experiment_id)
    has_some = request.HasField("allocation")
    return Wish(
        place=Place(tenant, request.project, request.environment),
        flag=request.flag,
        experiment_id=experiment,
        experiment=request.experiment,
        version=request.version,
        document=_document(request) if has_some else None,
        owner_id=request.owner_id,
        reason=request.reason,
    )


def answer_of(granted: Granted) -> pb.PutAllocationResponse:
    """Return what the caller is told."""
    return pb.PutAllocationResponse(
        version=granted.version, flag_enabled=granted.enabled, flag_made=granted.made
    )


def _document(request: pb.PutAllocationRequest) -> dict[str, Any]:
    it = request.allocation
    return {
        "experiment_id": request.experiment_id,
        "experiment": request.experiment,
        "phase": it.phase,
        "unit": it.unit,
        "salt": it.salt,
        "arms": [{"key": a.key, "weight": a.weight, "serves": a.serves} for a in it.arms],
        "gates": [
            {"name": g.name, "salt": g.salt, "start": g.start, "end": g.end} for g in it.gates
        ],
        "when": _condition(it.targeting_json),
        "starts_at": _iso(it.starts_at) if it.HasField("starts_at") else None,
        "ends_at": _iso(it.ends_at) if it.HasField("ends_at") else None,
    }


def _condition(said: str) -> Any:  # noqa: ANN401 - JSON is anything
    if not said:
        return None
    try:
        return json.loads(said)
    except (ValueError, RecursionError):
        raise Invalid("targeting_json is no JSON") from None


def _iso(at: Timestamp) -> str:
    return at.ToDatetime(UTC).isoformat()


def _id(said: str) -> UUID:
    try:
        return UUID(said)
    except ValueError:
        raise Invalid(f"{said[:50]!r} is not a UUID") from None
