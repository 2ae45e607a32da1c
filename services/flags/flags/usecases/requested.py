"""Change requests as they are asked for, shown and told of."""

from dataclasses import dataclass
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor, Fact, Target
from flags.domain.change_request import ChangeRequest, RequestStatus, document
from flags.domain.edits import approvals_for, state_of
from flags.domain.errors import FlagMovedOn
from flags.domain.flag import Flag
from flags.domain.place import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAim:
    """Which change request is meant, of which project, in which version (None: any), and what is said to it."""

    request: UUID
    project: str
    version: int | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A change request, how many approvals it takes, and whether its flag has moved on since it was edited."""

    request: ChangeRequest
    required: int
    outdated: bool


def must_be_as_approved(flag: Flag, request: ChangeRequest) -> None:
    """Refuse to make what was approved of another state of the flag; FlagMovedOn."""
    if state_of(flag, request.spot.environment) != request.state:
        raise FlagMovedOn(
            f"flag {flag.key!r} was changed since this request was last edited: look at it again and edit the request"
        )


def required(request: ChangeRequest, project: Project) -> int:
    """Return how many approvals a request takes."""
    return approvals_for(project, frozenset(request.touched))


def shown(request: ChangeRequest, project: Project, flag: Flag) -> Shown:
    """Return a request as it is shown."""
    undecided = request.status in (RequestStatus.OPEN, RequestStatus.REJECTED)
    outdated = undecided and state_of(flag, request.spot.environment) != request.state
    return Shown(request, required(request, project), outdated)


def request_fact(
    caller: Caller,
    verb: str,
    before: ChangeRequest | None,
    after: ChangeRequest,
    reason: str = "",
) -> Fact:
    """Return a fact about a change request."""
    return Fact(
        tenant=caller.tenant,
        actor=Actor.of(caller),
        action=f"change_request.{verb}",
        target=Target("change_request", str(after.id), after.title),
        before=None if before is None else document(before),
        after=document(after),
        reason=reason or after.title,
    )
