"""From a wish to its price: how many units for how many days, or what a given number of units can show."""

from dataclasses import dataclass, replace

from chassis.errors import FieldError
from experiments.domain.errors import BadPlan
from experiments.domain.inference.planning import (
    Design,
    Metric,
    days,
    detectable,
    inflation,
    power,
    proportion,
    size,
    split_power,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be seen: a relative `effect` on a metric of this mean and variance (of a proportion: its own)."""

    kind: str
    metric: Metric
    effect: float
    design: Design
    treatments: int = 1
    guardrails: int = 0
    units_per_day: float | None = None
    units: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """What a wish needs, in all variants together; `detectable_effect` (relative) and `power` of the units on offer."""

    units: int
    units_per_variant: int
    days: int | None
    inflation: float
    detectable_effect: float | None
    power: float | None


def sized(wish: Wish) -> Sized:
    """Return the units that a wish needs. Each treatment is compared with the control, arms being equal."""
    metric = _metric(wish)
    design = replace(wish.design, power=split_power(wish.design.power, wish.guardrails))
    effect = abs(wish.effect * metric.mean)
    if not effect:
        raise _bad(
            "/effect", "an effect of nothing cannot be seen; neither can a part of a mean of 0"
        )
    per_variant = -(-size(metric, effect, design) // 2)
    units = per_variant * (wish.treatments + 1)
    pair = 0 if wish.units is None else wish.units * 2 // (wish.treatments + 1)
    return Sized(
        units=units,
        units_per_variant=per_variant,
        days=days(units, wish.units_per_day) if wish.units_per_day else None,
        inflation=inflation(design),
        detectable_effect=detectable(metric, pair, design) / abs(metric.mean) if pair > 1 else None,
        power=power(metric, effect, pair, design) if pair > 1 else None,
    )


def _metric(wish: Wish) -> Metric:
    if wish.kind == "proportion":
        made = proportion(wish.metric.mean, wish.effect)
        return replace(made, explained=wish.metric.explained)
    if not wish.metric.variance:
        raise _bad("/variance", "a mean needs the variance of a unit; take it from your data")
    return wish.metric


def _bad(pointer: str, text: str) -> BadPlan:
    return BadPlan(text, errors=(FieldError(pointer, text, BadPlan.code),))
