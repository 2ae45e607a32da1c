"""What clients of metrics send and get."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, StringConstraints

from chassis.http import Body, Page, View
from experiments.api.views import Key, Name, Prose, Reason
from experiments.domain.metric import LONGEST, MOST_STEPS, Metric, MetricKind

EventName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_$][A-Za-z0-9_.:/$ -]*$", max_length=100)
]
Seconds = Annotated[int, Field(ge=0, le=LONGEST)]
Amount = Annotated[float, Field(ge=-1e18, le=1e18)]
Kind = Annotated[MetricKind, Field(strict=False)]


class DenominatorBody(Body):
    """The events under a ratio: counted, or with `summed` their values added up."""

    event: EventName
    summed: bool = False


class WindowBody(Body):
    """The seconds after the first exposure in which events count: from `after`, for `length` (null: without end)."""

    after: Seconds = 0
    length: Annotated[int, Field(gt=0, le=LONGEST)] | None = None


class CapBody(Body):
    """What one unit's value is raised and cut to."""

    low: Amount | None = None
    high: Amount | None = None


class WinsorizeBody(Body):
    """The shares of all units at whose values smaller and larger ones are cut."""

    low: Annotated[float, Field(ge=0, lt=1)] = 0.0
    high: Annotated[float, Field(gt=0, le=1)] = 1.0


class MetricFields(Body):
    """How a metric is measured. `lookback`: the seconds before the exposure whose events make the covariate."""

    description: Prose = ""
    event: EventName | None = None
    steps: Annotated[list[EventName], Field(max_length=MOST_STEPS)] = Field(
        default_factory=list[str]
    )
    denominator: DenominatorBody | None = None
    window: WindowBody = Field(default_factory=WindowBody)
    lookback: Seconds = 0
    cap: CapBody = Field(default_factory=CapBody)
    winsorize: WinsorizeBody | None = None
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = None
    more_is_better: bool = True


class MetricBody(MetricFields):
    """A new metric: `{key, name, kind, event}` at least."""

    key: Key
    name: Name
    kind: Kind


class MetricPatch(MetricFields):
    """What is to change; what is not said stays. Experiments that have data go on measuring what they began with."""

    name: Name = Field(default_factory=str)
    kind: Kind = MetricKind.PROPORTION
    reason: Reason = ""


class DenominatorView(View):
    """The events under a ratio."""

    event: str
    summed: bool


class WindowView(View):
    """The seconds after the first exposure in which events count."""

    after: int
    length: int | None


class CapView(View):
    """What one unit's value is raised and cut to."""

    low: float | None
    high: float | None


class WinsorizeView(View):
    """The shares of all units at whose values others are cut."""

    low: float
    high: float


class MetricView(View):
    """A metric."""

    id: UUID
    key: str
    name: str
    description: str
    owner_id: str
    kind: MetricKind
    event: str | None
    steps: list[str]
    denominator: DenominatorView | None
    window: WindowView
    lookback: int
    cap: CapView
    winsorize: WinsorizeView | None
    quantile: float | None
    more_is_better: bool
    version: int
    created_at: datetime
    updated_at: datetime


class MetricPage(Page[MetricView]):
    """A part of a list of metrics: numbered (`total`, `page`, `limit`) or by cursor (`has_more`)."""


def metric_view(metric: Metric) -> MetricView:
    """Return what clients get of a metric."""
    it = metric.definition
    return MetricView(
        id=metric.id,
        key=metric.key,
        name=metric.name,
        description=metric.description,
        owner_id=metric.owner_id,
        kind=it.kind,
        event=it.event or None,
        steps=list(it.steps),
        denominator=DenominatorView.model_validate(it.denominator) if it.denominator else None,
        window=WindowView(after=it.window_after, length=it.window_length),
        lookback=it.lookback,
        cap=CapView(low=it.low, high=it.high),
        winsorize=WinsorizeView.model_validate(it.winsorised) if it.winsorised else None,
        quantile=it.quantile,
        more_is_better=it.more_is_better,
        version=metric.version,
        created_at=metric.created_at,
        updated_at=metric.updated_at,
    )
