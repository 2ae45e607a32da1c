"""The distributions that inference needs, from `math` alone (ADR 0040 weighs this against scipy's memory).

Normal, Student, chi-square and beta, upper tails where precision is in the tail. The tests hold each against scipy to
1e-9 relative or better. Arguments are finite; `df` and shape parameters are positive.
"""

from math import erfc, exp, inf, lgamma, log, log1p, pi, sqrt, tan
from statistics import NormalDist

_NORMAL = NormalDist()
_ROOT2 = sqrt(2.0)
_TINY = 1e-300
_MANY_DF = 200.0
_ALMOST_NORMAL = 1e6
_STIRLING = (
    1 / 12,
    -1 / 360,
    1 / 1260,
    -1 / 1680,
    1 / 1188,
    -691 / 360360,
    1 / 156,
)  # DLMF 5.11.1


def normal_cdf(z: float) -> float:
    """Return P(Z ≤ z)."""
    return 0.5 * erfc(-z / _ROOT2)


def normal_sf(z: float) -> float:
    """Return P(Z > z)."""
    return 0.5 * erfc(z / _ROOT2)


def normal_pdf(z: float) -> float:
    """Return the density of Z at z."""
    return exp(-0.5 * z * z) / sqrt(2 * pi)


def normal_upper(tail: float) -> float:
    """Return z with P(Z > z) = tail (Wichura 1988, AS 241); infinite where the tail is 0 or 1."""
    if tail <= 0.0:
        return inf
    return -_NORMAL.inv_cdf(tail) if tail < 1.0 else -inf


def log_beta(a: float, b: float) -> float:
    """Return log B(a, b) without the cancellation of three large log-gammas (DiDonato & Morris 1992, section 4)."""
    a, b = min(a, b), max(a, b)
    if b < 10:
        return lgamma(a) + lgamma(b) - lgamma(a + b)
    far = _stirling(b) - _stirling(a + b) - (b - 0.5) * log1p(a / b)
    if a < 10:
        return lgamma(a) + far + a * (1 - log(a + b))
    near = _stirling(a) + 0.5 * log(2 * pi) - 0.5 * log(a)
    return near + far + a * log(a / (a + b))


def _stirling(x: float) -> float:
    """Return log Γ(x) − ((x − ½) log x − x + ½ log 2π), for x ≥ 10 (DLMF 5.11.1)."""
    square, power, total = x * x, 1 / x, 0.0
    for term in _STIRLING:
        total += term * power
        power /= square
    return total


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta I_x(a, b) by its continued fraction (DLMF 8.17.22)."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    return beta_parts(x, 1 - x, a, b)


def beta_parts(x: float, y: float, a: float, b: float) -> float:
    """Return I_x(a, b) where y = 1 − x is given apart, so that neither end loses its digits."""
    if x > (a + 1) / (a + b + 2):
        return 1.0 - beta_parts(y, x, b, a)
    log_x, log_y = (log1p(-y), log(y)) if y < x else (log(x), log1p(-x))
    front = exp(a * log_x + b * log_y - log_beta(a, b))
    return front * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction of I_x(a, b) by Lentz's method (Press et al., Numerical Recipes, 6.4)."""
    c, d = 1.0, 1.0 / _off_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, 20_000):
        twice = a + 2 * m
        even = m * (b - m) * x / ((twice - 1) * twice)
        odd = -(a + m) * (a + b + m) * x / (twice * (twice + 1))
        d = 1.0 / _off_zero(1 + even * d)
        c = _off_zero(1 + even / c)
        value *= d * c
        d = 1.0 / _off_zero(1 + odd * d)
        c = _off_zero(1 + odd / c)
        value *= d * c
        if abs(d * c - 1) < 1e-15:
            break
    return value


def _off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def student_sf(t: float, df: float) -> float:
    """Return P(T > t) for Student's distribution (DLMF 8.17.5; Abramowitz & Stegun 26.7.1)."""
    if t < 0:
        return 1.0 - student_sf(-t, df)
    if df > 500 and (df >= _ALMOST_NORMAL or t**10 < 1e-9 * df**4):
        return normal_sf(_normalised(t, df))
    square = t * t
    whole = df + square
    return 0.5 * beta_parts(df / whole, square / whole, df / 2, 0.5) if t else 0.5


def _normalised(t: float, df: float) -> float:
    """Return the z whose tail is that of t (Hill 1970, CACM 13, algorithm 395, as a series in 1/df)."""
    s = t * t
    third = t * (((35 * s + 19) * s + 1) * s - 15) / 384
    return t - (t * (s + 1) / 4 - (t * ((13 * s + 8) * s + 3) / 96 - third / df) / df) / df


def student_upper(tail: float, df: float) -> float:
    """Return t with P(T > t) = tail, for a tail of at most a half."""
    if tail <= 0.0:
        return inf
    if df <= 1.0:
        return tan(pi * (0.5 - tail)) if df == 1.0 else _polished(tail, df, tan(pi * (0.5 - tail)))
    start = _expanded(normal_upper(tail), df)
    return start if df >= _MANY_DF else _polished(tail, df, start)


def _expanded(z: float, df: float) -> float:
    """Return the quantile as a series in 1/df (Abramowitz & Stegun 26.7.5)."""
    s = z * z
    first = z * (s + 1) / 4
    second = z * ((5 * s + 16) * s + 3) / 96
    third = z * (((3 * s + 19) * s + 17) * s - 15) / 384
    fourth = z * ((((79 * s + 776) * s + 1482) * s - 1920) * s - 945) / 92160
    return z + (first + (second + (third + fourth / df) / df) / df) / df


def _polished(tail: float, df: float, start: float) -> float:
    """Improve a quantile by Newton's method on log tail against log t, which is nearly straight far out."""
    t = max(start, 1e-12)
    for _ in range(60):
        now = student_sf(t, df)
        step = (log(now) - log(tail)) * now / (t * _student_pdf(t, df))
        t *= exp(max(-2.0, min(2.0, step)))
        if abs(step) < 1e-14:
            break
    return t


def _student_pdf(t: float, df: float) -> float:
    log_scale = 0.5 * log(df) + log_beta(df / 2, 0.5)
    return exp(-log_scale - (df + 1) / 2 * log1p(t * t / df))


def chi_square_sf(x: float, df: int) -> float:
    """Return P(X > x) as a finite sum over a whole number of degrees (Abramowitz & Stegun 26.4.4 and 26.4.5)."""
    if x <= 0.0 or df <= 0:
        return 1.0
    half = x / 2
    total = erfc(sqrt(half)) if df % 2 else exp(-half)
    shape = 0.5 if df % 2 else 1.0
    while shape < df / 2:
        total += exp(shape * log(half) - half - lgamma(shape + 1))
        shape += 1
    return min(1.0, total)
