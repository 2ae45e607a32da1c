"""A flag's past, and questions about what it serves, in REST: revisions, revert, explain, preview, where used."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import Field, JsonValue

from chassis.errors import Invalid
from chassis.http import Asking, Body, Instant, Page, Paging, View, doors, given, needs_somewhere
from flags.api.feature_flags import Aimed, FlagPath, Where, switched
from flags.api.flag_views import FindingView, FlagPatch, FlagView, change
from flags.api.rule_views import Part
from flags.api.words import Reason
from flags.domain.answers import Answer
from flags.domain.explain import Explanation
from flags.domain.revision import Revision
from flags.usecases.explaining import Explaining, Moment, Preview
from flags.usecases.flags import Flags
from flags.usecases.revisions import Revisions

router = doors("/api/v1/feature-flags", "flags")
Changing = Annotated[Flags, given(Flags)]
Past = Annotated[Revisions, given(Revisions)]
Asks = Annotated[Explaining, given(Explaining)]
Number = Annotated[int, Query(ge=1, le=2**31 - 1)]
READS: dict[str, Any] = {"x-reads": True}


class TwoMoments(Invalid):
    """An explanation is of a revision or of a time, not of both."""

    code = "flags.two_moments"


class ActorView(View):
    """Who did it."""

    type: str
    id: str
    name: str


class RevisionView(View):
    """One revision: what the flag was from then on, by whom, and why. Lists leave the document out."""

    number: int
    at: datetime
    actor: ActorView
    action: str
    reason: str
    document: dict[str, Any] = Field(default_factory=dict[str, Any])


class RevisionPage(Page[RevisionView]):
    """A page of revisions, newest first."""


class DifferenceView(View):
    """One place where two revisions differ."""

    pointer: str
    before: Any
    after: Any


class DiffView(View):
    """Where two revisions differ."""

    before: int
    after: int
    differences: list[DifferenceView]


class RevertBody(Body):
    """Which revision to go back to, and why."""

    revision: Annotated[int, Field(ge=1, le=2**31 - 1)]
    reason: Reason = ""


class ExplainBody(Body):
    """For whom, and (if not for now) as of which revision of the flag or which time."""

    context: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    revision: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    at: Instant | None = None


class AnswerView(View):
    """What is served, in OpenFeature's words."""

    value: Any = None
    variant: str | None = None
    reason: str
    error_code: str | None = None
    error_details: str | None = None


class ExplanationView(AnswerView):
    """What is served and every step that led there; `needed` are the flags that were asked for it."""

    key: str
    steps: list[dict[str, Any]]
    needed: dict[str, "ExplanationView"] = Field(default_factory=dict[str, "ExplanationView"])


class PreviewBody(FlagPatch):
    """An edit that is not made, and for whom to try it; without contexts, those that were lately seen."""

    contexts: Annotated[list[Part], Field(min_length=1, max_length=10_000)] | None = None


class MoveView(View):
    """How many units would move from one variant to another."""

    before: str
    after: str
    count: int


class PreviewView(View):
    """How many of the known units an edit would move. `source`: the contexts were `given`, or lately `seen`."""

    units: int
    moved: int
    source: str
    moves: list[MoveView]
    warnings: list[FindingView]


class UseView(View):
    """Where something is asked for."""

    kind: str
    key: str
    environment: str | None = None


class UseList(View):
    """Everything that asks for it."""

    items: list[UseView]


@router.get(
    "/{flag}/revisions",
    response_model=RevisionPage,
    response_model_exclude_unset=True,
    **needs_somewhere("flag:read"),
)
async def list_revisions(
    flag: FlagPath, caller: Asking, where: Where, past: Past, pager: Paging
) -> dict[str, Any]:
    """List what a flag was, newest first."""
    part = await past.page(caller, where, flag, pager.ask)
    return pager.render(part, _revision)


