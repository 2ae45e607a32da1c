"""Progressive rollouts, in REST."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Request, Response
from pydantic import Field

from chassis.http import (
    TAGGED,
    Asking,
    Body,
    Expected,
    Id,
    Instant,
    Page,
    Paging,
    View,
    doors,
    etag,
    given,
    needs_somewhere,
    tagged,
)
from flags.api.feature_flags import Aimed, FlagPath, Where
from flags.api.flag_views import ReasonBody
from flags.api.guards import GuardBody, GuardSaidView, GuardView, guard_from, guard_said, guard_view
from flags.api.rule_views import Condition
from flags.api.schedules import AuthorView, Named, because
from flags.api.words import Reason, VariantName
from flags.domain.bucketing import WHOLE
from flags.domain.rollout import MOST_STAGES, Ramp, Rollout, Stage
from flags.usecases.changing import Aim
from flags.usecases.rollouts import Asked, Rollouts

router = doors("/api/v1/feature-flags", "flags")
Rolling = Annotated[Rollouts, given(Rollouts)]


async def a_rollout(flag: FlagPath, rollout: Annotated[Id, Path()], where: Where) -> Named:
    """Return which rollout of which flag a request means."""
    return Aim(flag=flag, place=where), rollout


TheRollout = Annotated[Named, Depends(a_rollout)]


class StageBody(Body):
    """A share of the units (of 100,000: steps of 0.001 %), and for how many seconds it holds before the next one."""

    weight: Annotated[int, Field(ge=1, le=WHOLE)]
    hold_seconds: Annotated[int, Field(ge=0, le=90 * 86_400)] = 0


class RampBody(Body):
    """Which variant grows, at the cost of which (the default one), for whom, by which units, in which stages."""

    variant: VariantName
    otherwise: VariantName | None = None
    by: Annotated[list[VariantName], Field(min_length=1, max_length=10)] | None = None
    when: Condition | None = None
    guard: GuardBody | None = None
    stages: Annotated[list[StageBody], Field(min_length=1, max_length=MOST_STAGES)]


class RolloutBody(RampBody):
    """A rollout to be started: now, or at a time."""

    start: Instant | None = None
    reason: Reason = ""


class StageView(View):
    """A stage."""

    weight: int
    hold_seconds: int


class RampView(View):
    """A rollout that is proposed."""

    variant: str
    otherwise: str
    by: list[str]
    when: dict[str, Any] | None = None
    stages: list[StageView]
    guard: GuardSaidView | None = None


class RolloutView(View):
    """A rollout: `waiting` for its start, `running`, `paused`, `completed`, `aborted`, `rolled_back` or `failed`.

    `trouble` says why, or why a stage that is due does not begin.
    `stage` counts from 1, 0 before the first; `weight` is the share in force; `next_at` when the next stage begins.
    """

    id: UUID
    flag: str
    environment: str
    variant: str
    otherwise: str
    by: list[str]
    when: dict[str, Any] | None = None
    stages: list[StageView]
    guard: GuardView | None = None
    reason: str
    author: AuthorView
    status: str
    stage: int
    weight: int
    next_at: datetime | None = None
    trouble: str = ""
    rule_id: str
    change_request: UUID | None = None
    version: int
    created_at: datetime
    updated_at: datetime


class RolloutPage(Page[RolloutView]):
    """A page of rollouts."""


# --- progressive rollouts -----------------------------------------------------------------------------------------


@router.get(
    "/{flag}/rollouts",
    response_model=RolloutPage,
    response_model_exclude_unset=True,
    **needs_somewhere("flag:read"),
)
async def list_rollouts(
    flag: FlagPath, caller: Asking, where: Where, rolling: Rolling, pager: Paging
) -> dict[str, Any]:
    """List a flag's rollouts in one environment, the newest first."""
    part = await rolling.page(caller, Aim(flag=flag, place=where), pager.ask)
    return pager.render(part, rollout_view)


