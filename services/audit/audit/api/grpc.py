"""The gRPC door: services append, people search."""

import json
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from google.protobuf.timestamp_pb2 import Timestamp
from opentelemetry import propagate, trace

from audit.domain.canon import canonical
from audit.domain.draft import MOST_DOCUMENT, Draft
from audit.domain.entry import PLATFORM, Entry, Json, Origin
from audit.domain.errors import BadEvent
from audit.domain.wanted import Wanted
from audit.ports import Signed
from audit.usecases.prover import Prover, Whose
from audit.usecases.reader import Reader
from audit.usecases.recorder import Recorder
from chassis import mesh, strictjson
from chassis.authority import stamp
from chassis.caller import Caller
from chassis.errors import Invalid
from chassis.facts import Actor, Outcome, Target
from chassis.identity import Identity
from chassis.pages import DEFAULT_LIMIT, MAX_LIMIT, Cursors, PageAsk
from chassis.rpc import Context, who
from switchyard.audit.v1 import audit_pb2 as pb
from switchyard.audit.v1 import audit_pb2_grpc

_OUTCOMES = {
    pb.OUTCOME_SUCCESS: Outcome.SUCCESS.value,
    pb.OUTCOME_DENIED: Outcome.DENIED.value,
    pb.OUTCOME_FAILED: Outcome.FAILED.value,
}
_CODES = {Outcome(value): code for code, value in _OUTCOMES.items()}
_LONGEST = 512
_MOST_TRACES = 64
_DEEPEST = strictjson.DEEPEST + 16  # a fact may wrap what a body could hold


class AuditServicer(audit_pb2_grpc.AuditServicer):
    """Translates calls to use-cases, and their results back."""

    def __init__(
        self,
        recorder: Recorder,
        reader: Reader,
        prover: Prover,
        *,
        identity: Identity,
        cursors: Cursors,
    ) -> None:
        self._recorder = recorder
        self._reader = reader
        self._prover = prover
        self._identity = identity
        self._cursors = cursors

    async def Append(  # noqa: N802
        self, request: pb.AppendRequest, context: Context
    ) -> pb.AppendResponse:
        """Store each event once."""
        try:
            drafts = [_draft(index, event) for index, event in enumerate(request.events)]
            with _traced(request.events):
                receipts = await self._recorder.append(_service(context), drafts)
        except BadEvent as bad:
            context.set_trailing_metadata((("bad-index", str(bad.index)),))
            raise
        return pb.AppendResponse(
            receipts=[
                pb.Receipt(event_id=str(r.event_id), seq=r.seq, seen_before=r.seen_before)
                for r in receipts
            ],
            checkpoints=_checkpoints(self._recorder, drafts),
        )

    async def Search(  # noqa: N802
        self, request: pb.SearchRequest, context: Context
    ) -> pb.SearchResponse:
        """List entries of the caller's tenant, newest first."""
        caller = await who(self._identity, context, reads=True)
        wanted = _wanted(request)
        scope = f"{caller.tenant} Search {wanted}"
        after = self._cursors.open(scope, request.cursor) if request.cursor else None
        ask = PageAsk(limit=_limit(request), after=after)
        found = (await self._reader.search(caller, wanted, ask)).part
        return pb.SearchResponse(
            items=[_entry(item) for item in found.items],
            next_cursor=self._cursors.seal(scope, found.next) if found.next else "",
        )

    async def Proof(  # noqa: N802
        self, request: pb.ProofRequest, context: Context
    ) -> pb.ProofResponse:
        """Prove that an entry is in the log."""
        caller = await who(self._identity, context)
        try:
            event_id = UUID(request.event_id)
        except ValueError:
            raise Invalid("event_id is not a UUID") from None
        proof = await self._prover.proof(caller, event_id)
        return pb.ProofResponse(
            leaf=proof.entry.body,
            index=proof.index,
            hashes=proof.hashes,
            checkpoint=_checkpoint(proof.signed),
            text=proof.text(),
        )

    async def Checkpoint(  # noqa: N802
        self, request: pb.CheckpointRequest, context: Context
    ) -> pb.CheckpointResponse:
        """Return the newest signed state of the caller's log."""
        caller = await who(self._identity, context)
        found = await self._prover.checkpoint(caller, Whose())
        vkey = await self._prover.vkey(caller, Whose())
        return pb.CheckpointResponse(checkpoint=_checkpoint(found), vkey=vkey)


def _checkpoint(signed: Signed) -> pb.Checkpoint:
    tenant = "" if signed.tenant == PLATFORM else str(signed.tenant)
    return pb.Checkpoint(tenant_id=tenant, size=signed.size, note=signed.note)


def _service(context: Context) -> Caller:
    """Return the calling service, whose signature the guard of internal methods has verified."""
    shown = dict(context.invocation_metadata() or ()).get(mesh.HEADER, "")
    name = str(shown).partition(".")[0]
    return Caller(
        subject=name, tenant=PLATFORM, kind="service", permissions=frozenset({"audit:append"})
    )


