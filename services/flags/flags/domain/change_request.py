"""A change request: an edit, a scheduled edit or a rollout that others have to approve before it is made.

It is made for the flag as it was when it was last edited (`state`); if that moved on, nobody knows any more what was
approved. An edit voids the approvals. Nobody approves their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from flags.domain.edits import Author, Edit, Spot
from flags.domain.errors import (
    ApprovalsMissing,
    BadChangeRequest,
    ChangeRequestOver,
    OwnChangeRequest,
)
from flags.domain.guard import guard_document, guard_of
from flags.domain.rollout import Ramp, Stage

Kind = Literal["change", "schedule", "rollout"]


class RequestStatus(StrEnum):
    """What became of a change request. What is rejected can be edited and is open again."""

    OPEN = "open"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    APPLIED = "applied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """That somebody approved the request as it was, and what they said."""

    by: Author
    at: datetime
    comment: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What is to be made: an edit, now or at a time, or a rollout, now or from a time on."""

    edit: Edit | None = None
    ramp: Ramp | None = None
    at: datetime | None = None

    @property
    def kind(self) -> Kind:
        """What is made of it once it is applied."""
        if self.ramp is not None:
            return "rollout"
        return "change" if self.at is None else "schedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRequest:
    """A proposal under discussion. `touched` are the environments in which something else would be served.

    `made` is what it led to: a version of the flag, a schedule or a rollout.
    """

    id: UUID
    spot: Spot
    title: str
    proposal: Proposal
    state: str
    author: Author
    touched: tuple[str, ...] = ()
    approvals: tuple[Approval, ...] = ()
    status: RequestStatus = RequestStatus.OPEN
    said: str = ""
    made: str = ""
    version: int = 1
    created_at: datetime
    updated_at: datetime

    def edited(self, title: str, proposal: Proposal, state: str, now: datetime) -> "ChangeRequest":
        """Return the request with another proposal, for the flag as it is now: nobody has approved that yet."""
        if self.status not in (RequestStatus.OPEN, RequestStatus.REJECTED):
            raise self._over()
        return self._moved(
            now,
            title=title,
            proposal=proposal,
            state=state,
            approvals=(),
            status=RequestStatus.OPEN,
            said="",
        )

    def approved(self, by: Author, comment: str, now: datetime) -> "ChangeRequest":
        """Return the request approved by one more; itself if they did already. OwnChangeRequest for its author."""
        self._must_be_open()
        if by.account == self.author.account:
            raise OwnChangeRequest(
                "this is your own change request: somebody else has to approve it"
            )
        if any(one.by.account == by.account for one in self.approvals):
            return self
        return self._moved(
            now, approvals=(*self.approvals, Approval(by=by, at=now, comment=comment))
        )

    def rejected(self, comment: str, now: datetime) -> "ChangeRequest":
        """Return the request turned down; what was approved is void."""
        self._must_be_open()
        return self._moved(now, status=RequestStatus.REJECTED, approvals=(), said=comment)

    def cancelled(self, comment: str, now: datetime) -> "ChangeRequest":
        """Return the request withdrawn."""
        if self.status not in (RequestStatus.OPEN, RequestStatus.REJECTED):
            raise self._over()
        return self._moved(now, status=RequestStatus.CANCELLED, said=comment)

    def applied(self, made: str, now: datetime) -> "ChangeRequest":
        """Return the request after what it proposes was made."""
        return self._moved(now, status=RequestStatus.APPLIED, made=made)

    def must_be_ready(self, required: int) -> None:
        """Refuse a request that is over, or that too few have approved."""
        self._must_be_open()
        if len(self.approvals) < required:
            missing = required - len(self.approvals)
            raise ApprovalsMissing(
                f"{missing} more approval{'s are' if missing > 1 else ' is'} needed"
            )

    def _must_be_open(self) -> None:
        if self.status is not RequestStatus.OPEN:
            raise self._over()

    def _over(self) -> ChangeRequestOver:
        return ChangeRequestOver(f"the change request is {self.status.value}")

    def _moved(self, now: datetime, **fields: Any) -> "ChangeRequest":  # noqa: ANN401 - fields of any type
        return replace(self, **fields, version=self.version + 1, updated_at=now)


def must_propose(proposal: Proposal) -> None:
    """Refuse a proposal that says nothing, or two things."""
    if (proposal.edit is None) == (proposal.ramp is None):
        raise BadChangeRequest("propose either a `change` or a `rollout`")
    if proposal.edit is not None and not proposal.edit:
        raise BadChangeRequest("the change says nothing: name what is to be different")


def ramp_document(ramp: Ramp) -> dict[str, Any]:
    """Return a ramp as a JSON document."""
    return {
        "variant": ramp.variant,
        "otherwise": ramp.otherwise,
        "by": list(ramp.by),
        "when": None if ramp.when is None else dict(ramp.when),
        "stages": [{"weight": stage.weight, "hold": stage.hold} for stage in ramp.stages],
        **({"guard": guard_document(ramp.guard)} if ramp.guard else {}),
    }


def ramp_of(said: Mapping[str, Any]) -> Ramp:
    """Return the ramp that a document of ours says."""
    return Ramp(
        variant=said["variant"],
        otherwise=said["otherwise"],
        by=tuple(said["by"]),
        when=said["when"],
        stages=tuple(Stage(**stage) for stage in said["stages"]),
        guard=guard_of(said.get("guard")),
    )


def document(request: ChangeRequest) -> dict[str, Any]:
    """Return the request as the audit log keeps it."""
    proposal = request.proposal
    return {
        "title": request.title,
        "flag": request.spot.flag,
        "environment": request.spot.environment,
        "kind": proposal.kind,
        **({} if proposal.edit is None else {"change": dict(proposal.edit)}),
        **({} if proposal.ramp is None else {"rollout": ramp_document(proposal.ramp)}),
        **({} if proposal.at is None else {"at": proposal.at.isoformat()}),
        "status": request.status.value,
        "approvals": [{"id": one.by.id, "comment": one.comment} for one in request.approvals],
        **({"said": request.said} if request.said else {}),
        **({"made": request.made} if request.made else {}),
    }
