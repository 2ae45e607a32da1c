"""What clients get of a result. Whatever is not known, such as the end of an unbounded interval, is null."""

from collections.abc import Sequence
from datetime import datetime
from math import isfinite
from uuid import UUID

from chassis.http import View
from experiments.domain.experiment import Status
from experiments.domain.inference.analysis import Comparison, Observed
from experiments.domain.inference.decision import to_pause
from experiments.domain.inference.fixed import Evidence
from experiments.domain.inference.intervals import Interval
from experiments.domain.inference.moments import D, Moments, Y
from experiments.domain.inference.plans import MetricPlan, Plan, Role
from experiments.domain.inference.quantiles import Ordered
from experiments.domain.result import Breakdown, Part, Result


class IntervalView(View):
    """Where a quantity may be."""

    low: float | None
    high: float | None


class EvidenceView(View):
    """What one method says: two-sided p-value, interval of the difference, and of the relative lift."""

    p_value: float
    difference: IntervalView
    lift: IntervalView


class ArmView(View):
    """One variant in one metric."""

    variant: str
    units: int
    value: float


class ComparisonView(View):
    """One treatment against control in one metric. `p_value` and both intervals are those of the method that decides.

    `harm_p_value` is always valid; `non_inferiority_p_value` there for a guardrail with a margin.
    """

    variant: str
    difference: float
    lift: float | None
    difference_interval: IntervalView
    lift_interval: IntervalView
    p_value: float
    significant: bool
    level: float
    chance_to_win: float
    expected_loss: float | None
    power: float | None
    harm_p_value: float
    non_inferiority_p_value: float | None
    state: str
    fixed: EvidenceView
    sequential: EvidenceView
    planned: EvidenceView | None


class MetricResultView(View):
    """One metric of all variants."""

    key: str
    role: Role
    more_is_better: bool
    margin: float
    arms: list[ArmView]
    comparisons: list[ComparisonView]


class SplitView(View):
    """Whether the traffic is split as planned, in all phases together."""

    wrong: bool
    p_value: float
    p_value_once: float
    seen: dict[str, int]
    expected: dict[str, float]


class DecisionView(View):
    """What to do: `ship`, `keep running`, `stop`, `do not ship` or `do not act`; in one sentence, and about whom."""

    verdict: str
    sentence: str
    variant: str | None


class BreakdownPartView(View):
    """The units with one value of a dimension."""

    value: str
    units: int
    metrics: list[MetricResultView]


class DiffersView(View):
    """Whether a metric has one effect in all values of a dimension (Cochran's Q): small `p_value`, it has not."""

    metric: str
    variant: str
    q: float
    p_value: float
    i2: float


class BreakdownView(View):
    """A result by the values of a dimension, those with most units first."""

    dimension: str
    parts: list[BreakdownPartView]
    heterogeneity: list[DiffersView]


class ResultView(View):
    """What is known of an experiment. `missing`: metrics it names that are not measured. `crossed`: units in none."""

    experiment_id: UUID
    experiment_key: str
    status: Status
    at: datetime
    decision: DecisionView
    method: str
    alpha: float
    plan_hash: str
    units: int
    planned_units: int | None
    crossed: int
    split: SplitView | None
    harmed_guardrails: list[str]
    metrics: list[MetricResultView]
    missing: list[str]
    dimensions: list[str] | None = None
    breakdown: BreakdownView | None = None


class PointView(View):
    """One treatment in one metric, by the end of a day."""

    metric: str
    variant: str
    difference: float
    lift: float | None
    difference_interval: IntervalView
    lift_interval: IntervalView


class DayView(View):
    """What is known now of the units that were exposed until the end of this day."""

    day: str
    units: dict[str, int]
    points: list[PointView]


class TimeseriesView(View):
    """A result as its units came in."""

    experiment_id: UUID
    experiment_key: str
    days: list[DayView]


def result_view(result: Result) -> ResultView:
    """Return what clients get of a result. Before there are data there are no numbers in it."""
    trial, decision, seen = result.trial, result.decision, result.observed
    return ResultView(
        experiment_id=trial.id,
        experiment_key=trial.key,
        status=trial.status,
        at=result.at,
        decision=DecisionView(
            verdict=decision.verdict.value, sentence=decision.sentence, variant=decision.variant
        ),
        method=result.plan.method.value,
        alpha=result.plan.alpha,
        plan_hash=trial.plan_hash,
        units=seen.units,
        planned_units=result.plan.units or None,
        crossed=seen.crossed,
        split=_split(result) if seen.units else None,
        harmed_guardrails=[
            f"{metric} in {variant}"
            for variant, metric in to_pause(result.plan, result.comparisons)
        ],
        metrics=metric_views(result.plan, seen, result.comparisons),
        missing=list(result.missing),
    )