@contextmanager
def _traced(events: Iterable[pb.Event]) -> Generator[None]:
    """Go on with the traces that these events were recorded in, where they are sampled: one span in each."""
    traces = {e.context.traceparent for e in events if e.context.traceparent.endswith("1")}
    tracer = trace.get_tracer("switchyard")
    spans = [
        tracer.start_span(
            "audit append", propagate.extract({"traceparent": one}), trace.SpanKind.CONSUMER
        )
        for one in sorted(traces)[:_MOST_TRACES]
    ]
    try:
        yield
    finally:
        for one in spans:
            one.end()


def _checkpoints(recorder: Recorder, drafts: Sequence[Draft]) -> list[pb.Checkpoint]:
    tenants = dict.fromkeys(draft.tenant_id for draft in drafts)
    notes = {tenant: recorder.note(UUID(tenant or str(PLATFORM))) for tenant in tenants}
    return [
        pb.Checkpoint(tenant_id=tenant, size=int(note.split("\n")[1]), note=note)
        for tenant, note in notes.items()
        if note
    ]


def _draft(index: int, event: pb.Event) -> Draft:
    actor, target, origin = event.actor, event.target, event.context
    return Draft(
        event_id=event.event_id,
        tenant_id=event.tenant_id,
        occurred_at=_instant(event.occurred_at) if event.HasField("occurred_at") else None,
        actor=Actor(actor.type, actor.id, actor.name, actor.credential_id, actor.on_behalf_of),
        action=event.action,
        target=Target(target.type, target.id, target.name),
        origin=Origin(
            ip=origin.ip,
            user_agent=origin.user_agent,
            request_id=origin.request_id,
            trace_id=origin.trace_id,
            service=origin.service,
        ),
        before=_document(index, "before", event.before),
        after=_document(index, "after", event.after),
        reason=event.reason,
        outcome=_OUTCOMES.get(event.outcome, ""),
    )


def _document(index: int, where: str, text: str) -> Json:
    if not text:
        return None
    if len(text) > MOST_DOCUMENT:
        raise BadEvent(index, where, f"is longer than {MOST_DOCUMENT} characters")
    if (known := _spelled_as_we_do(text)) is not None:
        return known
    try:
        return strictjson.loads(text.encode(), _DEEPEST)
    except Invalid as wrong:
        raise BadEvent(index, where, wrong.detail) from None


def _spelled_as_we_do(text: str) -> Json | None:
    """Return the value of a text that is canonical JSON, which has no loopholes; None for any other, and for null."""
    if "\\u" in text or text.count("{") + text.count("[") > _DEEPEST:
        return None
    try:
        value = orjson.loads(text)
        return value if canonical(value) == text else None
    except (ValueError, TypeError):
        return None


def _instant(given: Timestamp) -> datetime | None:
    """Return a time of the wire; None if it is none of our calendar."""
    try:
        return given.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _wanted(request: pb.SearchRequest) -> Wanted:
    names = {
        name: getattr(request, name)
        for name in ("user_id", "entity_id", "entity_type", "action_type", "q")
    }
    if any(len(value) > _LONGEST or "\x00" in value for value in names.values()):
        raise Invalid("a filter is too long or holds a NUL character")
    dates: dict[str, Any] = {
        name: _date(request, name) for name in ("from_date", "to_date") if request.HasField(name)
    }
    return Wanted(**names, **dates, outcome=_OUTCOMES.get(request.outcome, ""))


def _date(request: pb.SearchRequest, name: str) -> datetime:
    at = _instant(getattr(request, name))
    if at is None:
        raise Invalid(f"{name} is beyond the calendar")
    return at


def _limit(request: pb.SearchRequest) -> int:
    limit = request.limit or DEFAULT_LIMIT
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid(f"limit is 1 to {MAX_LIMIT}")
    return limit


def _entry(entry: Entry) -> pb.Entry:
    event = entry.event
    actor, target, origin = event.actor, event.target, event.origin
    return pb.Entry(
        seq=entry.seq,
        recorded_at=stamp(entry.ts),
        event=pb.Event(
            event_id=str(event.id),
            tenant_id="" if event.tenant == PLATFORM else str(event.tenant),
            occurred_at=stamp(event.occurred_at),
            actor=pb.Actor(
                type=actor.type,
                id=actor.id,
                name=actor.name,
                credential_id=actor.credential,
                on_behalf_of=actor.on_behalf_of,
            ),
            action=event.action,
            target=pb.Target(type=target.type, id=target.id, name=target.name),
            context=pb.Context(
                ip=origin.ip,
                user_agent=origin.user_agent,
                request_id=origin.request_id,
                trace_id=origin.trace_id,
                service=origin.service,
            ),
            before=_text(event.before),
            after=_text(event.after),
            reason=event.reason,
            outcome=_CODES[event.outcome],
        ),
    )


def _text(document: Json) -> str:
    return "" if document is None else json.dumps(document, ensure_ascii=False, sort_keys=True)
