"""From the moments of two arms to their contrast: plain, or with the variance that the past explains taken away.

A metric is always the ratio Σy / Σd; for means, counts and proportions d is one for every unit, and the delta method
gives exactly the ordinary variance. All adjustments work on the linearised score of a unit, (y − R·d) / mean d, so they
serve every kind of metric and every breakdown alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from experiments.domain.inference.intervals import Contrast
from experiments.domain.inference.moments import D, Moments, Y

_NOTHING = (0.0, 0.0)
_ENOUGH = 10  # units, before a slope may be fitted to them
Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Arm:
    """An estimate, the sum of squares of its unit scores, and how these go with the two covariates."""

    n: int
    value: float
    score: float  # Σ score²
    with_past: tuple[float, float]  # Σ score · x
    past: tuple[float, float, float]  # co-moments of x: (y, y), (y, d), (d, d)
    past_mean: tuple[float, float]


def arm(m: Moments) -> Arm | None:
    """Return the linearised ratio of an arm (Deng, Knoblich & Lu, KDD 2018, "Applying the delta method in metric
    analytics", section 3.1, the variance of a ratio of means). None where there is no denominator.
    """
    y, d, x_y, x_d = m.mean
    if not m.n or not d:
        return None
    yy, yd, yu, yv, dd, du, dv, uu, uv, vv = m.co
    ratio = y / d
    score = max(0.0, yy - 2 * ratio * yd + ratio * ratio * dd) / (d * d)
    with_past = ((yu - ratio * du) / d, (yv - ratio * dv) / d)
    return Arm(m.n, ratio, score, with_past, (uu, uv, vv), (x_y, x_d))


def plain(treated: Moments, control: Moments) -> Contrast:
    """Compare two arms as they are."""
    a, b = arm(treated), arm(control)
    return _contrast(a, b, ((_NOTHING, 0), (_NOTHING, 0))) if a and b else unknown(treated, control)


def cuped(treated: Moments, control: Moments) -> Contrast:
    """Take away what the past explains, with one slope for both arms (Deng, Xu, Kohavi & Walker, WSDM 2013,
    "Improving the sensitivity of online controlled experiments by utilizing pre-experiment data", eq. 4 and 5).
    """
    a, b = arm(treated), arm(control)
    if not a or not b:
        return unknown(treated, control)
    past = (a.past[0] + b.past[0], a.past[1] + b.past[1], a.past[2] + b.past[2])
    both = (a.with_past[0] + b.with_past[0], a.with_past[1] + b.with_past[1])
    slope = _slope(past, both) if a.n + b.n >= _ENOUGH else _NOTHING
    return _contrast(a, b, ((slope, 0), (slope, 0)))


def regression(treated: Moments, control: Moments) -> Contrast:
    """Take away what the past explains, with a slope for each arm (Lin 2013, "Agnostic notes on regression adjustments
    to experimental data", Annals of Applied Statistics 7, section 3: OLS with interactions), plus the part of the
    variance that comes from estimating the mean of the past (Negi & Wooldridge 2021, Econometric Reviews 40, sec. 3).
    """
    a, b = arm(treated), arm(control)
    if not a or not b:
        return unknown(treated, control)
    return _contrast(a, b, (_own_slope(a), _own_slope(b)))


def _contrast(a: Arm, b: Arm, slopes: tuple[tuple[Pair, int], tuple[Pair, int]]) -> Contrast:
    """Adjust both arms by their slopes towards the mean past of all units, and say how certain that is."""
    (slope_a, used_a), (slope_b, used_b) = slopes
    free_a, free_b = a.n - 1 - used_a, b.n - 1 - used_b
    own_a, own_b = _own_variance(a, slope_a, free_a), _own_variance(b, slope_b, free_b)
    df = satterthwaite(own_a, free_a, own_b, free_b)
    if slope_a == slope_b == _NOTHING:
        return Contrast(a.value, b.value, own_a, own_b, 0.0, a.n, b.n, df)
    n = a.n + b.n
    centre = tuple((p * a.n + q * b.n) / n for p, q in zip(a.past_mean, b.past_mean, strict=True))
    shared = [
        _product(p, _pooled(a, b), q) / n
        for p, q in ((slope_a, slope_a), (slope_b, slope_b), (slope_a, slope_b))
    ]
    return Contrast(
        _shifted(a, slope_a, centre),
        _shifted(b, slope_b, centre),
        own_a + shared[0],
        own_b + shared[1],
        shared[2],
        a.n,
        b.n,
        df,
    )


def doubted(contrast: Contrast) -> Contrast:
    """Return the contrast of two proportions in which an arm of nothing but ones or zeros is not taken for certain.

    Such an arm has the variance of its Jeffreys estimate, (hits + ½)/(n + 1) (Brown, Cai & DasGupta 2001, "Interval
    estimation for a binomial proportion", Stat. Sci. 16, sec. 4.1.2). It vanishes like 1/n², so limits stay what they
    are; without it nobody against everybody would be no evidence at all (ADR 0069).
    """
    if contrast.var_treated > 0 and contrast.var_control > 0:
        return contrast
    treated = contrast.var_treated or _of_one_kind(contrast.n_treated)
    control = contrast.var_control or _of_one_kind(contrast.n_control)
    df = satterthwaite(treated, contrast.n_treated - 1, control, contrast.n_control - 1)
    return replace(contrast, var_treated=treated, var_control=control, df=df)


def _of_one_kind(n: int) -> float:
    """Return the squared standard error of a proportion whose units all are one thing; it is the same for 0 and 1."""
    rate = 0.5 / (n + 1)
    return rate * (1 - rate) / n if n else 0.0


def _own_variance(a: Arm, slope: Pair, free: int) -> float:
    """Return the squared standard error of an arm once its slope has taken away what it can."""
    if free < 1:
        return 0.0
    along = slope[0] * a.with_past[0] + slope[1] * a.with_past[1]
    left = a.score - 2 * along + _product(slope, a.past, slope)
    return max(0.0, left) / free / a.n


def satterthwaite(v: float, free_v: int, w: float, free_w: int) -> float:
    """Return Welch's degrees of freedom (Welch 1947, Biometrika 34, eq. 28); 0 where there is nothing to infer."""
    if free_v < 1 or free_w < 1 or not v + w > 0:
        return 0.0
    share = v / (v + w)
    return 1 / (share * share / free_v + (1 - share) * (1 - share) / free_w)


def _shifted(a: Arm, slope: Pair, centre: Sequence[float]) -> float:
    return a.value - sum(s * (x - c) for s, x, c in zip(slope, a.past_mean, centre, strict=True))


def _pooled(a: Arm, b: Arm) -> tuple[float, float, float]:
    free = max(1, a.n + b.n - 2)
    p, q = a.past, b.past
    return (p[0] + q[0]) / free, (p[1] + q[1]) / free, (p[2] + q[2]) / free


def _product(p: Pair, past: tuple[float, float, float], q: Pair) -> float:
    """Return pᵀ·past·q."""
    yy, yd, dd = past
    return p[0] * q[0] * yy + (p[0] * q[1] + p[1] * q[0]) * yd + p[1] * q[1] * dd


def _own_slope(a: Arm) -> tuple[Pair, int]:
    slope = _slope(a.past, a.with_past)
    return (slope, sum(s != 0 for s in slope)) if a.n >= _ENOUGH else (_NOTHING, 0)


def _slope(past: tuple[float, float, float], with_past: Pair) -> Pair:
    """Solve past · slope = with_past; a covariate that does not vary, or repeats the other, is left out."""
    yy, yd, dd = past
    whole = yy * dd - yd * yd
    if yy > 0 and dd > 0 and whole > 1e-9 * yy * dd:
        return (
            (with_past[0] * dd - with_past[1] * yd) / whole,
            (with_past[1] * yy - with_past[0] * yd) / whole,
        )
    if yy > 0:
        return with_past[0] / yy, 0.0
    return (0.0, with_past[1] / dd) if dd > 0 else _NOTHING


def unknown(treated: Moments, control: Moments) -> Contrast:
    """Say what the arms are and that nothing follows from it."""
    values = [m.mean[Y] / m.mean[D] if m.mean[D] else 0.0 for m in (treated, control)]
    return Contrast(values[0], values[1], 0.0, 0.0, 0.0, treated.n, control.n, 0.0)