def breakdown_view(plan: Plan, breakdown: Breakdown) -> BreakdownView:
    """Return what clients get of a breakdown."""
    return BreakdownView(
        dimension=breakdown.dimension,
        parts=[
            BreakdownPartView(
                value=part.value,
                units=part.observed.units,
                metrics=metric_views(plan, part.observed, part.comparisons),
            )
            for part in breakdown.parts
        ],
        heterogeneity=[
            DiffersView(metric=metric, variant=variant, q=it.q, p_value=it.p, i2=it.i2)
            for (metric, variant), it in breakdown.differs.items()
        ],
    )


def metric_views(plan: Plan, seen: Observed, found: Sequence[Comparison]) -> list[MetricResultView]:
    """Return the metrics that have been observed."""
    return [_metric(plan, it, seen, found) for it in plan.metrics if it.key in seen.metrics]


def day_view(result: Result, part: Part) -> DayView:
    """Return what clients get of a day."""
    totals = map(sum, zip(*(phase.seen for phase in part.observed.phases), strict=True))
    return DayView(
        day=part.value,
        units=dict(zip(result.trial.variants, totals, strict=False)),
        points=[_point(result.plan, c) for c in part.comparisons],
    )


def _point(plan: Plan, c: Comparison) -> PointView:
    evidence = c.deciding(plan.method)
    return PointView(
        metric=c.metric.key,
        variant=c.variant,
        difference=c.contrast.difference,
        lift=c.contrast.lift,
        difference_interval=_interval(evidence.difference),
        lift_interval=_interval(evidence.lift),
    )


def _metric(
    plan: Plan, metric: MetricPlan, seen: Observed, found: Sequence[Comparison]
) -> MetricResultView:
    arms = zip(seen.variants, seen.metrics[metric.key], strict=True)
    return MetricResultView(
        key=metric.key,
        role=metric.role,
        more_is_better=metric.more_is_better,
        margin=metric.margin,
        arms=[ArmView(variant=v, units=a.n, value=_value(metric, a)) for v, a in arms],
        comparisons=[_comparison(plan, c) for c in found if c.metric.key == metric.key],
    )


def _value(metric: MetricPlan, arm: Moments | Ordered) -> float:
    if isinstance(arm, Ordered):
        return arm.quantile(metric.quantile or 0.5)
    return arm.mean[Y] / arm.mean[D] if arm.mean[D] else 0.0


def _comparison(plan: Plan, c: Comparison) -> ComparisonView:
    evidence = c.deciding(plan.method)
    guarded = c.metric.role is Role.GUARDRAIL and c.metric.margin > 0
    return ComparisonView(
        variant=c.variant,
        difference=c.contrast.difference,
        lift=c.contrast.lift,
        difference_interval=_interval(evidence.difference),
        lift_interval=_interval(evidence.lift),
        p_value=evidence.p,
        significant=evidence.p <= c.level,
        level=c.level,
        chance_to_win=c.belief.chance if c.metric.more_is_better else 1 - c.belief.chance,
        expected_loss=_known(c.belief.risk),
        power=c.power,
        harm_p_value=c.worse,
        non_inferiority_p_value=c.unharmed if guarded else None,
        state=_state(plan, c, guarded=guarded),
        fixed=_evidence(c.once),
        sequential=_evidence(c.always),
        planned=_evidence(c.planned) if plan.method == "grouped" else None,
    )


def _state(plan: Plan, c: Comparison, *, guarded: bool) -> str:
    """Say a comparison in a word."""
    if c.worse <= plan.harm_alpha:
        return "harmed"
    if c.deciding(plan.method).p <= c.level:
        return "better" if c.gain > 0 else "worse"
    if guarded:
        return "not inferior" if c.unharmed <= plan.alpha else "unproven"
    return "open"


def _split(result: Result) -> SplitView:
    seen, expected = [0.0] * len(result.trial.variants), [0.0] * len(result.trial.variants)
    for phase in result.observed.phases:
        for at, (units, weight) in enumerate(zip(phase.seen, phase.weights, strict=True)):
            seen[at] += units
            expected[at] += sum(phase.seen) * weight / (sum(phase.weights) or 1)
    split = result.decision.split
    return SplitView(
        wrong=split.wrong,
        p_value=split.p,
        p_value_once=split.p_once,
        seen={v: round(n) for v, n in zip(result.trial.variants, seen, strict=True)},
        expected=dict(zip(result.trial.variants, expected, strict=True)),
    )


def _evidence(evidence: Evidence) -> EvidenceView:
    return EvidenceView(
        p_value=evidence.p,
        difference=_interval(evidence.difference),
        lift=_interval(evidence.lift),
    )


def _interval(interval: Interval) -> IntervalView:
    return IntervalView(low=_known(interval.low), high=_known(interval.high))


def _known(value: float) -> float | None:
    return value if isfinite(value) else None
