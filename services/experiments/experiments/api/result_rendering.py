"""From a result to what clients get of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from chassis.caller import Caller
from experiments.api.result_views import (
    ArmView,
    BreakdownPartView,
    BreakdownView,
    ComparisonView,
    DayView,
    DecisionView,
    DiffersView,
    EvidenceView,
    IntervalView,
    MetricResultView,
    PointView,
    ResultView,
    SplitView,
)
from experiments.domain.inference.analysis import Comparison, Observed
from experiments.domain.inference.fixed import Evidence
from experiments.domain.inference.intervals import Interval
from experiments.domain.inference.judgement import Judgement, judged, to_pause
from experiments.domain.inference.moments import D, Moments, Y
from experiments.domain.inference.plans import MetricPlan, Plan, Role
from experiments.domain.inference.quantiles import Ordered
from experiments.domain.intake import REST
from experiments.domain.result import Breakdown, Part, Result
from experiments.usecases.results import Results


@dataclass(frozen=True, slots=True)
class Documents:
    """Results as JSON has them, to be saved in reports."""

    results: Results

    async def document(self, caller: Caller, experiment: str) -> Mapping[str, Any]:
        """Return the result of an experiment (id or key) as JSON has it, as the caller may read it."""
        return result_view(await self.results.read(caller, experiment)).model_dump(mode="json")


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
        metrics=metric_views(decision.judgement, seen, result.comparisons),
        missing=list(result.missing),
        correction=result.plan.correction.value,
        closes_at=trial.closes,
    )


def breakdown_view(result: Result, breakdown: Breakdown) -> BreakdownView:
    """Return what clients get of a breakdown. A part is heard when the whole is."""
    plan, speaks = result.plan, result.decision.judgement.speaks
    return BreakdownView(
        dimension=breakdown.dimension,
        parts=[
            BreakdownPartView(
                value=part.value,
                rest=part.value == REST,
                units=part.observed.units,
                metrics=metric_views(
                    judged(plan, part.comparisons, speaks=speaks), part.observed, part.comparisons
                ),
            )
            for part in breakdown.parts
        ],
        heterogeneity=[
            DiffersView(metric=metric, variant=variant, q=it.q, p_value=it.p, i2=it.i2)
            for (metric, variant), it in breakdown.differs.items()
        ],
    )


def metric_views(
    said: Judgement, seen: Observed, found: Sequence[Comparison]
) -> list[MetricResultView]:
    """Return the metrics that have been observed."""
    return [_metric(said, it, seen, found) for it in said.plan.metrics if it.key in seen.metrics]


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
        difference=_shown(c, c.contrast.difference),
        lift=_shown(c, c.contrast.lift),
        difference_interval=_interval(evidence.difference),
        lift_interval=_interval(evidence.lift),
    )


def _metric(
    said: Judgement, metric: MetricPlan, seen: Observed, found: Sequence[Comparison]
) -> MetricResultView:
    arms = zip(seen.variants, seen.metrics[metric.key], strict=True)
    return MetricResultView(
        key=metric.key,
        role=metric.role,
        more_is_better=metric.more_is_better,
        margin=metric.margin,
        arms=[
            ArmView(variant=v, units=a.n, value=_value(metric, a) if a.n else None) for v, a in arms
        ],
        comparisons=[_comparison(said, c) for c in found if c.metric.key == metric.key],
    )


def _value(metric: MetricPlan, arm: Moments | Ordered) -> float:
    if isinstance(arm, Ordered):
        return arm.quantile(metric.quantile or 0.5)
    return arm.mean[Y] / arm.mean[D] if arm.mean[D] else 0.0


def _comparison(said: Judgement, c: Comparison) -> ComparisonView:
    plan = said.plan
    evidence = c.deciding(plan.method)
    guarded = c.metric.role is Role.GUARDRAIL and c.metric.margin > 0
    return ComparisonView(
        variant=c.variant,
        difference=_shown(c, c.contrast.difference),
        lift=_shown(c, c.contrast.lift),
        difference_interval=_interval(evidence.difference),
        lift_interval=_interval(evidence.lift),
        p_value=evidence.p,
        significant=said.significant(c),
        level=c.level,
        chance_to_win=_shown(c, _chance(c)),
        expected_loss=_shown(c, _known(c.belief.risk)),
        power=c.power,
        harm_p_value=c.worse,
        non_inferiority_p_value=c.unharmed if guarded else None,
        state=said.state(c),
        fixed=_evidence(c.once),
        sequential=_evidence(c.always),
        planned=_evidence(c.planned) if plan.method == "grouped" else None,
    )


def _shown(c: Comparison, number: float | None) -> float | None:
    """Return a number, if there is anybody to compare: a mean over nobody is 0, which is no result."""
    return number if min(c.contrast.n_treated, c.contrast.n_control) > 0 else None


def _chance(c: Comparison) -> float:
    return c.belief.chance if c.metric.more_is_better else 1 - c.belief.chance


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
