"""How an experiment will be judged, said before it starts: its metrics with their roles, and the method that decides.

`check` sees to it that together they are a plan at all. What was settled at the start, and every later change of it, is
kept (`planned`); the inference has a plan of its own (`inference.plans`), which is made from this one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from chassis.errors import FieldError
from experiments.domain.errors import BadPlan
from experiments.domain.inference.grouped import Spending
from experiments.domain.inference.plans import Adjustment, Correction, Method, MetricPlan, Plan
from experiments.domain.inference.sequences import BURN_IN

MOST_METRICS = 50
LIGHTEST = 1e-3  # of the weights by which success metrics share the error rate


class MetricRole(StrEnum):
    """What a metric is there for.

    success: at least one must become better. guardrail: must not be worse than its margin. deterioration: must not be
    shown to be worse at all. information: is shown and decides nothing.
    """

    SUCCESS = "success"
    GUARDRAIL = "guardrail"
    DETERIORATION = "deterioration"
    INFORMATION = "information"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricUse:
    """One metric of an experiment, by its key.

    `more_is_better` None: as the metric itself says. `margin`: the relative loss that a guardrail may take, in [0, 1).
    `effect`: the smallest relative effect that is worth seeing. `weight`: its part of the error rate.
    """

    key: str
    role: MetricRole = MetricRole.SUCCESS
    more_is_better: bool | None = None
    margin: float = 0.0
    effect: float = 0.0
    weight: float = 1.0
    adjustment: Adjustment = Adjustment.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Which method decides, with which error rates. `looks`: the planned looks, as parts of the planned `units`.

    `units` are those of all variants together; 0: open-ended. `auto_pause`: stop when a guardrail is harmed for sure.
    """

    method: Method = Method.WATCHED
    alpha: float = 0.05
    harm_alpha: float = 0.01
    correction: Correction = Correction.SPLIT
    spending: Spending = Spending.OBRIEN_FLEMING
    looks: tuple[float, ...] = (1.0,)
    units: int = 0
    burn_in: int = BURN_IN
    auto_pause: bool = True


def check(metrics: Sequence[MetricUse], analysis: Analysis) -> None:
    """Refuse metrics and a method that contradict themselves or each other: BadPlan."""
    if len(metrics) > MOST_METRICS:
        raise _bad("/metrics", f"an experiment has at most {MOST_METRICS} metrics")
    keys = [metric.key for metric in metrics]
    for place, metric in enumerate(metrics):
        if metric.key in keys[:place]:
            raise _bad(f"/metrics/{place}/key", f"metric {metric.key!r} is there twice")
        _check_use(place, metric)
    try:
        _plan(metrics, analysis)
    except BadPlan as bad:
        raise _bad("/analysis", bad.detail) from None


def _plan(metrics: Sequence[MetricUse], analysis: Analysis) -> Plan:
    """Return the plan of the inference, as far as it follows from these alone (the metrics' own kinds do not)."""
    return Plan(
        metrics=tuple(MetricPlan(key=m.key, weight=m.weight, effect=m.effect) for m in metrics),
        alpha=analysis.alpha,
        harm_alpha=analysis.harm_alpha,
        method=analysis.method,
        correction=analysis.correction,
        spending=analysis.spending,
        looks=analysis.looks,
        units=analysis.units,
        burn_in=analysis.burn_in,
    )


def _check_use(place: int, metric: MetricUse) -> None:
    if metric.margin and metric.role is not MetricRole.GUARDRAIL:
        text = f"metric {metric.key!r}: only a guardrail has a margin"
        raise _bad(f"/metrics/{place}/margin", text)
    if not 0 <= metric.margin < 1:
        raise _bad(f"/metrics/{place}/margin", "a margin lies in [0, 1): 0.02 is a loss of 2 %")
    if metric.weight < LIGHTEST:
        text = f"a weight is at least {LIGHTEST}: its share of the error rate would be nothing"
        raise _bad(f"/metrics/{place}/weight", text)


def _bad(pointer: str, text: str) -> BadPlan:
    return BadPlan(text, errors=(FieldError(pointer, text, BadPlan.code),))
