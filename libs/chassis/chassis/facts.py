"""Facts: what a use-case leaves behind for the audit log.

A use-case says what happened; the outbox adds the id, the time and the request that it happened in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast
from uuid import UUID

from chassis.caller import Caller

Document = Mapping[str, Any]


class Outcome(StrEnum):
    """How the attempt ended."""

    SUCCESS = "success"
    DENIED = "denied"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it. `credential` is the session or key that was shown, `on_behalf_of` whose authority stood behind it."""

    type: str
    id: str
    name: str = ""
    credential: str = ""
    on_behalf_of: str = ""

    @classmethod
    def of(cls, caller: Caller) -> "Actor":
        """Return the actor that a caller is."""
        behind = caller.account if caller.account != caller.subject else ""
        return cls(caller.kind, caller.subject, caller.name, caller.credential, behind)


@dataclass(frozen=True, slots=True)
class Target:
    """What it was done to."""

    type: str
    id: str
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that happened: who did which action to what, and how it was before and after.

    `action` is in the past tense (flag.toggled). `before` and `after` are JSON documents without secrets.
    """

    tenant: UUID | None
    actor: Actor
    action: str
    target: Target
    before: Document | None = None
    after: Document | None = None
    reason: str = ""
    outcome: Outcome = Outcome.SUCCESS


Seen = tuple[UUID | None, Target, Document]  # a thing as the log sees it: whose, which, and how


def changed(who: Actor, verb: str, before: Seen | None, after: Seen | None, why: str = "") -> Fact:
    """Return the fact that a thing is not as it was: new without a `before`, gone without an `after`."""
    tenant, target, _ = cast("Seen", after or before)
    return Fact(
        tenant=tenant,
        actor=who,
        action=f"{target.type}.{verb}",
        target=target,
        before=before and before[2],
        after=after and after[2],
        reason=why,
    )
