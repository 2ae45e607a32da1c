"""How facts reach the audit log: the relay's letters, in batches, over gRPC."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from grpc import aio

from chassis.authority import stamp
from chassis.errors import Invalid
from chassis.facts import Outcome
from chassis.outbox import Deliver, Letter
from chassis.rpc import as_fault
from switchyard.audit.v1 import audit_pb2 as pb
from switchyard.audit.v1 import audit_pb2_grpc

# A message may have 4 MiB (rpc.OPTIONS), and each event costs a few bytes of frame.
MOST_BYTES = 4_000_000
_OUTCOMES = {outcome: pb.Outcome.Value(f"OUTCOME_{outcome.name}") for outcome in Outcome}


def to_audit(channel: aio.Channel, service: str) -> Deliver:
    """Return what delivers letters of `service` to the audit log; it drops those that it has seen."""
    stub = audit_pb2_grpc.AuditStub(channel)

    async def deliver(letters: Sequence[Letter]) -> None:
        try:
            told = [event_of(letter, service) for letter in letters]
        except (KeyError, TypeError, ValueError) as strange:
            raise Invalid(f"this is not a fact: {strange!r}") from strange
        for events in parts(told):
            try:
                await stub.Append(pb.AppendRequest(events=events), timeout=5.0)
            except aio.AioRpcError as error:
                raise as_fault(error) from error

    return deliver


def parts(events: Sequence[pb.Event]) -> Iterator[Sequence[pb.Event]]:
    """Cut a batch so that each part fits into one message; Invalid for an event that never will."""
    part: list[pb.Event] = []
    size = 0
    for event in events:
        more = event.ByteSize()
        if more > MOST_BYTES:
            raise Invalid(f"the fact {event.event_id} has {more} bytes: more than a message holds")
        if size + more > MOST_BYTES:
            yield part
            part, size = [], 0
        part.append(event)
        size += more
    if part:
        yield part


def event_of(letter: Letter, service: str) -> pb.Event:
    """Return a letter as the wire spells it."""
    body, context = letter.body, letter.body["context"]
    return pb.Event(
        event_id=str(letter.event_id),
        tenant_id=body["tenant"],
        occurred_at=stamp(letter.written_at),
        actor=_actor(body["actor"]),
        action=body["action"],
        target=pb.Target(**body["target"]),
        context=pb.Context(**context, service=service),
        before=_document(body["before"]),
        after=_document(body["after"]),
        reason=body["reason"],
        outcome=_OUTCOMES[Outcome(body["outcome"])],
    )


def _actor(actor: Mapping[str, str]) -> pb.Actor:
    return pb.Actor(
        type=actor["type"],
        id=actor["id"],
        name=actor["name"],
        credential_id=actor["credential"],
        on_behalf_of=actor.get("on_behalf_of", ""),  # facts of yesterday's code have none
    )


def _document(value: Mapping[str, Any] | None) -> str:
    spelled = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return "" if value is None else spelled
