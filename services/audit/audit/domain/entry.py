"""An entry: an event, its place in its tenant's log, and the exact bytes that stand for both.

The bytes are the truth: they are what is hashed into the tenant's tree, and everything else is derived from them.
Form 2: UTF-8 JSON, the names of each object sorted by code point, no white space, times as RFC 3339 in UTC with six
digits of a second. What is personal is not in the bytes but committed to by them: `personal` holds the SHA-256 of
each personal part under a salt of its own, so that the part can be erased while the bytes and every proof stay.
Form 1, without `personal`, is what was written before logs were trees; it is read, and rewritten once (see recorder).
"""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from audit.domain.canon import canonical
from chassis.facts import Actor, Outcome, Target

Json = Any  # a JSON value, as Python's json module reads it
PLATFORM = UUID(int=0)  # whose log holds what concerns no single tenant
CHECKPOINTS = UUID(int=2**128 - 1)  # whose log holds the checkpoints of all the others
VERSION = 2
SALT = 16
ACTOR, TARGET = "actor", "target"  # the two parts that may be personal
PEOPLE = frozenset({"user", "invitation"})  # targets that are people, documents and all


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The request that it happened in, and the service that tells of it."""

    ip: str = ""
    user_agent: str = ""
    request_id: str = ""
    trace_id: str = ""
    service: str = ""


UNKNOWN = Origin()


class Event(NamedTuple):
    """One thing that happened, as its service recorded it. `before` and `after` are JSON values, None for none.

    A tuple, since one is made for every change on the platform: a frozen dataclass takes three times as long to make.
    """

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

    @property
    def verb(self) -> str:
        """What is done, the listing's action_type: `created` of flag.created."""
        return self.action.partition(".")[2]

    @property
    def doer(self) -> str:
        """Whose person the actor's part is about; empty if it is about nobody in particular.

        A failed login has no actor yet: what is known of it is about the account that was tried.
        """
        if self.actor.type == "user":
            return self.actor.id
        tried = self.actor.type == "anonymous" and self.target.type == "user"
        return self.target.id if tried else ""

    @property
    def subject(self) -> str:
        """Whose person the target's part is about; empty if the target is no person."""
        return self.target.id if self.target.type in PEOPLE else ""

    @property
    def people(self) -> dict[str, str]:
        """Of each personal part, whose it is."""
        found = {ACTOR: doer} if (doer := self.doer) else {}
        if subject := self.subject:
            found[TARGET] = subject
        return found


Secrets = Mapping[str, bytes]  # of each personal part: its salt, and behind it its value as JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event in its tenant's log: number `seq` (from 1, no gaps), recorded at `ts` (never before its predecessor).

    `erased` names the personal parts whose values are gone.
    """

    seq: int
    ts: datetime
    event: Event
    body: bytes
    secrets: Secrets
    erased: tuple[str, ...] = ()


def digest(secret: bytes) -> str:
    """Return what the bytes of an entry say of a personal part."""
    return sha256(secret).hexdigest()


def value_of(secret: bytes) -> dict[str, Json]:
    """Return the value of a personal part."""
    return json.loads(secret[SALT:])


def secret_of(salt: bytes, value: Json) -> bytes:
    """Return the personal part with this salt and value."""
    return salt + canonical(value).encode()


def read(body: bytes, secrets: Secrets | None = None) -> Entry:
    """Return the entry that was written as these bytes, with what is known of its personal parts."""
    said, known = json.loads(body), secrets or {}
    who, what, where = said["actor"], said["targets"][0], said["context"]
    of_actor = value_of(known[ACTOR]) if ACTOR in known else {}
    of_target = value_of(known[TARGET]) if TARGET in known else {}
    target = {**what, **said, **of_target}
    event = Event(
        id=UUID(said["id"]),
        tenant=UUID(said["tenant"]),
        occurred_at=datetime.fromisoformat(said["occurred_at"]),
        actor=Actor(
            who["type"],
            who["id"],
            of_actor.get("name", who.get("name", "")),
            who["token_id"],
            who.get("on_behalf_of", ""),
        ),
        action=said["action"],
        target=Target(what["type"], what["id"], target.get("name", "")),
        origin=Origin(
            ip=of_actor.get("ip", where.get("ip", "")),
            user_agent=of_actor.get("user_agent", where.get("user_agent", "")),
            request_id=where["request_id"],
            trace_id=where["trace_id"],
            service=where["service"],
        ),
        before=target.get("before"),
        after=target.get("after"),
        reason=said["reason"],
        outcome=Outcome(said["outcome"]),
    )
    return Entry(
        seq=said["seq"],
        ts=datetime.fromisoformat(said["ts"]),
        event=event,
        body=body,
        secrets=known,
        erased=tuple(part for part in said.get("personal", ()) if part not in known),
    )


def instant(at: datetime) -> str:
    """Return a time as the log spells it."""
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    if at.microsecond:  # orjson is three times as fast, and leaves out a fraction that is nothing
        return orjson.dumps(at, option=orjson.OPT_UTC_Z).decode()[1:-1]
    return at.isoformat(timespec="microseconds")[:-6] + "Z"


def words(event: Event, people: Mapping[str, str] | None = None) -> str:
    """Return what a search looks through: everything that people call by name and that is no person's, folded.

    `people` are the event's, if they are known already.
    """
    actor, target, known = event.actor, event.target, event.people if people is None else people
    doer = "" if ACTOR in known else actor.name
    subject = "" if TARGET in known else target.name
    named = (event.action, actor.id, doer, target.type, target.id, subject, event.reason)
    return folded("\n".join(named))


def names(event: Event, people: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what people are called in an event, folded, by their ids; a search looks through these too."""
    known = event.people if people is None else people
    called: dict[str, str] = {}
    if ACTOR in known:
        called[known[ACTOR]] = folded(event.actor.name)
    if TARGET in known:
        called[known[TARGET]] = folded(event.target.name)
    return called


def without(event: Event, *erased: str) -> Event:
    """Return an event without the values of personal parts."""
    if ACTOR in erased:
        origin = replace(event.origin, ip="", user_agent="")
        event = event._replace(actor=replace(event.actor, name=""), origin=origin)
    if TARGET in erased:
        target = replace(event.target, name="")
        event = event._replace(target=target, before=None, after=None)
    return event


def folded(text: str) -> str:
    """Return a text so that upper and lower case, and ways to write the same letter, compare equal."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFKC", text).casefold()
