"""The REST doors of results, and of planning before the start."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response
from pydantic import Field

from chassis.http import Asking, Body, View, doors, given, needs, needs_somewhere
from experiments.api.plan_views import Rate
from experiments.api.result_pictures import drawn, table
from experiments.api.result_rendering import breakdown_view, day_view, result_view
from experiments.api.result_views import ResultView, TimeseriesView
from experiments.api.views import KEY, Named
from experiments.domain.inference.planning import Design, Kind, Metric
from experiments.domain.sizing import Sized, Wish, sized
from experiments.usecases.results import Results

router = doors("/api/v1/experiments", "experiments")
Uses = Annotated[Results, given(Results)]
Plot = Literal["forest", "cumulative", "exposures", "posterior"]
Which = Annotated[str, Query(pattern=f"^$|{KEY}", max_length=100)]
Dimension = Annotated[str, Query(pattern=r"^$|^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=50)]
SVG, CSV = "image/svg+xml", "text/csv"
OTHER_FORMS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The result: JSON, or what Accept asks for",
        "content": {SVG: {"schema": {"type": "string"}}, CSV: {"schema": {"type": "string"}}},
    }
}


class PlanBody(Body):
    """What is to be found out: a relative `effect` on a metric with this `baseline` mean.

    `variance` is that of a unit; a proportion has its own. `treatments` share the error rate, `guardrails` raise the
    power that each test needs, `explained` is the part of the variance that the past explains.
    """

    kind: Literal["proportion", "mean"] = "proportion"
    baseline: Annotated[float, Field(ge=-1e15, le=1e15)]
    variance: Annotated[float, Field(gt=0, le=1e30)] | None = None
    effect: Annotated[float, Field(ge=-1, le=100)]
    alpha: Rate = 0.05
    power: Annotated[float, Field(gt=0, le=0.9999)] = 0.8
    sides: Annotated[int, Field(ge=1, le=2)] = 2
    method: Literal["fixed", "grouped", "watched"] = "watched"
    looks: Annotated[int, Field(ge=1, le=50)] = 1
    treatments: Annotated[int, Field(ge=1, le=19)] = 1
    guardrails: Annotated[int, Field(ge=0, le=50)] = 0
    explained: Annotated[float, Field(ge=0, lt=1)] = 0.0
    units_per_day: Annotated[float, Field(ge=1e-3, le=1e12)] | None = None
    units: Annotated[int, Field(ge=2, le=10**12)] | None = None


class SizedView(View):
    """Units of all variants together, for how many days in whole weeks; and with `units`: what these would show.

    `inflation`: how many times the units of a test with one look the method needs.
    """

    units: int
    units_per_variant: int
    days: int | None
    inflation: float
    detectable_effect: float | None
    power: float | None


@router.post("/plan", response_model=SizedView, **needs("experiment:read"))
async def plan_experiment(body: PlanBody, caller: Asking) -> Sized:
    """Say how many units and days an experiment needs, or what a given number of units can show."""
    caller.must("experiment:read")
    wish = Wish(
        kind=body.kind,
        metric=Metric(body.baseline, body.variance or 0.0, body.explained),
        effect=body.effect,
        design=Design(
            alpha=body.alpha / body.treatments,
            power=body.power,
            sides=body.sides,
            kind=Kind(body.method),
            looks=body.looks,
        ),
        treatments=body.treatments,
        guardrails=body.guardrails,
        units_per_day=body.units_per_day,
        units=body.units,
    )
    # Fifty planned looks take a second or two, in which others want to be answered.
    return await asyncio.to_thread(sized, wish)


@router.get(
    "/{experiment}/results",
    response_model=ResultView,
    responses=OTHER_FORMS,
    **needs_somewhere("experiment:read"),
)
async def read_results(  # noqa: PLR0913 - each is a parameter of the query
    experiment: Named,
    caller: Asking,
    uses: Uses,
    request: Request,
    dimension: Dimension = "",
    plot: Plot = "forest",
    metric: Which = "",
    variant: Which = "",
) -> Any:  # noqa: ANN401
    """Return what is known: a sentence that says what to do and why, then the numbers, by `dimension` if asked for.

    `Accept: image/svg+xml` draws a `plot` (of a `metric` and `variant`), `text/csv` gives a table.
    """
    form = _form(request)
    if form == SVG:
        result, days = await uses.follow(caller, experiment)
        return Response(drawn(plot, result, days, metric, variant), media_type=SVG)
    result = await uses.read(caller, experiment)
    view = result_view(result)
    if form == CSV:
        return Response(table(view), media_type=f"{CSV}; charset=utf-8")
    if dimension:
        found = await uses.break_down(caller, experiment, dimension)
        view.breakdown = breakdown_view(result, found)
    return view


@router.get(
    "/{experiment}/results/timeseries",
    response_model=TimeseriesView,
    **needs_somewhere("experiment:read"),
)
async def read_timeseries(experiment: Named, caller: Asking, uses: Uses) -> TimeseriesView:
    """Return day by day what is known of the units that were exposed until then."""
    result, days = await uses.follow(caller, experiment)
    trial = result.trial
    return TimeseriesView(
        experiment_id=trial.id,
        experiment_key=trial.key,
        days=[day_view(result, part) for part in days],
    )


def _form(request: Request) -> str:
    """Return the form that is accepted and listed first; JSON unless a picture or a table is asked for."""
    for part in request.headers.get("accept", "").split(","):
        kind = part.partition(";")[0].strip().lower()
        if kind in (SVG, CSV):
            return kind
        if kind in ("application/json", "*/*", "application/*"):
            break
    return "application/json"
