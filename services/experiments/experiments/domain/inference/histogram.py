"""Moments by size of value: what caps, winsorises and ranks a metric without its units.

The buckets are logarithmic, 40 to a factor of ten (each about 6 % wide), with a mirror image for negative values and
one bucket for zero. Each holds the full moments of its units, so that a value cut at a bucket's edge gives exactly the
moments that cutting every unit would have given.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, copysign, floor, inf, log10

from experiments.domain.inference.moments import Moments, Y, merged, single
from experiments.domain.inference.quantiles import Ordered

PER_DECADE = 40
SMALLEST = -12  # values below 1e-12 in size count as zero
ZERO = 0


@dataclass(frozen=True, slots=True)
class Histogram:
    """The moments of the units in each bucket that is not empty."""

    buckets: Mapping[int, Moments]

    def plus(self, other: "Histogram") -> "Histogram":
        """Merge two groups."""
        return gathered((*self.buckets.items(), *other.buckets.items()))

    @property
    def n(self) -> int:
        """Return the number of units."""
        return sum(m.n for m in self.buckets.values())

    @property
    def total(self) -> Moments:
        """Return the moments of all units, nothing cut."""
        return merged(self.buckets[k] for k in sorted(self.buckets))

    def capped(self, low: int | None, high: int | None) -> Moments:
        """Return the moments with y cut at the outer edge of these buckets: units beyond are kept, at the edge's
        value (Tukey 1962, "The future of data analysis", Ann. Math. Stat. 33, section 14: winsorising).
        """
        return merged(self._cut(k, low, high) for k in sorted(self.buckets))

    def bucket_at(self, share: float) -> int:
        """Return the bucket in which a share of the units is reached."""
        rank, seen = max(1, ceil(share * self.n)), 0
        for key in sorted(self.buckets):
            seen += self.buckets[key].n
            if seen >= rank:
                return key
        return ZERO

    def _cut(self, key: int, low: int | None, high: int | None) -> Moments:
        part = self.buckets[key]
        if high is not None and key > high:
            return _held(part, edges(high)[1])
        return _held(part, edges(low)[0]) if low is not None and key < low else part


def bucket(value: float) -> int:
    """Return the bucket of a value; its sign is that of the value."""
    if abs(value) < 10.0**SMALLEST:
        return ZERO
    place = floor((log10(abs(value)) - SMALLEST) * PER_DECADE) + 1
    return int(copysign(place, value))


def edges(key: int) -> tuple[float, float]:
    """Return the values between which a bucket's lie."""
    if key == ZERO:
        return 0.0, 0.0
    near, far = (10.0 ** (SMALLEST + (abs(key) - i) / PER_DECADE) for i in (1, 0))
    return (near, far) if key > 0 else (-far, -near)


def of(units: Iterable[Sequence[float]]) -> Histogram:
    """Return the histogram of units (y, d, x_y, x_d)."""
    return gathered((bucket(unit[Y]), single(unit)) for unit in units)


def gathered(parts: Iterable[tuple[int, Moments]]) -> Histogram:
    """Return the histogram of parts, each with its bucket; parts of one bucket are merged in their order."""
    found: dict[int, Moments] = {}
    for key, part in parts:
        found[key] = found[key].plus(part) if key in found else part
    return Histogram({key: found[key] for key in sorted(found)})


def winsorised(arms: Sequence[Histogram], low: float, high: float) -> tuple[Moments, ...]:
    """Cut all arms at the same edges, those between which shares `low` to `high` of all units together lie: an edge of
    each arm's own would hide an effect on the tail. Shares of 0 and 1 cut nothing.
    """
    everyone = arms[0]
    for other in arms[1:]:
        everyone = everyone.plus(other)
    bottom = everyone.bucket_at(low) if low > 0 else None
    top = everyone.bucket_at(high) if high < 1 else None
    return tuple(arm.capped(bottom, top) for arm in arms)


def ranks(histogram: Histogram, inflation: float = 1.0) -> Ordered:
    """Return the ranks of y, each value that of its bucket's mean (within 6 %)."""
    keys = sorted(histogram.buckets)
    ends = list(accumulate(histogram.buckets[k].n for k in keys))
    means = [histogram.buckets[k].mean[Y] for k in keys]
    return Ordered(histogram.n, lambda rank: means[bisect_left(ends, rank)], inflation)


def _held(part: Moments, value: float) -> Moments:
    """Give every unit of a part the same y: its co-moments with everything vanish."""
    return (
        Moments(part.n, (value, *part.mean[1:]), (0.0,) * 4 + part.co[4:])
        if abs(value) < inf
        else part
    )
