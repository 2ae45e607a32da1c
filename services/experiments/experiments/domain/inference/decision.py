"""From all comparisons to one sentence: what to do, and why.

The rule is that of Schultzberg, Ankargren & Frånberg 2024, "Risk-aware product decisions in A/B tests with multiple
metrics" (arXiv 2402.11609, decision rule 2): ship only if at least one success metric is superior, every guardrail is
non-inferior, no metric is shown to be worse, and the checks of quality are clean. Guardrails need no correction of
their error rate, since all must hold; success metrics share theirs, since one is enough.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from experiments.domain.inference.analysis import Comparison, Observed
from experiments.domain.inference.intervals import Interval
from experiments.domain.inference.judgement import Judgement, is_unproven, judged
from experiments.domain.inference.mismatch import Split, split
from experiments.domain.inference.plans import Method, Plan, Role

MOST_CROSSED = 0.01  # of all units; more, and the assignment itself is broken


class Verdict(StrEnum):
    """What to do."""

    SHIP = "ship"
    KEEP_RUNNING = "keep running"
    STOP = "stop"
    DO_NOT_SHIP = "do not ship"
    DO_NOT_ACT = "do not act"


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict, its sentence, the variant it is about, and what the rule looked at."""

    verdict: Verdict
    sentence: str
    variant: str | None
    split: Split
    better: tuple[
        tuple[str, str], ...
    ]  # (variant, metric) of the success metrics that are superior
    worse: tuple[tuple[str, str], ...]  # of all success metrics and guardrails that are worse
    unproven: tuple[tuple[str, str], ...]  # of the guardrails that are not yet non-inferior
    judgement: Judgement


def decided(
    plan: Plan,
    observed: Observed,
    found: Sequence[Comparison],
    *,
    over: bool = False,
    early: bool = False,
) -> Decision:
    """Decide. `over`: no more data will come (the planned end is reached, or the experiment completed).

    `early`: no planned look has been reached yet. Then, and before the end of a fixed test, nothing is shown but harm.
    """
    speaks = over or not (early or plan.method is Method.FIXED)
    said, checked = judged(plan, found, speaks=speaks), split(observed.phases)
    unproven = tuple(c for c in found if is_unproven(plan, c))
    case = _Case(
        plan, observed, tuple(found), over, early, checked, said.better, said.worse, unproven
    )
    verdict, sentence, variant = next(word for rule in _RULES if (word := rule(case)))
    return Decision(
        verdict,
        sentence,
        variant,
        checked,
        _names(said.better),
        _names(said.worse),
        _names(unproven),
        said,
    )


@dataclass(frozen=True, slots=True)
class _Case:
    plan: Plan
    observed: Observed
    found: tuple[Comparison, ...]
    over: bool
    early: bool
    split: Split
    better: tuple[Comparison, ...]
    worse: tuple[Comparison, ...]
    unproven: tuple[Comparison, ...]


_Said = tuple[Verdict, str, str | None]


def _no_data(case: _Case) -> _Said | None:
    if case.observed.units:
        return None
    return Verdict.KEEP_RUNNING, "Keep running: nobody has been exposed yet.", None


def _wrong_split(case: _Case) -> _Said | None:
    if not case.split.wrong:
        return None
    said = "Do not act: the traffic split is wrong"
    seen = " / ".join(
        f"{n:,}" for n in map(sum, zip(*(p.seen for p in case.observed.phases), strict=True))
    )
    return (
        Verdict.DO_NOT_ACT,
        f"{said} ({seen} units; the chance of that is below {_small(case.split.p)}).",
        None,
    )


def _crossed(case: _Case) -> _Said | None:
    share = case.observed.crossed / (case.observed.units + case.observed.crossed)
    if share <= MOST_CROSSED:
        return None
    text = f"Do not act: {share:.1%} of the units were seen in several variants."
    return Verdict.DO_NOT_ACT, text, None


