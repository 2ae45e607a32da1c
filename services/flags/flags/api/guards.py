"""Guards of rollouts, in REST."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from chassis.http import Body, View
from flags.api.words import FLAG_KEY
from flags.domain.guard import Guard, OnHarm, Said
from flags.domain.rollout import Rollout

Named = Annotated[str, Field(min_length=1, max_length=100, pattern=FLAG_KEY)]


class GuardBody(Body):
    """What has to be unharmed for the rollout to go on: an experiment (id or key), in one of its guardrails or in all.

    Harm beyond doubt rolls back (everybody gets again what they got before) or pauses. While nobody can tell, no
    further stage begins.
    """

    experiment: Named
    metric: Named | None = None
    on_harm: Literal["roll_back", "pause"] = "roll_back"


class GuardVerdictView(View):
    """What the guard was last found to be, why, from how many exposed units, and when."""

    said: Said
    why: str
    units: int
    at: datetime


class GuardSaidView(View):
    """The guard that is proposed."""

    experiment: str
    metric: str | None = None
    on_harm: OnHarm


class GuardView(GuardSaidView):
    """The guard of a rollout. `held`: a stage is due and does not begin, as nobody can tell whether it does harm."""

    held: bool
    verdict: GuardVerdictView | None = None
    look_at: datetime | None = None


def guard_from(body: GuardBody | None) -> Guard | None:
    """Return the guard that a client asks for."""
    if body is None:
        return None
    return Guard(experiment=body.experiment, metric=body.metric or "", on_harm=OnHarm(body.on_harm))


def guard_said(guard: Guard | None) -> GuardSaidView | None:
    """Return a proposed guard as clients see it."""
    if guard is None:
        return None
    return GuardSaidView(
        experiment=guard.experiment, metric=guard.metric or None, on_harm=guard.on_harm
    )


def guard_view(rollout: Rollout) -> GuardView | None:
    """Return the guard of a rollout as clients see it; None if it has none."""
    guard, verdict = rollout.ramp.guard, rollout.verdict
    if guard is None:
        return None
    return GuardView(
        experiment=guard.experiment,
        metric=guard.metric or None,
        on_harm=guard.on_harm,
        held=rollout.held,
        verdict=None if verdict is None else GuardVerdictView.model_validate(verdict),
        look_at=rollout.look_at,
    )
