"""What comparisons show, in a word each: by the method that decides, its correction, and only when it may be heard.

The sentence (`decision`), the table and the forest plot all take their words from here, so that they agree (ADR 0093).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.domain.inference.analysis import Comparison
from experiments.domain.inference.grouped import spent
from experiments.domain.inference.multiplicity import benjamini_hochberg, e_adjusted, holm
from experiments.domain.inference.plans import Correction, Method, Plan, Role


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the method that decides shows, by its correction and in its time. All that is said in a word is from here.

    `speaks`: whether that method may be heard yet; harm is always heard.
    """

    plan: Plan
    speaks: bool
    better: tuple[Comparison, ...]  # the success metrics that are superior
    worse: tuple[Comparison, ...]  # all success metrics and guardrails that are worse

    def state(self, c: Comparison) -> str:
        """Say a comparison in a word: harmed, better, worse, not inferior, unproven or open."""
        if c.worse <= self.plan.harm_alpha:
            return "harmed"
        if c in self.worse or c in self.better:
            return "better" if c in self.better else "worse"
        if not self.speaks or c.metric.role is Role.SUCCESS:
            return "open"
        if _shown(self.plan, c):
            return "better" if c.gain > 0 else "worse"
        if _has_margin(c):
            return "unproven" if is_unproven(self.plan, c) else "not inferior"
        return "open"

    def significant(self, c: Comparison) -> bool:
        """Tell whether a comparison shows a difference."""
        return self.state(c) in ("harmed", "better", "worse")


def judged(plan: Plan, found: Sequence[Comparison], *, speaks: bool) -> Judgement:
    """Judge comparisons that were made together. `speaks`: whether the method that decides may be heard yet."""
    held = [c for c in found if c.metric.role is not Role.INFORMATION]
    return Judgement(
        plan,
        speaks,
        _better(plan, found) if speaks else (),
        tuple(c for c in held if _is_worse(plan, c, speaks=speaks)),
    )


def to_pause(plan: Plan, found: Sequence[Comparison]) -> tuple[tuple[str, str], ...]:
    """Return the guardrails (variant, metric) that are harmed beyond doubt, at any look: reason enough to pause."""
    return tuple(
        (c.variant, c.metric.key)
        for c in found
        if c.metric.role is Role.GUARDRAIL and c.worse <= plan.harm_alpha
    )


def watched(plan: Plan, found: Sequence[Comparison]) -> tuple[str, ...]:
    """Return the guardrails whose harm would be seen by now, in every treatment that anybody has been shown."""
    guards: dict[str, list[Comparison]] = {}
    for c in found:
        if c.metric.role is Role.GUARDRAIL and c.contrast.n_treated:
            guards.setdefault(c.metric.key, []).append(c)
    return tuple(key for key, all_ in guards.items() if all(_is_awake(plan, c) for c in all_))


def _is_awake(plan: Plan, c: Comparison) -> bool:
    """Tell whether a harm would show: there are units enough, and they vary or are all alike. Ranks need no number."""
    if c.metric.quantile is not None:
        return c.contrast.n_control > 0
    enough = min(c.contrast.n_treated, c.contrast.n_control) >= plan.burn_in
    return enough and (c.contrast.informative or not c.contrast.difference)


def _better(plan: Plan, found: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Return the success metrics that are superior, the error rate kept over all of them."""
    asked = [c for c in found if c.metric.role is Role.SUCCESS]
    p = [c.deciding(plan.method).p for c in asked]
    if plan.correction is Correction.SPLIT:
        passed = [value <= _usable(plan, c.level) for value, c in zip(p, asked, strict=True)]
    elif plan.correction is Correction.E_BENJAMINI_HOCHBERG:
        passed = [value <= plan.alpha for value in e_adjusted([c.log_e for c in asked])]
    else:
        adjust = holm if plan.correction is Correction.HOLM else benjamini_hochberg
        passed = [value <= _usable(plan, plan.alpha) for value in adjust(p)]
    return tuple(c for c, ok in zip(asked, passed, strict=True) if ok and c.gain > 0)


def _is_worse(plan: Plan, c: Comparison, *, speaks: bool) -> bool:
    """Tell whether a metric is harmed at any look, or shown to be worse by the method that decides."""
    return c.worse <= plan.harm_alpha or (speaks and c.gain < 0 and _shown(plan, c))


def _shown(plan: Plan, c: Comparison) -> bool:
    return c.deciding(plan.method).p <= _usable(plan, c.level)


def _usable(plan: Plan, level: float) -> float:
    """Return how much of a two-sided error rate may be used by now: between planned looks it is spent step by step.

    A stage-wise p-value is at most that exactly when the boundary of its look is reached (`grouped.staged`).
    """
    if plan.method is not Method.GROUPED:
        return level
    return spent(plan.looks[-1], level, plan.spending)


def is_unproven(plan: Plan, c: Comparison) -> bool:
    """Tell whether a guardrail with a margin is not shown to be non-inferior by now."""
    return _has_margin(c) and c.unharmed > _usable(plan, 2 * plan.alpha) / 2


def _has_margin(c: Comparison) -> bool:
    return c.metric.role is Role.GUARDRAIL and c.metric.margin > 0
