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
_quote = json.encoder.encode_basestring


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
    """Write what comes before seq, and what stands between seq and ts.

    By hand, with the names in their order, because it is done for every change on the platform: three times as fast.
    """
    actor, target, origin = event.actor, event.target, event.origin
    begin = (
        f'{{"action":{_quote(event.action)}'
        f',"actor":{{"id":{_quote(actor.id)},"name":{_quote(actor.name)}'
        f',"token_id":{_quote(actor.credential)},"type":{_quote(actor.type)}}}'
        f',"after":{_encode(event.after)},"before":{_encode(event.before)}'
        f',"context":{{"ip":{_quote(origin.ip)},"request_id":{_quote(origin.request_id)}'
        f',"service":{_quote(origin.service)},"trace_id":{_quote(origin.trace_id)}'
        f',"user_agent":{_quote(origin.user_agent)}}}'
        f',"id":"{event.id}","occurred_at":"{instant(event.occurred_at)}"'
        f',"outcome":"{event.outcome.value}","reason":{_quote(event.reason)}'
    )
    middle = (
        f'"targets":[{{"id":{_quote(target.id)},"name":{_quote(target.name)}'
        f',"type":{_quote(target.type)}}}],"tenant":"{event.tenant}"'
    )
    return begin.encode(), middle.encode()


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