@router.get("/{flag}/revisions/diff", response_model=DiffView, **needs_somewhere("flag:read"))
async def diff_revisions(
    flag: FlagPath, caller: Asking, where: Where, past: Past, before: Number, after: Number
) -> DiffView:
    """Return where two revisions of a flag differ."""
    found = await past.diff(caller, where, flag, (before, after))
    told = [DifferenceView.model_validate(one) for one in found]
    return DiffView(before=before, after=after, differences=told)


@router.get(
    "/{flag}/revisions/{number}", response_model=RevisionView, **needs_somewhere("flag:read")
)
async def get_revision(
    flag: FlagPath, number: int, caller: Asking, where: Where, past: Past
) -> RevisionView:
    """Return one revision with its whole document."""
    found = await past.get(caller, where, flag, min(max(number, 0), 2**31 - 1))
    return _revision(found).model_copy(update={"document": dict(found.document)})


@router.post("/{flag}/revert", response_model=FlagView, **needs_somewhere("flag:update"))
async def revert_flag(
    body: RevertBody, caller: Asking, aim: Aimed, flags: Changing, response: Response
) -> FlagView:
    """Have the flag as a revision had it, in every environment; a revision of its own."""
    reverted = await flags.revert(caller, replace(aim, reason=body.reason), body.revision)
    return switched(reverted, aim, response)


@router.post(
    "/{flag}/explain",
    response_model=ExplanationView,
    response_model_exclude_none=True,
    **needs_somewhere("flag:read", **READS),
)
async def explain_flag(
    flag: FlagPath, body: ExplainBody, caller: Asking, where: Where, asks: Asks
) -> ExplanationView:
    """Return what a context gets, and why: every step, clause by clause, now or as of a revision or a time."""
    if body.revision is not None and body.at is not None:
        raise TwoMoments("send `revision` or `at`, not both")
    moment = Moment(revision=body.revision, at=body.at)
    found = await asks.explain(caller, where, flag, body.context, moment)
    return _explanation(flag, found)


@router.post("/{flag}/preview", response_model=PreviewView, **needs_somewhere("flag:read", **READS))
async def preview_flag(
    flag: FlagPath, body: PreviewBody, caller: Asking, where: Where, asks: Asks
) -> PreviewView:
    """Return how many of the known units an edit of the flag's targeting would move. Nothing is changed."""
    edit = change(
        FlagPatch.model_validate(body.model_dump(exclude_unset=True, exclude={"contexts"}))
    )
    return _preview(await asks.preview(caller, where, flag, edit, body.contexts))


@router.get("/{flag}/used-by", response_model=UseList, **needs_somewhere("flag:read"))
async def list_users_of_flag(
    flag: FlagPath, caller: Asking, where: Where, flags: Changing
) -> UseList:
    """List the flags and segments that look at what a flag serves."""
    found = await flags.used(caller, where, flag)
    return UseList(items=[UseView.model_validate(use) for use in found])


def _revision(revision: Revision) -> RevisionView:
    return RevisionView(
        number=revision.number,
        at=revision.at,
        actor=ActorView(type=revision.actor_type, id=revision.actor_id, name=revision.actor_name),
        action=revision.action,
        reason=revision.reason,
    )


def _explanation(key: str, told: Explanation) -> ExplanationView:
    return ExplanationView(
        key=key,
        **_answer(told.answer),
        steps=told.steps,
        needed={needed: _explanation(needed, found) for needed, found in told.needed.items()},
    )


def _answer(answer: Answer) -> dict[str, Any]:
    if answer.trouble:
        trouble = {"error_code": answer.trouble.value, "error_details": answer.details}
        return {"reason": answer.reason.value, **trouble}
    return {"value": answer.value, "variant": answer.variant, "reason": answer.reason.value}


def _preview(found: Preview) -> PreviewView:
    return PreviewView(
        units=found.units,
        moved=sum(found.moves.values()),
        source="seen" if found.seen else "given",
        moves=[
            MoveView(before=before, after=after, count=count)
            for (before, after), count in sorted(found.moves.items())
        ],
        warnings=[FindingView.model_validate(finding) for finding in found.findings],
    )
