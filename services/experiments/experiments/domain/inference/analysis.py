"""Everything that is said about every metric and treatment: the three views of one contrast, complete.

Pure: from a plan and what was observed to `Comparison`s. `decision` reads them; doors and plots show them. Values are
shown as they are; tests are made on the contrast turned so that more is better.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.domain.inference import contrasts, fixed, grouped, posterior, quantiles, sequences
from experiments.domain.inference.fixed import Counts, Evidence
from experiments.domain.inference.intervals import Contrast, scaled, turned
from experiments.domain.inference.mismatch import Phase
from experiments.domain.inference.moments import Moments, Y
from experiments.domain.inference.planning import Design, Kind, Metric, power
from experiments.domain.inference.plans import Adjustment, Method, MetricPlan, Plan
from experiments.domain.inference.posterior import Belief
from experiments.domain.inference.quantiles import Ordered
from experiments.domain.inference.sequences import Watch

_ADJUSTED = {
    Adjustment.NONE: contrasts.plain,
    Adjustment.CUPED: contrasts.cuped,
    Adjustment.REGRESSION: contrasts.regression,
}


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen: variants in order, the control first; per metric one state each; the split; units seen twice."""

    variants: tuple[str, ...]
    metrics: Mapping[str, Sequence[Moments] | Sequence[Ordered]]
    phases: tuple[Phase, ...] = ()
    crossed: int = 0  # units that were seen in several variants, and are in none

    @property
    def units(self) -> int:
        """Return the units that were exposed and count."""
        return sum(sum(phase.seen) for phase in self.phases)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One treatment against control in one metric. Intervals are at `level`, the metric's part of the error rate.

    `once`, `always` and `planned` are the fixed, the watched and the group sequential view. `worse` is always valid;
    `unharmed` is the p-value of non-inferiority by the deciding method.
    """

    metric: MetricPlan
    variant: str
    level: float
    contrast: Contrast
    once: Evidence
    always: Evidence
    planned: Evidence
    belief: Belief
    worse: float
    unharmed: float
    log_e: float
    power: float | None

    def deciding(self, method: Method) -> Evidence:
        """Return the view that decides."""
        views = {Method.FIXED: self.once, Method.GROUPED: self.planned, Method.WATCHED: self.always}
        return views[method]

    @property
    def gain(self) -> float:
        """Return the difference, turned so that more is better."""
        return self.contrast.difference if self.metric.more_is_better else -self.contrast.difference


def analysed(plan: Plan, observed: Observed) -> tuple[Comparison, ...]:
    """Compare every treatment with the control in every metric of the plan that has been observed."""
    return tuple(
        _compared(plan, metric, observed, at)
        for metric in plan.metrics
        if metric.key in observed.metrics
        for at in range(1, len(observed.variants))
    )


def _compared(plan: Plan, metric: MetricPlan, observed: Observed, at: int) -> Comparison:
    states = observed.metrics[metric.key]
    watch = plan.watch(len(observed.variants))
    level = plan.level(metric, len(observed.variants) - 1)
    treated, control = states[at], states[0]
    if isinstance(treated, Ordered) and isinstance(control, Ordered):
        return _of_quantiles(plan, metric, observed.variants[at], (treated, control), level)
    if isinstance(treated, Ordered) or isinstance(control, Ordered):
        raise TypeError("the arms of a metric are of one kind")
    contrast = _ADJUSTED[metric.adjustment](treated, control)
    if counts := _counts(metric, treated, control):
        contrast = contrasts.doubted(contrast)
    tested = contrast if metric.more_is_better else turned(contrast)
    return Comparison(
        metric,
        observed.variants[at],
        level,
        contrast,
        fixed.newcombe(counts, level) if counts and counts.small else fixed.welch(contrast, level),
        sequences.watched(contrast, level, watch),
        _planned(plan, contrast, level),
        posterior.beta_binomial(counts, level) if counts else posterior.normal(contrast, level),
        sequences.harmed(tested, plan.harm_alpha, watch),
        _unharmed(plan, metric, tested, watch),
        sequences.log_evidence(contrast, level, watch),
        _power(plan, metric, contrast, level),
    )


def _counts(metric: MetricPlan, treated: Moments, control: Moments) -> Counts | None:
    """Return the counts of a proportion that is compared as it is."""
    if not metric.proportion or metric.adjustment is not Adjustment.NONE:
        return None
    return Counts(
        round(treated.mean[Y] * treated.n), treated.n, round(control.mean[Y] * control.n), control.n
    )


def _planned(plan: Plan, contrast: Contrast, level: float) -> Evidence:
    if plan.method is not Method.GROUPED:
        return fixed.NOTHING
    return grouped.staged(contrast, plan.looks, level, plan.spending)


def _unharmed(plan: Plan, metric: MetricPlan, tested: Contrast, watch: Watch) -> float:
    """Return the p-value of "worse than control by the margin or more", by the deciding method."""
    least = scaled(tested, 1 - metric.margin if tested.control > 0 else 1 + metric.margin)
    if plan.method is Method.WATCHED:
        return sequences.superior(least, plan.alpha, watch)
    if plan.method is Method.FIXED:
        return fixed.above(least)
    p = grouped.stagewise(plan.looks, 2 * plan.alpha, plan.spending, abs(least.z)) / 2
    return p if least.z > 0 else 1.0


def _power(plan: Plan, metric: MetricPlan, contrast: Contrast, level: float) -> float | None:
    """Return the chance that so many units show the planned effect; None without one."""
    if not metric.effect or not contrast.informative:
        return None
    share = contrast.n_treated / contrast.n
    variance = contrast.error**2 * contrast.n * share * (1 - share)
    kind = Kind.WATCHED if plan.method is Method.WATCHED else Kind.FIXED
    design = Design(alpha=level, share=share, kind=kind)
    effect = metric.effect * abs(contrast.control)
    return power(Metric(contrast.control, variance), effect, contrast.n, design)


def _of_quantiles(
    plan: Plan, metric: MetricPlan, variant: str, arms: tuple[Ordered, Ordered], level: float
) -> Comparison:
    """Compare quantiles: by their normal errors for one look, by ranks for any."""
    p, watch = metric.quantile or 0.5, Watch(plan.units or sequences.TUNED, 1)
    contrast = quantiles.contrast(*arms, p)
    always = quantiles.apart(*arms, p, level, watch)
    worse = _one_way(metric, arms, -1, (p, plan.harm_alpha, watch))
    tested = contrast if metric.more_is_better else turned(contrast)
    unharmed = (
        _one_way(metric, arms, 1, (p, plan.alpha, watch))
        if plan.method is Method.WATCHED
        else _unharmed(plan, metric, tested, watch)
    )
    return Comparison(
        metric,
        variant,
        level,
        contrast,
        fixed.welch(contrast, level),
        always,
        _planned(plan, contrast, level),
        posterior.normal(contrast, level),
        worse,
        unharmed,
        0.0,
        _power(plan, metric, contrast, level),
    )


def _one_way(
    metric: MetricPlan, arms: tuple[Ordered, Ordered], way: int, how: tuple[float, float, Watch]
) -> float:
    """Return the p-value that treatment is not worse (way −1), or not better than control less its margin (way 1)."""
    treated, control = arms
    better = way if metric.more_is_better else -way
    if way > 0:
        control = quantiles.scaled(control, 1 - better * metric.margin)
    pair = (control, treated) if better > 0 else (treated, control)
    return quantiles.below(*pair, *how)
