"""What may enter the log: an event as it was sent, checked down to the last field."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from audit.domain.entry import PLATFORM, UNKNOWN, Event, Json, Origin
from audit.domain.errors import BadEvent
from chassis.facts import Actor, Outcome, Target

MOST_EVENTS = 5_000
MOST_DOCUMENT = 1_500_000  # characters; a body of a request is at most a mebibyte
_ACTION = re.compile(r"[a-z][a-z0-9_]{0,62}\.[a-z][a-z0-9_]{0,62}")
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_ACTORS = frozenset({"user", "service_account", "api_key", "service", "anonymous"})
_OUTCOMES = frozenset(outcome.value for outcome in Outcome)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# The most characters of each free text.
_MOST = {
    "actor/id": 255,
    "actor/name": 500,
    "actor/credential_id": 255,
    "actor/on_behalf_of": 255,
    "target/id": 255,
    "target/name": 1_000,
    "context/ip": 64,
    "context/user_agent": 1_024,
    "context/request_id": 128,
    "context/trace_id": 64,
    "context/service": 64,
    "reason": 10_000,
}
_LIMITS = tuple(_MOST.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An event as it was sent, nothing checked yet but its JSON."""

    event_id: str
    tenant_id: str = ""
    occurred_at: datetime | None
    actor: Actor
    action: str
    target: Target
    origin: Origin = UNKNOWN
    before: Json = None
    after: Json = None
    reason: str = ""
    outcome: str = Outcome.SUCCESS.value


def accepted(index: int, draft: Draft) -> Event:
    """Return the event that a draft is; BadEvent, naming `index`, if it is none."""
    for text, (where, most) in zip(_texts(draft), _LIMITS, strict=True):
        if text and (len(text) > most or "\x00" in text):
            long = len(text) > most
            why = f"is longer than {most} characters" if long else "holds a NUL character"
            raise BadEvent(index, where, why)
    _check_names(index, draft)
    if draft.occurred_at is None:
        raise BadEvent(index, "occurred_at", "is missing or no time")
    return Event(
        id=_uuid(index, "event_id", draft.event_id),
        tenant=_uuid(index, "tenant_id", draft.tenant_id) if draft.tenant_id else PLATFORM,
        occurred_at=draft.occurred_at,
        actor=draft.actor,
        action=draft.action,
        target=draft.target,
        origin=draft.origin,
        before=draft.before,
        after=draft.after,
        reason=draft.reason,
        outcome=Outcome(draft.outcome),
    )


def _texts(draft: Draft) -> Sequence[str]:
    """Return every free text of a draft, in the order of `_MOST`."""
    actor, target, origin = draft.actor, draft.target, draft.origin
    return (
        *(actor.id, actor.name, actor.credential, actor.on_behalf_of),
        *(target.id, target.name),
        *(origin.ip, origin.user_agent, origin.request_id, origin.trace_id, origin.service),
        draft.reason,
    )


def _check_names(index: int, draft: Draft) -> None:
    if not _ACTION.fullmatch(draft.action):
        raise BadEvent(index, "action", "is not spelled noun.verbed")
    if draft.actor.type not in _ACTORS:
        raise BadEvent(index, "actor/type", f"is none of {', '.join(sorted(_ACTORS))}")
    if not _KIND.fullmatch(draft.target.type):
        raise BadEvent(index, "target/type", "is not a lower-case name")
    if draft.outcome not in _OUTCOMES:
        raise BadEvent(index, "outcome", "is not given or not known")


def _uuid(index: int, where: str, text: str) -> UUID:
    if not _UUID.fullmatch(text):
        raise BadEvent(index, where, "is not a UUID in lower case")
    return UUID(text)
