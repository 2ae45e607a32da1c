"""What is kept of the units instead of the units: count, means and centred co-moments, which merge in any order.

A unit is a vector, in this service (y, d, x_y, x_d): value, denominator, and what both were before the experiment.
Raw sums of squares are never kept: on 1e9 + N(0, 1) they lose the variance altogether.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations_with_replacement
from math import fsum, isfinite

from experiments.domain.errors import BadValue

LARGEST = (
    1e18  # in absolute value; its square, summed over all units there are, is still a finite number
)
Y, D, X_Y, X_D = range(4)
_AT = {pair: at for at, pair in enumerate(combinations_with_replacement(range(4), 2))}
_FOUR = tuple(_AT)


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean vector, and the upper triangle, row by row, of Σ (v − mean)(v − mean)ᵀ."""

    n: int
    mean: tuple[float, ...]
    co: tuple[float, ...]

    def plus(self, other: "Moments") -> "Moments":
        """Merge two groups (Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm for computing
        sample variances", the pairwise update; for vectors Pébay 2008, SAND2008-6212, section 3, its update of M₂).
        """
        if not self.n or not other.n:
            return self if self.n else other
        n = self.n + other.n
        gap = [b - a for a, b in zip(self.mean, other.mean, strict=True)]
        share, both = other.n / n, self.n * (other.n / n)
        mean = tuple(a + g * share for a, g in zip(self.mean, gap, strict=True))
        return Moments(n, mean, _summed(self.co, other.co, gap, both))

    def minus(self, part: "Moments") -> "Moments":
        """Take a group out again: the update of `plus`, solved for what remains."""
        n = self.n - part.n
        if n <= 0:
            return nothing(len(self.mean))
        share = part.n / n
        mean = tuple(a + (a - b) * share for a, b in zip(self.mean, part.mean, strict=True))
        gap = [b - a for a, b in zip(mean, part.mean, strict=True)]
        taken = tuple(-c for c in part.co)
        return Moments(n, mean, _floored(_summed(self.co, taken, gap, -n * (part.n / self.n))))

    def moved(self, before: Sequence[float], after: Sequence[float]) -> "Moments":
        """Let one unit change its values; the order of such changes does not matter."""
        step = [b - a for a, b in zip(before, after, strict=True)]
        old = [a - m for a, m in zip(before, self.mean, strict=True)]
        new = [b - m for b, m in zip(after, self.mean, strict=True)]
        mean = tuple(m + s / self.n for m, s in zip(self.mean, step, strict=True))
        co = tuple(
            c + new[i] * new[j] - old[i] * old[j] - step[i] * step[j] / self.n
            for c, (i, j) in zip(self.co, _pairs(len(mean)), strict=True)
        )
        return Moments(self.n, mean, _floored(co))

    def spread(self, i: int, j: int) -> float:
        """Return the co-moment of two columns of the four."""
        return self.co[_AT[i, j]]


def nothing(width: int = 4) -> Moments:
    """Return the moments of no unit."""
    return Moments(0, (0.0,) * width, (0.0,) * (width * (width + 1) // 2))


def single(values: Sequence[float]) -> Moments:
    """Return the moments of one unit. Values must be finite and at most 1e18 in size."""
    if not all(isfinite(v) and abs(v) <= LARGEST for v in values):
        raise BadValue(f"a value must be a finite number of at most {LARGEST:g} in size")
    width = len(values)
    return Moments(1, tuple(map(float, values)), (0.0,) * (width * (width + 1) // 2))


def of(units: Iterable[Sequence[float]], width: int = 4) -> Moments:
    """Return the moments of many units at once, in two passes."""
    rows = [single(unit).mean for unit in units]
    if not rows:
        return nothing(width)
    mean = tuple(fsum(column) / len(rows) for column in zip(*rows, strict=True))
    centred = [[v - m for v, m in zip(row, mean, strict=True)] for row in rows]
    co = tuple(fsum(row[i] * row[j] for row in centred) for i, j in _pairs(len(mean)))
    return Moments(len(rows), mean, co)


def merged(parts: Iterable[Moments]) -> Moments:
    """Merge any number of groups."""
    return reduce(Moments.plus, parts, nothing())


def counted(hits: int, n: int) -> Moments:
    """Return the moments of a proportion: `hits` ones and the rest zeros, each a unit of weight one."""
    return valued(n, hits / n if n else 0.0, hits * ((n - hits) / n) if n else 0.0)


def valued(n: int, mean: float, co: float) -> Moments:
    """Return the moments of a plain metric, whose denominator is always one and which has no past."""
    return Moments(n, (mean, 1.0, 0.0, 0.0), (co, *(0.0,) * 9))


def _pairs(width: int) -> Sequence[tuple[int, int]]:
    return _FOUR if width == 4 else tuple(combinations_with_replacement(range(width), 2))


def _summed(
    a: Sequence[float], b: Sequence[float], gap: Sequence[float], weight: float
) -> tuple[float, ...]:
    pairs = _pairs(len(gap))
    return tuple(p + q + gap[i] * gap[j] * weight for p, q, (i, j) in zip(a, b, pairs, strict=True))


def _floored(co: tuple[float, ...]) -> tuple[float, ...]:
    """Keep rounding from making a sum of squares negative."""
    if min(co) >= 0:
        return co
    pairs = _pairs(int((8 * len(co) + 1) ** 0.5 - 1) // 2)
    return tuple(max(c, 0.0) if i == j else c for c, (i, j) in zip(co, pairs, strict=True))
