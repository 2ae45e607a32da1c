"""An entry: an event, its place in its tenant's log, and the exact bytes that stand for both.

The bytes are the truth and everything else is derived from them. Form 1: UTF-8 JSON, the names of each object sorted by
code point, no white space, times as RFC 3339 in UTC with six digits of a second.
"""

import json
import unicodedata
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from chassis.facts import Actor, Outcome, Target

Json = Any  # a JSON value, as Python's json module reads it
PLATFORM = UUID(int=0)  # whose log holds what concerns no single tenant
VERSION = 1
_encode = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The request that it happened in, and the service that tells of it."""

    ip: str = ""
    user_agent: str = ""
    request_id: str = ""
    trace_id: str = ""
    service: str = ""


UNKNOWN = Origin()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened, as its service recorded it. `before` and `after` are JSON values, None for none."""

    id: UUID
    tenant: UUID
    occurred_at: datetime
    actor: Actor
    action: str
    target: Target
    origin: Origin = UNKNOWN
    before: Json = None
    after: Json = None
    reason: str = ""
    outcome: Outcome = Outcome.SUCCESS
    said: tuple[bytes, bytes] | None = field(default=None, compare=False, repr=False)

    def prepared(self) -> "Event":
        """Return the event with most of its bytes written, so that less is done while its log is locked."""
        return replace(self, said=_said(self))

    @property
    def noun(self) -> str:
        """What the action is done to: `flag` of flag.created."""
        return self.action.partition(".")[0]

    @property
    def verb(self) -> str:
        """What is done, the listing's action_type: `created` of flag.created."""
        return self.action.partition(".")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event in its tenant's log: number `seq` (from 1, no gaps), recorded at `ts` (never before its predecessor)."""

    seq: int
    ts: datetime
    event: Event

    def written(self) -> bytes:
        """Return the exact bytes of the entry."""
        begin, middle = self.event.said or _said(self.event)
        place = b'%b,"seq":%d,%b,"ts":"%b","v":%d}'
        return place % (begin, self.seq, middle, instant(self.ts).encode(), VERSION)


def _said(event: Event) -> tuple[bytes, bytes]:
    """Write what comes before seq, and what stands between seq and ts, in the order of the names."""
    actor, target, origin = event.actor, event.target, event.origin
    begin = {
        "action": event.action,
        "actor": {
            "id": actor.id,
            "name": actor.name,
            "token_id": actor.credential,
            "type": actor.type,
        },
        "after": event.after,
        "before": event.before,
        "context": {
            "ip": origin.ip,
            "request_id": origin.request_id,
            "service": origin.service,
            "trace_id": origin.trace_id,
            "user_agent": origin.user_agent,
        },
        "id": str(event.id),
        "occurred_at": instant(event.occurred_at),
        "outcome": event.outcome.value,
        "reason": event.reason,
    }
    middle = {
        "targets": [{"id": target.id, "name": target.name, "type": target.type}],
        "tenant": str(event.tenant),
    }
    return _encode(begin)[:-1].encode(), _encode(middle)[1:-1].encode()


def read(written: bytes) -> Entry:
    """Return the entry that was written as these bytes."""
    said = json.loads(written)
    actor, target = said["actor"], said["targets"][0]
    event = Event(
        id=UUID(said["id"]),
        tenant=UUID(said["tenant"]),
        occurred_at=datetime.fromisoformat(said["occurred_at"]),
        actor=Actor(actor["type"], actor["id"], actor["name"], actor["token_id"]),
        action=said["action"],
        target=Target(target["type"], target["id"], target["name"]),
        origin=Origin(**said["context"]),
        before=said["before"],
        after=said["after"],
        reason=said["reason"],
        outcome=Outcome(said["outcome"]),
    )
    return Entry(seq=said["seq"], ts=datetime.fromisoformat(said["ts"]), event=event)


def instant(at: datetime) -> str:
    """Return a time as the log spells it."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def words(event: Event) -> str:
    """Return what a search looks through: everything that people call by name, folded."""
    actor, target = event.actor, event.target
    named = (event.action, actor.id, actor.name, target.type, target.id, target.name, event.reason)
    return folded("\n".join(named))


def folded(text: str) -> str:
    """Return a text so that upper and lower case, and ways to write the same letter, compare equal."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text).casefold()
