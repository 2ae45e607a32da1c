"""What may enter the log: an event as it was sent, checked down to the last field."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from operator import gt
from uuid import UUID

from audit.domain.entry import PLATFORM, UNKNOWN, Event, Json, Origin
from audit.domain.errors import BadEvent
from chassis.facts import Actor, Outcome, Target

MOST_EVENTS = 5_000
MOST_DOCUMENT = 1_500_000  # characters; a body of a request is at most a mebibyte
_ACTION = re.compile(r"[a-z][a-z0-9_]{0,62}\.[a-z][a-z0-9_]{0,62}")
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_ACTORS = frozenset({"user", "service_account", "api_key", "service", "anonymous"})
_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
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
_LENGTHS = tuple(_MOST.values())


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
    _check_texts(index, _texts(draft))
    names = (draft.action, draft.actor.type, draft.target.type, draft.outcome)
    if (bad := _bad_name(*names)) is not None:
        raise BadEvent(index, *bad)
    if draft.occurred_at is None:
        raise BadEvent(index, "occurred_at", "is missing or no time")
    return Event(
        id=_uuid(index, "event_id", draft.event_id),
        tenant=_tenant(draft.tenant_id) or _uuid(index, "tenant_id", draft.tenant_id),
        occurred_at=draft.occurred_at,
        actor=draft.actor,
        action=draft.action,
        target=draft.target,
        origin=draft.origin,
        before=draft.before,
        after=draft.after,
        reason=draft.reason,
        outcome=_OUTCOMES[draft.outcome],
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


def _check_texts(index: int, texts: Sequence[str]) -> None:
    if any(map(gt, map(len, texts), _LENGTHS)) or "\x00" in "".join(texts):
        for text, (where, most) in zip(texts, _MOST.items(), strict=True):
            if len(text) > most:
                raise BadEvent(index, where, f"is longer than {most} characters")
            if "\x00" in text:
                raise BadEvent(index, where, "holds a NUL character")


@lru_cache(maxsize=4096)
def _bad_name(action: str, actor: str, target: str, outcome: str) -> tuple[str, str] | None:
    """Return which name is bad, and why; there are few names, and each comes again and again."""
    if not _ACTION.fullmatch(action):
        return "action", "is not spelled noun.verbed"
    if actor not in _ACTORS:
        return "actor/type", f"is none of {', '.join(sorted(_ACTORS))}"
    if not _KIND.fullmatch(target):
        return "target/type", "is not a lower-case name"
    return None if outcome in _OUTCOMES else ("outcome", "is not given or not known")


@lru_cache(maxsize=4096)
def _tenant(text: str) -> UUID | None:
    if not text:
        return PLATFORM
    return UUID(text) if _UUID.fullmatch(text) else None


def _uuid(index: int, where: str, text: str) -> UUID:
    if not _UUID.fullmatch(text):
        raise BadEvent(index, where, "is not a UUID in lower case")
    return UUID(int=int(text.replace("-", ""), 16))  # checked above; UUID(text) would again