def _harmful(case: _Case) -> _Said | None:
    """Stop when no treatment is left that is not worse in something."""
    bad = {c.variant for c in case.worse}
    if not bad or not {c.variant for c in case.found} <= bad:
        return None
    worst = min(case.worse, key=lambda c: c.deciding(case.plan.method).p)
    verdict = Verdict.DO_NOT_SHIP if case.over else Verdict.STOP
    start = "Do not ship" if case.over else "Stop"
    return verdict, f"{start}: {worst.variant} makes {_effect(case, worst)}.", worst.variant


def _shippable(case: _Case) -> _Said | None:
    barred = {c.variant for c in (*case.worse, *case.unproven)}
    good = [c for c in case.better if c.variant not in barred]
    if not good:
        return None
    best = max(good, key=lambda c: c.gain / c.contrast.error if c.contrast.error else 0.0)
    guards = sum(c.metric.role is Role.GUARDRAIL and c.variant == best.variant for c in case.found)
    safe = {0: "", 1: ", and the guardrail holds"}.get(
        guards, f", and all {guards} guardrails hold"
    )
    return Verdict.SHIP, f"Ship {best.variant}: it makes {_effect(case, best)}{safe}.", best.variant


def _fruitless(case: _Case) -> _Said | None:
    if not case.over:
        return None
    if case.better:
        return Verdict.DO_NOT_SHIP, f"Do not ship: {_held_back(case)}.", None
    return Verdict.DO_NOT_SHIP, "Do not ship: no success metric has become better.", None


def _undecided(case: _Case) -> _Said | None:
    if case.plan.method is Method.FIXED:
        text = "Keep running: this test has one look, and that is at its end"
    elif case.early:
        text = f"Keep running: the first planned look is at {case.plan.looks[0]:.0%} of the units"
    elif case.better:
        text = f"Keep running: {_held_back(case)}"
    else:
        text = "Keep running: no success metric has become better so far"
    return Verdict.KEEP_RUNNING, f"{text}{_progress(case)}.", None


_RULES: tuple[Callable[[_Case], _Said | None], ...] = (
    _no_data,
    _wrong_split,
    _crossed,
    _harmful,
    _shippable,
    _fruitless,
    _undecided,
)


def _held_back(case: _Case) -> str:
    """Say what keeps a treatment with a success from being shipped."""
    first = case.better[0]
    mine = [c for c in case.worse if c.variant == first.variant]
    if mine:
        return f"{first.variant} makes {_effect(case, first)}, but {_effect(case, mine[0])}"
    open_ = [c.metric.key for c in case.unproven if c.variant == first.variant]
    return (
        f"{first.variant} makes {_effect(case, first)}, but {', '.join(open_)} may still be harmed"
    )


def _effect(case: _Case, c: Comparison) -> str:
    """Say an effect in words: relative where that is known, else in the metric's own unit."""
    evidence = c.deciding(case.plan.method)
    better = "better" if c.gain > 0 else "worse"
    lift = c.contrast.lift
    if lift is not None and evidence.lift.bounded:
        return f"{c.metric.key} {better} by {abs(lift):.1%} ({_span(evidence.lift, '{:+.1%}')})"
    return f"{c.metric.key} {better} by {abs(c.contrast.difference):.4g} ({_span(evidence.difference, '{:+.4g}')})"


def _span(interval: Interval, form: str) -> str:
    if not interval.bounded:
        return "how much is not known"
    return f"{form.format(interval.low)} to {form.format(interval.high)}"


def _progress(case: _Case) -> str:
    if not case.plan.units:
        return ""
    return f" ({min(1.0, case.observed.units / case.plan.units):.0%} of the planned units are in)"


def _small(p: float) -> str:
    return "1 in a million" if p < 1e-6 else f"1 in {int(1 / max(p, 1e-6)):,}"


def _names(found: Sequence[Comparison]) -> tuple[tuple[str, str], ...]:
    return tuple((c.variant, c.metric.key) for c in found)
