"""How an entry looks from outside: what it says, and beside it the flat fields that older clients list.

`action_type` is the verb of the action: `created` of flag.created, `toggle_enabled` of flag.toggle_enabled. For the two
toggles `old_value` and `new_value` are the status before and after, where the documents say it; otherwise they are the
whole documents.
"""

from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from audit.domain.diff import diff
from audit.domain.entry import Entry, Event, instant

TOGGLES = frozenset({"toggle_enabled", "toggle_disabled"})


class _Shown(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ActorView(_Shown):
    """Who did it. `token_id` is the session or the API key that was shown, `on_behalf_of` whose authority that has."""

    type: str
    id: str
    name: str
    on_behalf_of: str
    token_id: str


class TargetView(_Shown):
    """What it was done to."""

    type: str
    id: str
    name: str


class ContextView(_Shown):
    """The request that it happened in, and the service that told of it."""

    ip: str
    user_agent: str
    request_id: str
    trace_id: str
    service: str


class EntryView(_Shown):
    """One entry. `diff` is a JSON Patch (RFC 6902), null unless there is a before and an after.

    `erased` names the parts whose personal values are gone: `actor` (name, address), `target` (name, documents).
    """

    id: UUID
    seq: int
    ts: AwareDatetime
    occurred_at: AwareDatetime
    tenant: UUID
    actor: ActorView
    action: str
    targets: list[TargetView]
    context: ContextView
    before: Any
    after: Any
    diff: list[dict[str, Any]] | None
    reason: str
    outcome: str
    erased: list[str]
    user_id: str
    user_email: str | None
    action_type: str
    entity_type: str
    entity_id: str
    entity_name: str
    old_value: Any
    new_value: Any
    timestamp: AwareDatetime


class PageView(_Shown):
    """A page of entries, newest first. A client that came with a cursor gets has_more in place of the totals."""

    items: list[EntryView]
    total: int | None = None
    page: int | None = None
    limit: int | None = None
    has_more: bool | None = None
    next_cursor: str | None = None
    total_relation: str | None = None


def shown(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON shows it (the shape of EntryView)."""
    event, actor, target, origin = entry.event, entry.event.actor, entry.event.target, entry.event.origin  # fmt: skip
    recorded = instant(entry.ts)
    old, new = _values(event)
    return {
        "id": str(event.id),
        "seq": entry.seq,
        "ts": recorded,
        "occurred_at": instant(event.occurred_at),
        "tenant": str(event.tenant),
        "actor": {
            "type": actor.type,
            "id": actor.id,
            "name": actor.name,
            "on_behalf_of": actor.on_behalf_of,
            "token_id": actor.credential,
        },
        "action": event.action,
        "targets": [{"type": target.type, "id": target.id, "name": target.name}],
        "context": {
            "ip": origin.ip,
            "user_agent": origin.user_agent,
            "request_id": origin.request_id,
            "trace_id": origin.trace_id,
            "service": origin.service,
        },
        "before": event.before,
        "after": event.after,
        "diff": _diff(event),
        "reason": event.reason,
        "outcome": event.outcome.value,
        "erased": list(entry.erased),
        "user_id": actor.id,
        "user_email": actor.name if "@" in actor.name else None,
        "action_type": event.verb,
        "entity_type": target.type,
        "entity_id": target.id,
        "entity_name": target.name,
        "old_value": old,
        "new_value": new,
        "timestamp": recorded,
    }


def _diff(event: Event) -> list[dict[str, Any]] | None:
    if event.before is None or event.after is None:
        return None
    return diff(event.before, event.after)


def _values(event: Event) -> tuple[Any, Any]:
    if event.verb not in TOGGLES:
        return event.before, event.after
    return _status(event.before), _status(event.after)


def _status(document: Any) -> Any:  # noqa: ANN401 - JSON is anything
    """Return the status that a document tells of; the whole document if it tells of none."""
    return document.get("status", document) if isinstance(document, dict) else document  # type: ignore[reportUnknownMemberType]
