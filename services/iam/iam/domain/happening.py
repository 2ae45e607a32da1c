"""What subscribers hear of: that something under /global was made, changed or deleted. Read off the facts.

Every change leaves a fact, so nobody who changes something can forget to tell of it, whatever door it came through.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from chassis.facts import Fact, Outcome
from iam.domain.gitops import C

ROLES = (
    "roles"  # not under /global: nobody hears of it, but what everybody may do has changed with it
)


class Verb(StrEnum):
    """What happened to a thing."""

    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Note:
    """That something happened to a thing of a tenant: `thing` is its id, of a permission its name."""

    tenant: UUID
    kind: str
    thing: str
    verb: Verb


@dataclass(frozen=True, slots=True)
class Happening:
    """A note in the log. Who has seen a position has seen every one before it."""

    position: int
    note: Note
    at: datetime


_KINDS = {
    "user": C.USERS,
    "group": C.GROUPS,
    "service_account": C.SERVICE_ACCOUNTS,
    "pipeline_account": C.PIPELINE_ACCOUNTS,
    "membership": C.MEMBERSHIPS,
    "project": C.PROJECTS,
}
_UNSEEN = "password_"  # nothing that anybody is shown changes with it
_POWERS = frozenset({"empowered", "disempowered"})


def notes_of(fact: Fact) -> Sequence[Note]:
    """Return what subscribers shall hear of a fact; nothing of what failed, or is about something else."""
    noun, _, verb = fact.action.partition(".")
    tenant, target = fact.tenant, fact.target
    if fact.outcome is not Outcome.SUCCESS or tenant is None or not target.id:
        return ()
    turned = (Note(tenant, ROLES, target.id, Verb.UPDATED),) if noun == "role" else ()
    if target.type not in _KINDS or noun not in (target.type, "role") or verb.startswith(_UNSEEN):
        return turned
    happened = Verb(verb) if noun == target.type and verb in list(Verb) else Verb.UPDATED
    made = (Note(tenant, _KINDS[target.type], target.id, happened),)
    power = Note(tenant, C.PERMISSIONS, fact.reason, Verb.UPDATED)
    return (*made, *turned, power) if verb in _POWERS else (*made, *turned)


def turns_rights(note: Note) -> bool:
    """Tell whether somebody of the tenant may do more or less than before."""
    new = note.verb is Verb.CREATED
    return note.kind in (ROLES, C.MEMBERSHIPS) or (note.kind == C.USERS and not new)
