"""Access lists as they are embedded in things: who may do what, in bits of the wire. Principals are kept by id.

A list in a project is lent to what the project holds; an entry with a scope is about one kind of thing only.
"""

from collections.abc import Collection as Several
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from authz.decision import AclEntry, acl_mask
from authz.permissions import CATALOGUE
from authz.verbs import LIST, WIRE_ROOT, from_wire
from chassis.errors import FieldError
from iam.domain.gitops_errors import BadAcl

MOST_ENTRIES = 1000
MOST_PRINCIPALS = 1000  # of one entry
# How a scope may be spelled, and the kind of thing that it means.
SCOPES: dict[str, str] = {kind: kind for kind in CATALOGUE} | {
    "users": "user",
    "groups": "group",
    "memberships": "group",
    "service_accounts": "service_account",
    "pipeline_accounts": "pipeline_account",
    "projects": "project",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """What some principals may do, as bits of the wire; in a project `scope` narrows it to one kind of thing."""

    permissions: int
    principals: tuple[UUID, ...]
    scope: str = ""

    @property
    def kind(self) -> str:
        """The kind of thing that the entry is about; empty for all."""
        return SCOPES[self.scope] if self.scope else ""

    @property
    def decisive(self) -> AclEntry:
        """The entry as the decision reads it."""
        principals = frozenset(map(str, self.principals))
        return AclEntry(mask=from_wire(self.permissions), principals=principals, kind=self.kind)


@dataclass(frozen=True, slots=True)
class Acl:
    """A list of entries, and when it was changed last."""

    entries: tuple[Entry, ...] = ()
    changed_at: datetime | None = None

    def mask(self, principals: Several[UUID], kind: str) -> int:
        """Return what the list gives to any of these principals on one kind of thing."""
        asked = frozenset(map(str, principals))
        return acl_mask([e.decisive for e in self.entries], (), asked, kind)

    def readers(self, kind: str) -> frozenset[UUID]:
        """Return everybody to whom the list lets things of a kind be listed."""
        heard = (e for e in self.entries if e.kind in ("", kind) and e.permissions & LIST)
        return frozenset(p for e in heard for p in e.principals)

    def with_root(self, principal: UUID, now: datetime) -> "Acl":
        """Return the list with an entry that gives everything to one principal."""
        mine = (e for e in self.entries if principal in e.principals and not e.scope)
        if any(e.permissions == WIRE_ROOT for e in mine):
            return self
        return Acl((*self.entries, Entry(WIRE_ROOT, (principal,))), now)

    def gives_beyond(self, before: "Acl", held: int) -> bool:
        """Tell whether the list gives somebody bits that they had not before and the giver does not hold."""
        old = _given(before.entries)
        new = _given(self.entries)
        return any(bits & ~old.get(who, 0) & ~held for who, bits in new.items())


@dataclass(frozen=True, slots=True)
class EntryDraft:
    """An entry as a client writes it: principals by their keys."""

    permissions: int
    principals: tuple[str, ...]
    scope: str = ""


def checked(entries: Sequence[EntryDraft]) -> Sequence[EntryDraft]:
    """Return a list that can be kept; BadAcl if it is too long or gives what does not exist."""
    if len(entries) > MOST_ENTRIES:
        raise refused("", f"an ACL has at most {MOST_ENTRIES} entries, not {len(entries)}")
    for number, entry in enumerate(entries):
        _check(f"/{number}", entry)
    return entries


def refused(where: str, message: str) -> BadAcl:
    """Return the refusal of a list; `where` points into it."""
    pointer = f"/acl/list{where}"
    return BadAcl(f"{pointer}: {message}", errors=(FieldError(pointer, message, "acl"),))


def _check(where: str, entry: EntryDraft) -> None:
    if not 0 < entry.permissions <= WIRE_ROOT:
        raise refused(f"{where}/permissions", f"permissions are bits from 1 to {WIRE_ROOT}")
    if not 0 < len(entry.principals) <= MOST_PRINCIPALS:
        raise refused(f"{where}/principals", f"an entry names 1 to {MOST_PRINCIPALS} principals")
    if entry.scope and entry.scope not in SCOPES:
        raise refused(f"{where}/scope", f"there is no kind of thing called {entry.scope!r}")


def _given(entries: Iterable[Entry]) -> dict[tuple[UUID, str], int]:
    made: dict[tuple[UUID, str], int] = {}
    for entry in entries:
        for principal in entry.principals:
            who = (principal, entry.kind)
            made[who] = made.get(who, 0) | from_wire(entry.permissions)
    return made
