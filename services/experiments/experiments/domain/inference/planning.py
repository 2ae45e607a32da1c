"""Before the start: how many units, for how long, and what could be seen at all.

Sizes are units in total; `Design.share` is the part of them that the treatment gets. A test that is looked at in a
planned way costs a little more, one that is watched all the time costs more still; both are in `inflation`.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from math import ceil, inf, sqrt

from experiments.domain.errors import BadPlan
from experiments.domain.inference.grouped import Spending, boundaries, crossing
from experiments.domain.inference.sequences import mixing, multiplier
from experiments.domain.inference.special import normal_cdf, normal_upper

LARGEST = 10**12


class Kind(StrEnum):
    """When results are looked at."""

    FIXED = "fixed"
    GROUPED = "grouped"
    WATCHED = "watched"


@dataclass(frozen=True, slots=True)
class Design:
    """Error rates, sides, split and looks of a comparison. `looks` counts for planned looks only."""

    alpha: float = 0.05
    power: float = 0.8
    sides: int = 2
    share: float = 0.5
    kind: Kind = Kind.FIXED
    looks: int = 1

    def __post_init__(self) -> None:
        if not (0 < self.alpha <= 0.5 and 0 < self.share < 1 and self.sides in (1, 2)):
            raise BadPlan(
                "alpha lies in (0, 0.5], the treatment's share in (0, 1), and there are one or two sides"
            )
        if not self.alpha / self.sides < self.power < 1:
            raise BadPlan("the power lies between the error rate and 1")


@dataclass(frozen=True, slots=True)
class Metric:
    """What is known of a metric: its mean in control and the variance of a unit (of the linearised score for a ratio).

    `explained` is the share of the variance that the past explains (ρ² of CUPED).
    """

    mean: float
    variance: float
    explained: float = 0.0

    @property
    def left(self) -> float:
        """Return the variance that remains."""
        return self.variance * (1 - self.explained)


def proportion(rate: float, lift: float) -> Metric:
    """Return a proportion whose treated rate is the control's times 1 + lift, with the mean of both variances."""
    treated = rate * (1 + lift)
    if not (0 < rate < 1 and 0 <= treated <= 1):
        raise BadPlan("a rate lies between 0 and 1, also after the lift")
    return Metric(rate, (rate * (1 - rate) + treated * (1 - treated)) / 2)


def size(metric: Metric, effect: float, design: Design) -> int:
    """Return the units that are needed to see an absolute effect (van Belle 2008, "Statistical rules of thumb", 2nd
    ed., eq. 2.2; unequal split: Fleiss, Levin & Paik 2003, "Statistical methods for rates and proportions", eq. 4.18).

    For non-inferiority give the distance between the expected effect and the margin, and one side.
    """
    if not effect or not metric.left > 0:
        raise BadPlan("the effect to see and the variance must not be nothing")
    per_unit = metric.left / (design.share * (1 - design.share))
    root = (
        _drift(design) * sqrt(per_unit) / abs(effect)
    )  # first the root: a tiny effect has no square
    return _bounded(root**2 if root <= LARGEST else inf, design)


def power(metric: Metric, effect: float, units: int, design: Design) -> float:
    """Return the chance to see an absolute effect (same sources); for planned looks by integration over them."""
    if units < 2 or not metric.left > 0:
        return 0.0
    drift = abs(effect) * sqrt(units * design.share * (1 - design.share) / metric.left)
    if design.kind is Kind.GROUPED:
        return _reached(drift, design)
    edge = _edge(units, design)
    opposite = normal_cdf(-drift - edge) if design.sides == 2 else 0.0
    return normal_cdf(drift - edge) + opposite


def detectable(metric: Metric, units: int, design: Design) -> float:
    """Return the smallest absolute effect that so many units show with the planned power; infinite for none."""
    if units < 2:
        return inf
    drift = _drift(design, units)
    return drift * sqrt(metric.left / (units * design.share * (1 - design.share)))


def days(units: int, per_day: float, *, whole_weeks: bool = True) -> int:
    """Return for how many days an experiment must run, in whole weeks unless told otherwise: weekends differ
    (Kohavi, Tang & Xu 2020, "Trustworthy online controlled experiments", chapter 2).
    """
    if not per_day > 0:
        raise BadPlan("without units per day no experiment ends")
    least = ceil(min(units / per_day, LARGEST))
    return ceil(least / 7) * 7 if whole_weeks else max(1, least)


def inflation(design: Design) -> float:
    """Return how many times the units of a fixed test the design needs (Jennison & Turnbull 2000, eq. 2.7's R)."""
    fixed = Design(design.alpha, design.power, design.sides, design.share)
    return (_drift(design) / _drift(fixed)) ** 2


def split_power(wanted: float, guardrails: int) -> float:
    """Return the power each test needs so that all of a decision's tests together have the wanted one (Schultzberg,
    Ankargren & Frånberg 2024, "Risk-aware product decisions in A/B tests with multiple metrics", arXiv 2402.11609,
    the correction of β for guardrails: β / (G + 1)).
    """
    return 1 - (1 - wanted) / (guardrails + 1)


def _drift(design: Design, units: int = 0) -> float:
    """Return the mean of z at the end that gives the planned power."""
    beta = normal_upper(1 - design.power)
    if design.kind is Kind.FIXED:
        return normal_upper(design.alpha / design.sides) + beta
    if design.kind is Kind.WATCHED:
        return _watched_edge(design, units or 1) + beta
    return _planned_drift(design)


@lru_cache(maxsize=256)
def _planned_drift(design: Design) -> float:
    """Solve for the drift by Newton's method on the normal scale, on which power is nearly a straight line."""
    beta = normal_upper(1 - design.power)
    drift = normal_upper(design.alpha / design.sides) + beta
    for _ in range(30):
        step = beta + normal_upper(_reached(drift, design))
        drift += step
        if abs(step) < 1e-8:
            break
    return drift


def _edge(units: int, design: Design) -> float:
    if design.kind is Kind.WATCHED:
        return _watched_edge(design, units)
    return normal_upper(design.alpha / design.sides)


def _watched_edge(design: Design, units: int) -> float:
    """Return the multiplier of a sequence at the size that it is tuned for, which does not depend on that size."""
    alpha = design.alpha * 2 / design.sides
    return multiplier(units, mixing(units, alpha), alpha)


def _reached(drift: float, design: Design) -> float:
    alpha = design.alpha * 2 / design.sides
    looks = tuple((k + 1) / design.looks for k in range(design.looks))
    edges = boundaries(looks, alpha, Spending.OBRIEN_FLEMING)
    chances = crossing(looks, edges, drift)
    return sum(above + (below if design.sides == 2 else 0.0) for above, below in chances)


def _bounded(units: float, design: Design) -> int:
    """Return a whole number of units; at least two for each arm."""
    if units > LARGEST:
        raise BadPlan(f"more than {LARGEST:,} units would be needed; look for a larger effect")
    return max(ceil(units), ceil(2 / min(design.share, 1 - design.share)))
