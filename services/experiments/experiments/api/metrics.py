"""The REST doors of metrics."""

from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends, Path, Request, Response

from chassis.http import (
    TAGGED,
    Asking,
    Expected,
    Paging,
    doors,
    given,
    needs,
    needs_somewhere,
    tagged,
)
from experiments.api.experiments import Search, Sort
from experiments.api.metric_views import (
    MetricBody,
    MetricFields,
    MetricPage,
    MetricPatch,
    MetricView,
    metric_view,
)
from experiments.api.views import KEY
from experiments.domain.metric import (
    Definition,
    Denominator,
    Metric,
    MetricChanges,
    MetricKind,
    Winsorised,
)
from experiments.ports import WantedMetrics
from experiments.usecases.metrics import MetricDraft, MetricIntent, Metrics

PREFIX = "/api/v1/metrics"
router = doors(PREFIX, "metrics")
Uses = Annotated[Metrics, given(Metrics)]
Named = Annotated[str, Path(pattern=KEY, max_length=100, description="id or key")]


async def _aim(metric: Named, expected: Expected) -> MetricIntent:
    return MetricIntent(metric=metric, version=expected)


Aimed = Annotated[MetricIntent, Depends(_aim)]


@router.post("", status_code=201, response_model=MetricView, **needs("metric:create"))
async def create_metric(
    body: MetricBody, caller: Asking, uses: Uses, request: Request, response: Response
) -> MetricView:
    """Make a metric."""
    definition = Definition(kind=body.kind, **_said(body, set(MetricFields.model_fields)))
    draft = MetricDraft(
        key=body.key, name=body.name, description=body.description, definition=definition
    )
    made = await uses.create(caller, draft)
    response.headers["location"] = f"{PREFIX}/{made.id}"
    return _shown(made, request, response)


@router.get(
    "",
    response_model=MetricPage,
    response_model_exclude_unset=True,
    **needs_somewhere("metric:read"),
)
async def list_metrics(
    caller: Asking,
    uses: Uses,
    pager: Paging,
    search: Search = "",
    kind: MetricKind | None = None,
    sort: Sort = "-created_at",
) -> Any:  # noqa: ANN401
    """List the tenant's metrics, the newest first unless said."""
    wanted = WantedMetrics(ask=pager.ask, search=search, kind=kind, sort=sort)
    return pager.render(await uses.list(caller, wanted), metric_view)


@router.get(
    "/{metric}", response_model=MetricView, responses=TAGGED, **needs_somewhere("metric:read")
)
async def read_metric(
    metric: Named, caller: Asking, uses: Uses, request: Request, response: Response
) -> Any:  # noqa: ANN401
    """Return one metric."""
    found = await uses.read(caller, metric)
    if tagged(response, request, found.version):
        return Response(status_code=304, headers=dict(response.headers))
    return metric_view(found)


@router.patch("/{metric}", response_model=MetricView, **needs_somewhere("metric:update"))
async def update_metric(
    aimed: Aimed,
    body: MetricPatch,
    caller: Asking,
    uses: Uses,
    request: Request,
    response: Response,
) -> MetricView:
    """Change what the body says; experiments that have data already keep the old definition."""
    intent = replace(aimed, reason=body.reason)

    def change(metric: Metric) -> MetricChanges:
        return _changes(metric, body)

    return _shown(await uses.update(caller, intent, change), request, response)


@router.delete("/{metric}", status_code=204, **needs_somewhere("metric:delete"))
async def delete_metric(aimed: Aimed, caller: Asking, uses: Uses) -> None:
    """Forget a metric; refused while a running experiment measures it."""
    await uses.delete(caller, aimed)


def _changes(metric: Metric, body: MetricPatch) -> MetricChanges:
    said = body.model_fields_set
    words: Any = {name: getattr(body, name) for name in said & {"name", "description"}}
    more = _said(body, said)
    if "kind" in said:
        more["kind"] = body.kind
    made: Any = {**words, "definition": replace(metric.definition, **more)}
    return made


def _said(body: MetricFields, names: set[str]) -> dict[str, Any]:
    """Return the parts of a definition that a body says, among these fields."""
    made: dict[str, Any] = {
        name: getattr(body, name) for name in names & {"lookback", "quantile", "more_is_better"}
    }
    if "event" in names:
        made["event"] = body.event or ""
    if "steps" in names:
        made["steps"] = tuple(body.steps)
    if "window" in names:
        made |= {"window_after": body.window.after, "window_length": body.window.length}
    if "cap" in names:
        made |= {"low": body.cap.low, "high": body.cap.high}
    if "denominator" in names:
        it = body.denominator
        made["denominator"] = Denominator(it.event, it.summed) if it else None
    if "winsorize" in names:
        cut = body.winsorize
        made["winsorised"] = Winsorised(cut.low, cut.high) if cut else None
    return made


def _shown(metric: Metric, request: Request, response: Response) -> MetricView:
    tagged(response, request, metric.version)
    return metric_view(metric)
