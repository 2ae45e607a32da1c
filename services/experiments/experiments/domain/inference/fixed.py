"""Inference for one look at the end: Welch's test, and Newcombe's intervals where the counts are small.

The p-value and the intervals come from the same statistic, so they never contradict each other.
"""

from dataclasses import dataclass
from math import sqrt

from experiments.domain.inference.intervals import (
    EVERYTHING,
    Contrast,
    Interval,
    absolute,
    relative,
)
from experiments.domain.inference.special import normal_sf, normal_upper, student_sf, student_upper

SMALL = 10  # successes or failures of an arm below which the normal curve is not trusted


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one method says about one contrast: two-sided p-value, interval of the difference, of the relative lift."""

    p: float
    difference: Interval
    lift: Interval


NOTHING = Evidence(1.0, EVERYTHING, EVERYTHING)


def welch(contrast: Contrast, alpha: float) -> Evidence:
    """Test without assuming equal variances (Welch 1947, "The generalization of 'Student's' problem", Biometrika 34,
    eq. 28 for the degrees of freedom); the lift by Fieller's inversion of the same test.
    """
    if not contrast.informative:
        return NOTHING
    multiplier = student_upper(alpha / 2, contrast.df)
    p = min(1.0, 2 * student_sf(abs(contrast.z), contrast.df))
    return Evidence(p, absolute(contrast, multiplier), relative(contrast, multiplier))


def above(contrast: Contrast) -> float:
    """Return the one-sided p-value of "treatment is not above control".

    On `scaled(contrast, 1 − margin)` it tests non-inferiority, small meaning not worse by the margin (Sasabuchi 1980,
    Biometrika 67, the ratio form of the one-sided test of Schuirmann 1987, J. Pharmacokinet. Biopharm. 15, eq. 1).
    """
    return student_sf(contrast.z, contrast.df) if contrast.informative else 1.0


def wilson(hits: int, n: int, z: float) -> Interval:
    """Return the score interval of a proportion (Wilson 1927, "Probable inference, the law of succession, and
    statistical inference", JASA 22, p. 212; method 3 of Newcombe 1998, Stat. Med. 17:857).
    """
    if not n:
        return Interval(0.0, 1.0)
    p, square = hits / n, z * z
    centre, below = p + square / (2 * n), 1 + square / n
    reach = z * sqrt(p * (1 - p) / n + square / (4 * n * n))
    low = max(0.0, (centre - reach) / below) if hits else 0.0
    return Interval(low, min(1.0, (centre + reach) / below) if hits < n else 1.0)


@dataclass(frozen=True, slots=True)
class Counts:
    """Successes and units of two arms."""

    treated: int
    n_treated: int
    control: int
    n_control: int

    @property
    def small(self) -> bool:
        """Whether an arm has too few successes or failures for the normal curve."""
        least = min(self.treated, self.n_treated - self.treated)
        return min(least, self.control, self.n_control - self.control) < SMALL


def newcombe(counts: Counts, alpha: float) -> Evidence:
    """Compare proportions by their score intervals (Newcombe 1998, "Interval estimation for the difference between
    independent proportions", Stat. Med. 17:873, method 10); the lift by the same square-and-add for a ratio (Donner &
    Zou 2012, Stat. Methods Med. Res. 21, MOVER-R, eq. 9); the p-value is the level at which 0 leaves the interval.
    """
    if not counts.n_treated or not counts.n_control:
        return NOTHING
    arms = _wilsons(counts, normal_upper(alpha / 2))
    return Evidence(_level(counts), _added(counts, *arms), _divided(counts, *arms))


def _wilsons(c: Counts, z: float) -> tuple[Interval, Interval]:
    return wilson(c.treated, c.n_treated, z), wilson(c.control, c.n_control, z)


def _added(c: Counts, t: Interval, k: Interval) -> Interval:
    p, q = c.treated / c.n_treated, c.control / c.n_control
    down = sqrt((p - t.low) ** 2 + (k.high - q) ** 2)
    up = sqrt((t.high - p) ** 2 + (q - k.low) ** 2)
    return Interval(p - q - down, p - q + up)


def _divided(c: Counts, t: Interval, k: Interval) -> Interval:
    p, q = c.treated / c.n_treated, c.control / c.n_control
    if not k.low > 0:
        return EVERYTHING
    down = sqrt(max(0.0, (p * q) ** 2 - t.low * k.high * (2 * p - t.low) * (2 * q - k.high)))
    up = sqrt(max(0.0, (p * q) ** 2 - t.high * k.low * (2 * p - t.high) * (2 * q - k.low)))
    below, above = k.high * (2 * q - k.high), k.low * (2 * q - k.low)
    if not below > 0 or not above > 0:
        return EVERYTHING
    return Interval((p * q - down) / below - 1, (p * q + up) / above - 1)


def _level(c: Counts) -> float:
    """Return the two-sided level whose interval just touches 0, by bisection on the normal scale."""
    if c.treated * c.n_control == c.control * c.n_treated:
        return 1.0
    low, high = 0.0, 40.0
    for _ in range(50):
        middle = (low + high) / 2
        inside = _added(c, *_wilsons(c, middle)).holds(0.0)
        low, high = (low, middle) if inside else (middle, high)
    return min(1.0, 2 * normal_sf((low + high) / 2))
