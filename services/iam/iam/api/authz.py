"""Asking for decisions over REST: our own paths, and those of OpenID AuthZEN 1.0."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Response
from pydantic import ConfigDict, Field, StringConstraints

from authz.verbs import spelled
from chassis.caller import Caller
from chassis.errors import Invalid
from chassis.http import Asking, Body, Id, View, anybody, doors, given, needs
from iam.domain.errors import UserNotFound
from iam.domain.grant_errors import UnknownPermission
from iam.usecases.decisions import Decisions, Question

Uses = Annotated[Decisions, given(Decisions)]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}(:[a-z_]{1,40})?$")]
Kind = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$")]
Name = Annotated[str, StringConstraints(max_length=200)]

ours = doors("/api/v1/authz", "authz")
authzen = doors("/access/v1", "authz")


class ResourceBody(Body):
    """What it is about: a kind, and perhaps one thing of that kind.

    iam knows whose its own things are. Of others' things, say what their service knows: the id of the owner and the
    project's slug; what the project's ACL gives counts then.
    """

    kind: Kind
    id: Name = ""
    owner: Name = ""
    project: Name = ""


class CheckBody(Body):
    """May the subject (without one: you) do this? Asking about others needs `role:read`."""

    permission: Word
    resource: ResourceBody | None = None
    subject: Id | None = None

    def question(self) -> Question:
        """Return what is asked."""
        about = self.resource.model_dump() if self.resource else {}
        subject = None if self.subject is None else str(self.subject)
        return Question(permission=self.permission, subject=subject, **about)


class CheckView(View):
    """The answer."""

    allowed: bool


class ExplainView(View):
    """The answer with its reasons: which grants gave which permissions, which caps took them, what is lacking."""

    allowed: bool
    need: list[str]
    contributed_by: dict[str, list[str]]
    removed_by: dict[str, list[str]]
    would_need: list[str]


class PersonView(View):
    """One user who may."""

    id: UUID
    name: str
    email: str
    roles: list[str]


class WhoView(View):
    """Everybody in your tenant who may."""

    items: list[PersonView]


@ours.post("/check", **anybody())
async def check(body: CheckBody, caller: Asking, decisions: Uses) -> CheckView:
    """Tell whether you, or a subject, may do something."""
    (allowed,) = await decisions.check(caller, [body.question()])
    return CheckView(allowed=allowed)


@ours.post("/explain", **anybody())
async def explain(body: CheckBody, caller: Asking, decisions: Uses) -> ExplainView:
    """Tell whether and why, by the same code that decides."""
    question = body.question()
    told = await decisions.explain(caller, question)
    kind = question.need[0]
    return ExplainView(
        allowed=told.allowed,
        need=list(spelled(kind, told.need)),
        contributed_by=_spelled(kind, told.contributed_by),
        removed_by=_spelled(kind, told.removed_by),
        would_need=list(told.would_need),
    )


def _spelled(kind: str, masks: Mapping[str, int]) -> dict[str, list[str]]:
    return {name: list(spelled(kind, mask)) for name, mask in masks.items()}


@ours.post("/who-can", **needs("role:read"))
async def who_can(body: CheckBody, caller: Asking, decisions: Uses) -> WhoView:
    """List the users of your tenant who may do something."""
    users = await decisions.who_can(caller, body.question())
    people = [PersonView(id=u.id, name=u.name, email=u.email, roles=list(u.roles)) for u in users]
    return WhoView(items=people)


# --- AuthZEN --------------------------------------------------------------------------------------------------------


class Entity(Body):
    """What AuthZEN calls a subject or a resource. What we do not know of it is ignored, as AuthZEN wants."""

    model_config = ConfigDict(extra="ignore")

    type: Kind
    id: Name
    properties: Annotated[dict[str, Any], Field(max_length=100)] = Field(
        default_factory=dict[str, Any]
    )


class Action(Body):
    """What shall be done: a permission, or a verb of the resource's type."""

    model_config = ConfigDict(extra="ignore")

    name: Word
    properties: Annotated[dict[str, Any], Field(max_length=100)] = Field(
        default_factory=dict[str, Any]
    )


class EvaluationBody(Body):
    """One question of AuthZEN 1.0."""

    model_config = ConfigDict(extra="ignore")

    subject: Entity
    action: Action
    resource: Entity
    context: Annotated[dict[str, Any], Field(max_length=100)] = Field(
        default_factory=dict[str, Any]
    )


class PartBody(Body):
    """One of several questions: what it leaves out is taken from the whole."""

    model_config = ConfigDict(extra="ignore")

    subject: Entity | None = None
    action: Action | None = None
    resource: Entity | None = None


class Options(Body):
    """How several questions are answered: all, or until the first no, or until the first yes."""

    model_config = ConfigDict(extra="ignore")

    evaluations_semantic: Literal["execute_all", "deny_on_first_deny", "permit_on_first_permit"] = (
        "execute_all"
    )


class EvaluationsBody(PartBody):
    """Several questions of AuthZEN 1.0."""

    context: Annotated[dict[str, Any], Field(max_length=100)] = Field(
        default_factory=dict[str, Any]
    )
    evaluations: Annotated[list[PartBody], Field(min_length=1, max_length=100)]
    options: Options = Field(default_factory=Options)


class DecisionView(View):
    """AuthZEN's answer."""

    decision: bool


class DecisionsView(View):
    """AuthZEN's answers, in the order of the questions."""

    evaluations: list[DecisionView]


def _question(subject: Entity, action: Action, resource: Entity) -> Question:
    said = resource.properties
    known = {name: said[name] for name in ("owner", "project") if isinstance(said.get(name), str)}
    about = {"kind": resource.type, "id": resource.id, **known}
    return Question(permission=action.name, subject=subject.id, **about)


def _completed(whole: EvaluationsBody, part: PartBody) -> Question:
    subject, action = part.subject or whole.subject, part.action or whole.action
    resource = part.resource or whole.resource
    if subject is None or action is None or resource is None:
        raise Invalid(
            "each evaluation needs a subject, an action and a resource, or the whole does"
        )
    return _question(subject, action, resource)


async def _answer(decisions: Decisions, caller: Caller, question: Question) -> bool:
    try:
        return (await decisions.check(caller, [question]))[0]
    except (UnknownPermission, UserNotFound):
        return False


@authzen.post("/evaluation", **anybody())
async def evaluation(
    body: EvaluationBody, caller: Asking, decisions: Uses, response: Response
) -> DecisionView:
    """Answer one question as OpenID AuthZEN 1.0 has it. Who or what is unknown may nothing."""
    response.headers["cache-control"] = "no-store"
    question = _question(body.subject, body.action, body.resource)
    return DecisionView(decision=await _answer(decisions, caller, question))


@authzen.post("/evaluations", **anybody())
async def evaluations(
    body: EvaluationsBody, caller: Asking, decisions: Uses, response: Response
) -> DecisionsView:
    """Answer several questions as OpenID AuthZEN 1.0 has it."""
    response.headers["cache-control"] = "no-store"
    stop = _STOPS[body.options.evaluations_semantic]
    answers: list[DecisionView] = []
    for question in [_completed(body, part) for part in body.evaluations]:
        answers.append(DecisionView(decision=await _answer(decisions, caller, question)))
        if answers[-1].decision is stop:
            break
    return DecisionsView(evaluations=answers)


_STOPS = {"execute_all": None, "deny_on_first_deny": False, "permit_on_first_permit": True}
routers = (ours, authzen)
