"""Quantiles and their differences, from nothing but ranks: fixed, clustered by unit, or watched all the time.

A metric hands over an `Ordered`: how many observations, and the value at any rank (a sketch, a histogram or a sorted
list can say that). An interval of ranks becomes an interval of values, whatever the distribution.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, exp, floor, inf, log, log1p, sqrt

from experiments.domain.inference.contrasts import arm as arm_of
from experiments.domain.inference.fixed import NOTHING, Evidence
from experiments.domain.inference.intervals import EVERYTHING, Contrast, Interval
from experiments.domain.inference.moments import D, Moments
from experiments.domain.inference.sequences import Watch, mixing
from experiments.domain.inference.special import beta_cdf, log_beta


@dataclass(frozen=True, slots=True)
class Ordered:
    """Observations of one arm: their number, the value at rank 1 … n, and how clustering by unit widens the ranks.

    `inflation` is 1 where each unit gives one observation, else `clustering(…)`.
    """

    n: int
    at: Callable[[int], float]
    inflation: float = 1.0

    def quantile(self, p: float) -> float:
        """Return the p-quantile: the smallest observation with at least p of all at or below it."""
        return self.at(min(self.n, max(1, ceil(p * self.n)))) if self.n else 0.0


def listed(values: Sequence[float]) -> Ordered:
    """Return observations that are at hand."""
    ordered = sorted(values)
    return Ordered(len(ordered), lambda rank: ordered[rank - 1])


def clustering(below: Moments) -> float:
    """Return by how much clustering widens an interval of ranks (Deng, Knoblich & Lu, KDD 2018, section 4.2): the
    delta-method error of the share of observations below the quantile, over that of independent observations.

    A unit's y is the number of its observations at or below the quantile, its d the number of all.
    """
    share = arm_of(below)
    if share is None or below.n < 2 or not 0 < share.value < 1:
        return 1.0
    observations = below.n * below.mean[D]
    variance = share.score / (below.n - 1) / below.n
    return sqrt(variance * observations / (share.value * (1 - share.value)))


def _values(arm: Ordered, low: int, high: int) -> Interval:
    """Turn ranks into values; a rank outside of what was seen knows no bound."""
    return Interval(
        arm.at(low) if 1 <= low <= arm.n else -inf, arm.at(high) if 1 <= high <= arm.n else inf
    )


def ranked(arm: Ordered, p: float, z: float) -> Interval:
    """Return a quantile's interval by the ranks n·p ± z·√(n·p(1−p)) (Wilks 1948; Deng, Knoblich & Lu, KDD 2018, eq. 9
    with the correction for clusters).
    """
    if not arm.n:
        return EVERYTHING
    reach = z * arm.inflation * sqrt(arm.n * p * (1 - p))
    return _values(arm, floor(arm.n * p - reach), ceil(arm.n * p + reach) + 1)


def contrast(treated: Ordered, control: Ordered, p: float) -> Contrast:
    """Compare two quantiles as normal estimates whose errors are read off their rank intervals at ±1.96
    (Deng, Knoblich & Lu, KDD 2018, section 4.1). Nothing follows where the ranks leave the data.
    """
    z = 1.959963984540054
    spans = [ranked(arm, p, z) for arm in (treated, control)]
    known = all(span.bounded and span.high > span.low for span in spans)
    errors = [(span.high - span.low) / (2 * z) if known else 0.0 for span in spans]
    values = [arm.quantile(p) for arm in (treated, control)]
    df = float(treated.n + control.n - 2) if known else 0.0
    return Contrast(
        values[0], values[1], errors[0] ** 2, errors[1] ** 2, 0.0, treated.n, control.n, df
    )


def followed(arm: Ordered, p: float, alpha: float, watch: Watch) -> Interval:
    """Return a confidence sequence of the p-quantile (Howard & Ramdas 2022, "Sequential estimation of quantiles with
    applications to A/B testing and best-arm identification", Bernoulli 28, theorem 1 with the one-sided beta-binomial
    mixture on each side): values may tie, and independence is all that is asked, so it needs no burn-in.
    """
    return _sequence(arm, p, alpha, 1 / mixing(watch.tuned, alpha))


def apart(treated: Ordered, control: Ordered, p: float, alpha: float, watch: Watch) -> Evidence:
    """Return the evidence on the difference of two quantiles at any look: each arm has half of the error rate, so the
    difference of their sequences holds the true one (Howard & Ramdas 2022, section 4, by a union bound); the p-value
    is the level at which the two sequences part.
    """
    if not treated.n or not control.n:
        return NOTHING
    strength = 1 / mixing(watch.tuned, alpha)
    a, b = (_sequence(arm, p, alpha / 2, strength) for arm in (treated, control))
    difference = Interval(a.low - b.high, a.high - b.low)
    lower, upper = sorted((treated, control), key=lambda arm: arm.quantile(p))
    return Evidence(min(1.0, 2 * _parting_p(lower, upper, p, strength)), difference, _ratio(a, b))


def below(lower: Ordered, upper: Ordered, p: float, alpha: float, watch: Watch) -> float:
    """Return the always-valid one-sided p-value of "the quantile of the first is not below that of the second"."""
    if not lower.n or not upper.n:
        return 1.0
    return _parting_p(lower, upper, p, 1 / mixing(watch.tuned, alpha))


def scaled(arm: Ordered, factor: float) -> Ordered:
    """Return an arm with every value times a positive factor, to compare it with a margin."""
    return Ordered(arm.n, lambda rank: factor * arm.at(rank), arm.inflation)


def _parting_p(lower: Ordered, upper: Ordered, p: float, strength: float) -> float:
    return min(1.0, 2 * exp(-max(_parting(lower, upper, p, strength), 0.0)))


def _sequence(arm: Ordered, p: float, alpha: float, strength: float) -> Interval:
    if not arm.n:
        return EVERYTHING
    enough = log(2 / alpha)
    high = first(arm, lambda k: evidence(arm, k, p, strength) >= enough)
    low = arm.n + 1 - first(arm, lambda k: evidence(arm, k, 1 - p, strength) >= enough)
    return _values(arm, low, high)


def _ratio(a: Interval, b: Interval) -> Interval:
    if not (b.low > 0 and b.bounded and a.bounded):
        return EVERYTHING
    low = a.low / (b.high if a.low >= 0 else b.low)
    high = a.high / (b.low if a.high >= 0 else b.high)
    return Interval(low - 1, high - 1)


def _parting(lower: Ordered, upper: Ordered, p: float, strength: float) -> float:
    """Return the most log evidence, at any one value, that the lower arm's quantile is below it and the upper's above:
    the first grows with the value, the second falls, so the best is where they meet.
    """

    def sides(rank: int) -> tuple[float, float]:
        value = lower.at(rank)
        above = upper.n + 1 - first(upper, lambda k: upper.at(k) > value)
        return evidence(lower, rank, p, strength), evidence(upper, above, 1 - p, strength)

    def met(rank: int) -> bool:
        is_below, is_above = sides(rank)
        return is_below >= is_above

    meeting = first(lower, met)
    around = [rank for rank in (meeting - 1, meeting) if 1 <= rank <= lower.n]
    return max(min(sides(rank)) for rank in around)


def first(arm: Ordered, holds: Callable[[int], bool]) -> int:
    """Return the first rank for which something holds that goes on holding; one past the last if it never does."""
    low, high = 1, arm.n + 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


@lru_cache(maxsize=256)
def _normaliser(p: float, strength: float) -> float:
    a, b = strength * p, strength * (1 - p)
    return log_beta(a, b) + log(max(1e-300, 1 - beta_cdf(p, a, b)))


def evidence(arm: Ordered, k: int, p: float, strength: float) -> float:
    """Return the log evidence of "k at or below" against "a chance of at most p": ∫ₚ¹ θᵏ(1−θ)ⁿ⁻ᵏ dBeta, over
    pᵏ(1−p)ⁿ⁻ᵏ, bounded from below by Chernoff's bound for what is cut off. Clusters count for fewer observations.
    """
    n, hits = arm.n / arm.inflation**2, k / arm.inflation**2
    a, b = strength * p + hits, strength * (1 - p) + n - hits
    cut = _cut_off(a, b, p)
    if not cut < 1:
        return -inf
    whole = log_beta(a, b) + log1p(-cut) - hits * log(p) - (n - hits) * log1p(-p)
    return whole - _normaliser(p, strength)


def _cut_off(a: float, b: float, p: float) -> float:
    """Return an upper bound of I_p(a, b), which is the chance of a or more of a + b − 1 trials."""
    trials = a + b - 1
    share = min(a / trials, 1.0) if trials > 0 else 0.0
    if share <= p:
        return 1.0
    rest = (1 - share) * log((1 - share) / (1 - p)) if share < 1 else 0.0
    return exp(-trials * (share * log(share / p) + rest))
