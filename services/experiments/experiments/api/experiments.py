"""The REST doors of experiments."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, cast

from fastapi import Query, Request, Response

from chassis.caller import Caller
from chassis.http import TAGGED, Asking, Paging, doors, given, needs_somewhere, tagged
from experiments.api.views import (
    KEY,
    Aimed,
    ExperimentBody,
    ExperimentPage,
    ExperimentPatch,
    ExperimentView,
    MoveBody,
    MovedView,
    Named,
    experiment_view,
)
from experiments.domain.analysis import MetricUse
from experiments.domain.experiment import EVEN, Changes, Experiment, Status
from experiments.domain.layers import Slot
from experiments.domain.moves import MOVES
from experiments.ports import Wanted
from experiments.usecases.experiments import Draft, Experiments

PREFIX = "/api/v1/experiments"
router = doors(PREFIX, "experiments")
Uses = Annotated[Experiments, given(Experiments)]
# PostgreSQL holds no NUL, so nothing with one in it can be found.
Search = Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$")]
Place = Annotated[str, Query(max_length=100, pattern=f"^$|{KEY}")]
_TRANSLATED = {"reason", "variants", "metrics", "metric_keys", "analysis", "tags", "layer"}
Sort = Literal[
    "created_at", "-created_at", "updated_at", "-updated_at", "key", "-key", "name", "-name"
]


@router.post(
    "", status_code=201, response_model=ExperimentView, **needs_somewhere("experiment:create")
)
async def create_experiment(
    body: ExperimentBody, caller: Asking, uses: Uses, request: Request, response: Response
) -> ExperimentView:
    """Make an experiment in DRAFT; where no project or environment is said, in those that the API key is bound to."""
    made = await uses.create(caller, _draft(body, caller))
    response.headers["location"] = f"{PREFIX}/{made.id}"
    return shown(made, request, response)


@router.get(
    "",
    response_model=ExperimentPage,
    response_model_exclude_unset=True,
    **needs_somewhere("experiment:read"),
)
async def list_experiments(  # noqa: PLR0913 - each is a parameter of the query
    caller: Asking,
    uses: Uses,
    pager: Paging,
    search: Search = "",
    status: Status | None = None,
    project: Place = "",
    environment: Place = "",
    sort: Sort = "-created_at",
) -> Any:  # noqa: ANN401
    """List the tenant's experiments, the newest first unless said; of one's own projects if not of all."""
    wanted = Wanted(
        ask=pager.ask,
        now=datetime.now(UTC),
        search=search,
        status=status,
        project=project,
        environment=environment,
        sort=sort,
    )
    return pager.render(await uses.list(caller, wanted), experiment_view)


@router.get(
    "/{experiment}",
    response_model=ExperimentView,
    responses=TAGGED,
    **needs_somewhere("experiment:read"),
)
async def read_experiment(
    experiment: Named, caller: Asking, uses: Uses, request: Request, response: Response
) -> Any:  # noqa: ANN401
    """Return one experiment, as the clock has it now."""
    found = await uses.read(caller, experiment)
    if tagged(response, request, found.version):
        return Response(status_code=304, headers=dict(response.headers))
    return experiment_view(found)


@router.patch(
    "/{experiment}", response_model=ExperimentView, **needs_somewhere("experiment:update")
)
async def update_experiment(
    aimed: Aimed,
    body: ExperimentPatch,
    caller: Asking,
    uses: Uses,
    request: Request,
    response: Response,
) -> ExperimentView:
    """Change what the body says; unit, flag and the variants' keys only in DRAFT. In ACTIVE that may begin a phase."""
    intent = replace(aimed, reason=body.reason)
    slot = await uses.place(caller, body.layer.places()) if body.layer else None
    return shown(await uses.update(caller, intent, _changes(body, slot)), request, response)


@router.delete("/{experiment}", status_code=204, **needs_somewhere("experiment:delete"))
async def delete_experiment(aimed: Aimed, caller: Asking, uses: Uses) -> None:
    """Forget an experiment that is in DRAFT or ARCHIVED."""
    await uses.delete(caller, aimed)


def _move_door(name: str) -> Callable[..., Coroutine[Any, Any, MovedView]]:
    async def move(
        aimed: Aimed,
        caller: Asking,
        uses: Uses,
        request: Request,
        response: Response,
        body: MoveBody | None = None,
    ) -> MovedView:
        intent = replace(aimed, reason=body.reason if body else "")
        done = await uses.move(caller, intent, name)
        view = shown(done.experiment, request, response)
        return MovedView(**dict(view), warnings=list(done.warnings))

    return move


for _name, _move in MOVES.items():
    router.add_api_route(
        f"/{{experiment}}/{_name}",
        _move_door(_name),
        methods=["POST"],
        name=f"{_name}_experiment",
        description=f"Make an experiment {_move.to} that is {' or '.join(sorted(_move.come_from))}.",
        response_model=MovedView,
        **needs_somewhere("experiment:update"),
    )


def shown(experiment: Experiment, request: Request, response: Response) -> ExperimentView:
    """Return the view of an experiment and put its ETag on the response."""
    tagged(response, request, experiment.version)
    return experiment_view(experiment)


def _draft(body: ExperimentBody, caller: Caller) -> Draft:
    named = body.model_fields_set
    return Draft(
        key=body.key,
        name=body.name,
        description=body.description,
        hypothesis=body.hypothesis,
        unit=body.unit,
        project=body.project if "project" in named else caller.project or body.project,
        environment=body.environment
        if "environment" in named
        else caller.environment or body.environment,
        flag_key=body.flag_key or "",
        variants=tuple(v.variant() for v in body.variants) if body.variants else EVEN,
        traffic=body.traffic,
        targeting=body.targeting,
        places=body.layer.places() if body.layer else None,
        metrics=_metrics(body),
        analysis=body.analysis.analysis(),
        tags=tuple(body.tags),
    )


def _changes(body: ExperimentPatch, slot: Slot | None) -> Changes:
    said = {name: getattr(body, name) for name in body.model_fields_set - _TRANSLATED}
    named = body.model_fields_set
    if "variants" in named:
        said["variants"] = tuple(v.variant() for v in body.variants)
    if named & {"metrics", "metric_keys"}:
        said["metrics"] = _metrics(body)
    if "analysis" in named:
        said["analysis"] = body.analysis.analysis()
    if "tags" in named:
        said["tags"] = tuple(body.tags)
    if "layer" in named:
        said["slot"] = slot
    return cast("Changes", said)


def _metrics(body: ExperimentBody | ExperimentPatch) -> tuple[MetricUse, ...]:
    """Return the metrics that are named, those that are only named by their key last."""
    uses = tuple(metric.use() for metric in body.metrics)
    return uses + tuple(MetricUse(key=key) for key in body.metric_keys)
