"""Agents and usage on gRPC: what is sent is read by the bodies of the REST doors, so both doors refuse the same."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from chassis.errors import FieldError, Invalid
from compute.domain.agent import Agent
from compute.usecases.usage import Receipt
from switchyard.compute.v1 import compute_pb2 as pb

B = TypeVar("B", bound=BaseModel)


def body_of(kind: type[B], said: Mapping[str, Any]) -> B:
    """Return what was sent as a body of REST; Invalid, with a pointer to each field, where it is none."""
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        found = tuple(
            FieldError(
                "".join(f"/{part}" for part in one["loc"]),
                one["msg"].removeprefix("Value error, "),
                one["type"],
            )
            for one in error.errors(include_input=False, include_url=False)
        )
        first = found[0]
        raise Invalid(f"{first.pointer or 'the request'}: {first.message}", errors=found) from None


def record_of(sent: pb.UsageRecord) -> dict[str, Any]:
    """Return one record of usage as REST has it; what was not set is left out."""
    said: dict[str, Any] = {"source": sent.source, "event_id": sent.event_id}
    said |= {name: it for name in ("kind", "agent_id", "corrects") if (it := getattr(sent, name))}
    counts = ("calls", "token_count", "cost_micros")
    said |= {name: getattr(sent, name) for name in counts if sent.HasField(name)}
    if sent.HasField("occurred_at"):
        said["occurred_at"] = _moment(sent)
    return said


def _moment(sent: pb.UsageRecord) -> str:
    try:
        return sent.occurred_at.ToDatetime(tzinfo=UTC).isoformat()
    except (ValueError, OverflowError):
        text = "occurred_at is beyond the calendar"
        raise Invalid(text, errors=(FieldError("/records/occurred_at", text),)) from None


def receipt(found: Receipt) -> pb.RecordUsageResponse:
    """Return what the ledger holds of what was told."""
    return pb.RecordUsageResponse(
        accepted=len(found.fresh),
        duplicates=len(found.records) - len(found.fresh),
        ids=[str(one.id) for one in found.records],
    )


def agent(found: Agent) -> pb.Agent:
    """Return an agent that may be used."""
    return pb.Agent(
        id=str(found.id),
        agent_type=found.agent_type,
        name=found.name,
        is_free_agent=found.is_free_agent,
        version=found.version,
    )
