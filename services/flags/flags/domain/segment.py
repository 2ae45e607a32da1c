"""A segment: a named set of people, by list and by condition, that rules of every flag of its project can ask for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

from flags.domain.context import UNIT, USER
from flags.domain.errors import TooManyMembers
from flags.domain.reading import MOST_MEMBERS

MOST_TOLD = 1_000  # ids of each list that the audit log keeps of one change


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Who is in it: those `included`, and those for whom `when` holds; never who is `excluded`.

    The lists themselves lie beside it (`Members`), because they may be long; here is how long they are.
    """

    id: UUID
    tenant: UUID
    project_id: UUID
    key: str
    name: str
    description: str = ""
    attribute: str = UNIT
    kind: str = USER
    when: Mapping[str, Any] | None = None
    included: int = 0
    excluded: int = 0
    version: int = 1
    created_at: datetime
    updated_at: datetime

    @property
    def document(self) -> dict[str, Any]:
        """Who is in the segment but for its lists, as `reading` reads it."""
        when = {} if self.when is None else {"when": dict(self.when)}
        return {"attribute": self.attribute, "kind": self.kind, **when}

    def changed(self, fields: Mapping[str, Any], now: datetime) -> "Segment":
        """Return the segment as the fields have it; itself if nothing differs."""
        after = replace(self, **fields)
        return self if after == self else replace(after, version=self.version + 1, updated_at=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """The two lists of a segment."""

    included: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()

    def entries(self) -> list["Entry"]:
        """Return every id with its list, in order: first who is excluded."""
        return [
            *(Entry("excluded", one) for one in sorted(self.excluded)),
            *(Entry("included", one) for one in sorted(self.included)),
        ]

    def changed(self, moves: "Moves") -> "Members":
        """Return the lists with people put in, shut out and taken off; TooManyMembers beyond 100,000 ids."""
        off = frozenset(moves.remove)
        included = (self.included - off - frozenset(moves.exclude)) | frozenset(moves.include)
        excluded = (self.excluded - off - frozenset(moves.include)) | frozenset(moves.exclude)
        if len(included) + len(excluded) > MOST_MEMBERS:
            raise TooManyMembers(f"a segment lists at most {MOST_MEMBERS} ids: use a condition")
        return Members(included=included, excluded=excluded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """Ids to be put on a list, or taken off both. Who is moved twice ends up where the last of these says."""

    remove: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    include: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """An id on one of a segment's lists."""

    list: Literal["excluded", "included"]
    id: str


Sides = tuple[dict[str, Any], dict[str, Any]]


def moved(before: Members, after: Members) -> Sides:
    """Return who was on which list and is on which now, as the audit log keeps it: only those for whom that differs.

    So a change of the lists can be found, and undone. Of more than 1,000 ids on a list the log keeps how many there
    were and a digest (SHA-256 over the ids in order, each with a line feed).
    """
    lists = ("included", "excluded")
    pairs = [(name, getattr(before, name), getattr(after, name)) for name in lists]
    return (
        {"listed": {name: _ids(was - now) for name, was, now in pairs}},
        {"listed": {name: _ids(now - was) for name, was, now in pairs}},
    )


def _ids(ids: frozenset[str]) -> list[str] | dict[str, Any]:
    found = sorted(ids)
    if len(found) <= MOST_TOLD:
        return found
    digest = sha256("".join(f"{one}\n" for one in found).encode()).hexdigest()
    return {"count": len(found), "sha256": digest}


def told(segment: Segment) -> dict[str, Any]:
    """Return the segment as the audit log keeps it: its lists by their length."""
    return {
        "key": segment.key,
        "name": segment.name,
        "description": segment.description,
        **segment.document,
        "included": segment.included,
        "excluded": segment.excluded,
    }
