"""Writing an event down: nearly all of it before its log is locked, so that little is left to do while others wait."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from audit.domain.canon import inside, written
from audit.domain.entry import (
    ACTOR,
    SALT,
    TARGET,
    VERSION,
    Event,
    Json,
    Origin,
    Secrets,
    digest,
    instant,
    names,
    words,
)
from audit.domain.strands import Strand, values


class Prepared(NamedTuple):
    """An event with most of its bytes written, and what is derived from it. A tuple: each takes half the time to make.

    `id` is the event's as text; `people` says whose each secret is, `names` what they are called; `strands` are in the
    order of STRANDS; `words` are what a search sees. `sealed` are the secrets under their people's keys, None where
    that is still to be done.
    """

    event: Event
    id: str
    begin: bytes
    middle: bytes
    secrets: Secrets
    people: Mapping[str, str]
    strands: tuple[Strand, ...]
    names: Mapping[str, str]
    words: str
    sealed: Mapping[str, bytes] | None = None

    def written(self, seq: int, ts: datetime) -> bytes:
        """Return the exact bytes of the entry at this place."""
        place = b'%b,"seq":%d,%b,"ts":"%b","v":%d}'
        return place % (self.begin, seq, self.middle, _same_instant(ts), VERSION)


def prepared(event: Event, salts: bytes, spelled: str = "") -> Prepared:
    """Write what comes before seq, and what stands between seq and ts. `salts` are 2 * SALT bytes of chance.

    `spelled` is the event's id as text, if that is there already.
    """
    people, spelled = event.people, spelled or str(event.id)
    parts = _personal(event, people, salts)
    return Prepared(
        event,
        spelled,
        _begin(event, spelled, parts),
        _middle(event, secret=TARGET in parts),
        parts,
        people,
        tuple(enumerate(values(event))),
        names(event, people),
        words(event, people),
    )


def _personal(event: Event, people: Mapping[str, str], salts: bytes) -> dict[str, bytes]:
    """Return the personal parts, each behind its salt."""
    parts: dict[str, bytes] = {}
    if ACTOR in people:
        origin = event.origin
        said = {"ip": origin.ip, "name": event.actor.name, "user_agent": origin.user_agent}
        parts[ACTOR] = salts[:SALT] + written(said)
    if TARGET in people:
        known = {"name": event.target.name, **_documents(event)}
        parts[TARGET] = salts[SALT:] + written(known)
    return parts


def _documents(event: Event) -> dict[str, Json]:
    return {"after": inside(event.after), "before": inside(event.before)}


def _begin(event: Event, spelled: str, parts: Secrets) -> bytes:
    said = {
        "action": event.action,
        "actor": _who(event, named=ACTOR not in parts),
        "context": _where(event.origin, named=ACTOR not in parts),
        "id": spelled,
        "occurred_at": instant(event.occurred_at),
        "outcome": event.outcome,
        "personal": {part: digest(secret) for part, secret in parts.items()},
        "reason": event.reason,
    }
    if TARGET not in parts:
        said |= _documents(event)
    return written(said)[:-1]


def _who(event: Event, *, named: bool) -> dict[str, str]:
    actor = event.actor
    who = {
        "id": actor.id,
        "on_behalf_of": actor.on_behalf_of,
        "token_id": actor.credential,
        "type": actor.type,
    }
    return who | {"name": actor.name} if named else who


def _where(origin: Origin, *, named: bool) -> dict[str, str]:
    where = {
        "request_id": origin.request_id,
        "service": origin.service,
        "trace_id": origin.trace_id,
    }
    return where | {"ip": origin.ip, "user_agent": origin.user_agent} if named else where


def _middle(event: Event, *, secret: bool) -> bytes:
    target = event.target
    what = {"id": target.id, "type": target.type}
    if not secret:
        what["name"] = target.name
    return written({"targets": (what,), "tenant": _same_tenant(event.tenant)})[1:-1]


_same_tenant = lru_cache(maxsize=4096)(str)


@lru_cache(maxsize=64)
def _same_instant(at: datetime) -> bytes:
    """Return a time that a whole batch shares."""
    return instant(at).encode()
