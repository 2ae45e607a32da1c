"""What clients of experiments send and get."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Path
from pydantic import Field, JsonValue, StringConstraints

from chassis.http import Body, Expected, Page, View
from experiments.api.plan_views import (
    KEY,
    AnalysisBody,
    AnalysisView,
    Key,
    MetricUseBody,
    MetricUseView,
    PlacesBody,
    PlacesView,
    PlanState,
    places_view,
    plan_state,
    targeting_view,
)
from experiments.domain.analysis import MOST_METRICS
from experiments.domain.experiment import WHOLE, Experiment, Status, Variant
from experiments.domain.schedule import Moment
from experiments.usecases.experiments import Intent

FLAG_KEY = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$"
# A date with or without an offset; years far from ours would overflow when moved between zones.
DATE = r"^2\d{3}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?([Zz]|[+-]\d{2}:\d{2})?$"


FlagKey = Annotated[str, StringConstraints(pattern=FLAG_KEY, max_length=100)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Prose = Annotated[str, StringConstraints(max_length=4000)]
Reason = Annotated[str, StringConstraints(max_length=1000)]
Unit = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=100)]
DateText = Annotated[str, StringConstraints(pattern=DATE, max_length=40)]
ZoneName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+/-]+$", max_length=64)]
FlagVariant = Annotated[str, StringConstraints(max_length=100)]
Named = Annotated[str, Path(pattern=KEY, max_length=100, description="id or key")]


async def _aim(experiment: Named, expected: Expected) -> Intent:
    return Intent(experiment=experiment, version=expected)


Aimed = Annotated[Intent, Depends(_aim)]


class ExperimentVariantBody(Body):
    """One thing compared; the first of a list is the control. Weights are thousandths of a percent.

    `serves`: the flag's variant; unless said the one of the same key, or `off` and `on` of a boolean flag.
    """

    key: Key
    weight: Annotated[int, Field(ge=0, le=WHOLE)]
    serves: FlagVariant = ""

    def variant(self) -> Variant:
        """Return the variant that is meant."""
        return Variant(self.key, self.weight, self.serves)


Variants = Annotated[list[ExperimentVariantBody], Field(min_length=2, max_length=20)]
Traffic = Annotated[int, Field(ge=0, le=WHOLE, description="thousandths of a percent")]
Targeting = Annotated[
    dict[str, JsonValue],
    Field(min_length=1, max_length=10, description="who can be in it: a condition of flags' rules"),
]
Metrics = Annotated[list[MetricUseBody], Field(max_length=MOST_METRICS)]
MetricKeys = Annotated[
    list[Key], Field(max_length=MOST_METRICS, description="metrics of which one must become better")
]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50)]
Tags = Annotated[list[Tag], Field(max_length=20)]


class ExperimentBody(Body):
    """A new experiment: on the boolean flag of its own key, control against treatment, half and half, unless said."""

    key: Key
    name: Name
    description: Prose = ""
    hypothesis: Prose = ""
    unit: Unit = "targetingKey"
    project: Key = "default"
    environment: Key = "production"
    flag_key: FlagKey | None = None
    variants: Variants | None = None
    traffic: Traffic = WHOLE
    targeting: Targeting | None = None
    layer: PlacesBody | None = None
    metrics: Metrics = Field(default_factory=list[MetricUseBody])
    metric_keys: MetricKeys = Field(default_factory=list[str])
    analysis: AnalysisBody = Field(default_factory=AnalysisBody)
    tags: Tags = Field(default_factory=list[str])


class ExperimentPatch(Body):
    """What is to change; what is not said stays."""

    name: Name = Field(default_factory=str)
    description: Prose = Field(default_factory=str)
    hypothesis: Prose = Field(default_factory=str)
    unit: Unit = Field(default_factory=str)
    project: Key = Field(default_factory=str)
    environment: Key = Field(default_factory=str)
    flag_key: FlagKey = Field(default_factory=str)
    variants: Variants = Field(default_factory=list[ExperimentVariantBody])
    traffic: Traffic = WHOLE
    targeting: Targeting | None = None
    layer: PlacesBody | None = None
    metrics: Metrics = Field(default_factory=list[MetricUseBody])
    metric_keys: MetricKeys = Field(default_factory=list[str])
    analysis: AnalysisBody = Field(default_factory=AnalysisBody)
    tags: Tags = Field(default_factory=list[str])
    reason: Reason = Field(default_factory=str)


class MoveBody(Body):
    """Why, for the audit log."""

    reason: Reason = ""


class ScheduleBody(Body):
    """When to begin and to end. A date without an offset is what a clock in `time_zone` shows then.

    `fold` says which of two is meant where the clocks show a time twice.
    """

    start_date: DateText | None = None
    end_date: DateText | None = None
    time_zone: ZoneName = "UTC"
    fold: Literal["first", "second"] | None = None
    reason: Reason = ""


class ExperimentVariantView(View):
    """One thing compared, and its share in thousandths of a percent."""

    key: str
    weight: int
    serves: str | None
    is_control: bool


class ExperimentView(View):
    """An experiment as it is now. Dates are instants; `…_local` is what the clocks of `time_zone` show then."""

    id: UUID
    key: str
    name: str
    description: str
    hypothesis: str
    status: Status
    owner_id: str
    tags: list[str]
    unit: str
    project: str
    environment: str
    flag_key: str
    variants: list[ExperimentVariantView]
    traffic: int
    targeting: dict[str, JsonValue] | None
    layer: PlacesView | None
    metrics: list[MetricUseView]
    analysis: AnalysisView
    plan_hash: str | None
    plan: PlanState
    phase: int
    start_date: datetime | None
    end_date: datetime | None
    time_zone: str | None
    start_local: str | None
    end_local: str | None
    started_at: datetime | None
    completed_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


class MovedView(ExperimentView):
    """An experiment after a move. `warnings`: what keeps it from being seen, such as a flag that is disabled."""

    warnings: list[str]


class ExperimentPage(Page[ExperimentView]):
    """A part of a list of experiments: numbered (`total`, `page`, `limit`) or by cursor (`has_more`)."""


class ScheduledMoveView(View):
    """A move that a schedule made: which experiment, what happened, and when it took effect."""

    experiment_id: UUID
    key: str
    move: str
    status: Status
    at: datetime


class ProcessedView(View):
    """What a run of the scheduler wrote down."""

    processed: int
    moves: list[ScheduledMoveView]


def experiment_view(experiment: Experiment) -> ExperimentView:
    """Return what clients get of a settled experiment."""
    schedule = experiment.schedule
    start, end = (schedule.start, schedule.end) if schedule else (None, None)
    return ExperimentView(
        id=experiment.id,
        key=experiment.key,
        name=experiment.name,
        description=experiment.description,
        hypothesis=experiment.hypothesis,
        status=experiment.status,
        owner_id=experiment.owner_id,
        tags=list(experiment.tags),
        unit=experiment.unit,
        project=experiment.project,
        environment=experiment.environment,
        flag_key=experiment.flag_key,
        variants=_variants(experiment),
        traffic=experiment.traffic,
        targeting=targeting_view(experiment.targeting),
        layer=places_view(experiment),
        metrics=[MetricUseView.model_validate(metric) for metric in experiment.metrics],
        analysis=AnalysisView.model_validate(experiment.analysis),
        plan_hash=experiment.plan_hash or None,
        plan=plan_state(experiment),
        phase=experiment.phase,
        start_date=start.at if start else None,
        end_date=end.at if end else None,
        time_zone=schedule.zone if schedule else None,
        start_local=_local(start),
        end_local=_local(end),
        started_at=experiment.started_at,
        completed_at=experiment.completed_at,
        version=experiment.version,
        created_at=experiment.created_at.astimezone(UTC),
        updated_at=experiment.updated_at.astimezone(UTC),
    )


def _variants(experiment: Experiment) -> list[ExperimentVariantView]:
    return [
        ExperimentVariantView(
            key=variant.key,
            weight=variant.weight,
            serves=variant.serves or None,
            is_control=place == 0,
        )
        for place, variant in enumerate(experiment.variants)
    ]


def _local(moment: Moment | None) -> str | None:
    return moment.wall.isoformat() if moment else None