@router.post(
    "/{flag}/rollouts",
    response_model=RolloutView,
    status_code=201,
    **needs_somewhere("flag:update"),
)
async def start_rollout(
    body: RolloutBody, caller: Asking, aim: Aimed, rolling: Rolling, response: Response
) -> RolloutView:
    """Serve a variant to more and more units, stage by stage, by a rule at the end of the flag's rules.

    Each stage is a revision. Whoever has the variant keeps it. A stage holds for as long as is asked from when it
    really began. The flag has to be enabled for anybody to see it. With a `guard`, experiments is asked before each
    stage and while one holds; harm rolls back or pauses, and while nobody can tell, the rollout stays where it is.
    """
    aim = replace(aim, reason=body.reason)
    made = await rolling.start(caller, aim, Asked(ramp=ramp_of(body), start=body.start))
    response.headers["location"] = f"{router.prefix}/{made.spot.flag_id}/rollouts/{made.id}"
    response.headers["etag"] = etag(made.version)
    return rollout_view(made)


@router.get(
    "/{flag}/rollouts/{rollout}",
    response_model=RolloutView,
    responses=TAGGED,
    **needs_somewhere("flag:read"),
)
async def get_rollout(
    which: TheRollout,
    caller: Asking,
    rolling: Rolling,
    request: Request,
    response: Response,
) -> RolloutView | Response:
    """Return one rollout."""
    found = await rolling.get(caller, *which)
    if tagged(response, request, found.version):
        return Response(status_code=304, headers=dict(response.headers))
    return rollout_view(found)


@router.post(
    "/{flag}/rollouts/{rollout}/pause",
    response_model=RolloutView,
    **needs_somewhere("flag:update"),
)
async def pause_rollout(
    which: TheRollout,
    caller: Asking,
    rolling: Rolling,
    version: Expected,
    response: Response,
    body: ReasonBody | None = None,
) -> RolloutView:
    """Hold a rollout at its stage."""
    after = await rolling.pause(caller, *because(which, body, version))
    response.headers["etag"] = etag(after.version)
    return rollout_view(after)


@router.post(
    "/{flag}/rollouts/{rollout}/resume",
    response_model=RolloutView,
    **needs_somewhere("flag:update"),
)
async def resume_rollout(
    which: TheRollout,
    caller: Asking,
    rolling: Rolling,
    version: Expected,
    response: Response,
    body: ReasonBody | None = None,
) -> RolloutView:
    """Let a rollout go on: its stage holds for as long as was left of it."""
    after = await rolling.resume(caller, *because(which, body, version))
    response.headers["etag"] = etag(after.version)
    return rollout_view(after)


@router.post(
    "/{flag}/rollouts/{rollout}/abort",
    response_model=RolloutView,
    **needs_somewhere("flag:update"),
)
async def abort_rollout(
    which: TheRollout,
    caller: Asking,
    rolling: Rolling,
    version: Expected,
    response: Response,
    body: ReasonBody | None = None,
) -> RolloutView:
    """Give a rollout up: its rule is taken out, and everybody gets again what they got before it."""
    after = await rolling.abort(caller, *because(which, body, version))
    response.headers["etag"] = etag(after.version)
    return rollout_view(after)


def ramp_of(body: RampBody) -> Ramp:
    """Return the ramp that a client asks for; `otherwise` is empty where the default variant is meant."""
    return Ramp(
        variant=body.variant,
        otherwise=body.otherwise or "",
        stages=tuple(Stage(stage.weight, stage.hold_seconds) for stage in body.stages),
        by=tuple(body.by or ()),
        when=body.when,
        guard=guard_from(body.guard),
    )


def ramp_view(ramp: Ramp) -> RampView:
    """Return a proposed rollout as clients see it."""
    return RampView(
        variant=ramp.variant,
        otherwise=ramp.otherwise,
        by=list(ramp.by),
        when=None if ramp.when is None else dict(ramp.when),
        stages=[StageView(weight=stage.weight, hold_seconds=stage.hold) for stage in ramp.stages],
        guard=guard_said(ramp.guard),
    )


def rollout_view(found: Rollout) -> RolloutView:
    """Return a rollout as clients see it."""
    same = ("id", "reason", "weight", "next_at", "trouble", "rule_id", "version")
    ramp = found.ramp
    return RolloutView(
        **{name: getattr(found, name) for name in same},
        flag=found.spot.flag,
        environment=found.spot.environment,
        variant=ramp.variant,
        otherwise=ramp.otherwise,
        by=list(ramp.by),
        when=None if ramp.when is None else dict(ramp.when),
        stages=[StageView(weight=s.weight, hold_seconds=s.hold) for s in ramp.stages],
        guard=guard_view(found),
        author=AuthorView.model_validate(found.author),
        status=found.status.value,
        stage=found.stage + 1,
        change_request=found.approved,
        created_at=found.created_at,
        updated_at=found.updated_at,
    )
