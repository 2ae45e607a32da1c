"""What the data of an experiment are held against: its variants, the spans in which it ran, and its frozen metrics."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from experiments.domain.analysis import Analysis, MetricRole, MetricUse
from experiments.domain.experiment import Status
from experiments.domain.inference.moments import Moments
from experiments.domain.inference.plans import MetricPlan, Plan, Role
from experiments.domain.metric import WHETHER, Definition

_ROLES = {
    MetricRole.SUCCESS: Role.SUCCESS,
    MetricRole.GUARDRAIL: Role.GUARDRAIL,
    MetricRole.DETERIORATION: Role.GUARDRAIL,  # a guardrail without a margin: only not shown to be worse
    MetricRole.INFORMATION: Role.INFORMATION,
}
GUARDED = [role.value for role, meaning in _ROLES.items() if meaning is Role.GUARDRAIL]


@dataclass(frozen=True, slots=True)
class Span:
    """A phase as the data see it: [start, end), and the weight of each variant in order."""

    number: int
    start: datetime
    end: datetime | None
    weights: tuple[int, ...]

    def holds(self, at: datetime) -> bool:
        """Tell whether the phase ran then."""
        return self.start <= at and (self.end is None or at < self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """An experiment as its data see it. The first variant is the control; `plan_hash` is that of its start.

    What units do from `closes` on does not count (None: there is no end yet).
    """

    id: UUID
    tenant: UUID
    key: str
    owner_id: str
    status: Status
    variants: tuple[str, ...]
    spans: tuple[Span, ...]
    uses: tuple[MetricUse, ...]
    analysis: Analysis
    project: str = "default"
    environment: str = "production"
    plan_hash: str = ""
    closes: datetime | None = None

    def span_at(self, at: datetime) -> Span | None:
        """Return the phase that ran at a time."""
        return next((span for span in reversed(self.spans) if span.holds(at)), None)

    @property
    def guardrails(self) -> list[str]:
        """Return the keys of the metrics that must not be harmed, measured or not."""
        return [use.key for use in self.uses if _ROLES[use.role] is Role.GUARDRAIL]

    @property
    def over(self) -> bool:
        """Whether no more units will come."""
        return self.status in (Status.COMPLETED, Status.ARCHIVED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A metric as an experiment began with it: its number there (from 1), its key, and its definition then."""

    number: int
    key: str
    definition: Definition


@dataclass(frozen=True, slots=True)
class Cell:
    """The moments of the units of one variant (its place; -1: seen in several) in one phase, with one value of a slice.

    Metric 0 is the exposure itself. `bucket` is that of the unit's value where a metric keeps them apart, else 0.
    """

    metric: int
    phase: int
    variant: int
    value: str
    bucket: int
    moments: Moments


def plan(trial: Trial, metrics: Sequence[Frozen]) -> Plan:
    """Return the plan of the analysis: what was said before the start, over the metrics that are measured."""
    uses = {use.key: use for use in trial.uses}
    said = trial.analysis
    return Plan(
        metrics=tuple(_planned(m, uses.get(m.key, MetricUse(key=m.key))) for m in metrics),
        alpha=said.alpha,
        harm_alpha=said.harm_alpha,
        method=said.method,
        correction=said.correction,
        spending=said.spending,
        looks=said.looks,
        units=said.units,
        burn_in=said.burn_in,
    )


def _planned(metric: Frozen, use: MetricUse) -> MetricPlan:
    it = metric.definition
    better = it.more_is_better if use.more_is_better is None else use.more_is_better
    return MetricPlan(
        key=metric.key,
        role=_ROLES[use.role],
        more_is_better=better,
        margin=use.margin,
        effect=use.effect,
        weight=use.weight,
        adjustment=use.adjustment,
        proportion=it.kind in WHETHER,
        quantile=it.quantile,
    )
