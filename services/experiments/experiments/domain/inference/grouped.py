"""Group sequential tests: a planned size, any number of planned looks, an error rate that is spent between them.

The joint law of the looks is integrated numerically (Armitage, McPherson & Rowe 1969; Jennison & Turnbull 2000, "Group
Sequential Methods", chapter 19, eq. 19.4 to 19.10). Boundaries are symmetric. The tests hold them against the tables of
that book and of Lan & DeMets. Boundaries depend on the looks alone, so they are remembered.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from math import ceil, e, exp, log, pi, sqrt

from experiments.domain.errors import BadPlan
from experiments.domain.inference.fixed import NOTHING, Evidence
from experiments.domain.inference.intervals import Contrast, absolute, relative
from experiments.domain.inference.special import normal_sf, normal_upper

MOST_LOOKS = 60
_FAR = 7.0  # standard deviations: what lies beyond has a chance of 3e-12
_ROOT_2PI = sqrt(2 * pi)


class Spending(StrEnum):
    """How fast the error rate is spent."""

    OBRIEN_FLEMING = "obrien_fleming"
    POCOCK = "pocock"
    LINEAR = "linear"


def _obrien_fleming(t: float, alpha: float) -> float:
    return min(alpha, 4 * normal_sf(normal_upper(alpha / 4) / sqrt(t)))


def _pocock(t: float, alpha: float) -> float:
    return alpha * log(1 + (e - 1) * t)


def _linear(t: float, alpha: float) -> float:
    return alpha * t


_SPENT: dict[Spending, Callable[[float, float], float]] = {
    Spending.OBRIEN_FLEMING: _obrien_fleming,
    Spending.POCOCK: _pocock,
    Spending.LINEAR: _linear,
}


def spent(t: float, alpha: float, spending: Spending = Spending.OBRIEN_FLEMING) -> float:
    """Return the two-sided error rate that may be used up to information t (Lan & DeMets 1983, "Discrete sequential
    boundaries for clinical trials", Biometrika 70, α*₁ and α*₂, each for α/2 to a side; linear: Kim & DeMets 1987).
    """
    return 0.0 if t <= 0 else _SPENT[spending](min(t, 1.0), alpha)


def check_looks(looks: Sequence[float]) -> None:
    """Refuse looks that are none, too many, or do not go forward."""
    if not 1 <= len(looks) <= MOST_LOOKS or looks[0] <= 0:
        raise BadPlan(
            f"a group sequential test has 1 to {MOST_LOOKS} looks, each at more than no information"
        )
    if any(b - a < 1e-6 for a, b in pairwise(looks)):
        raise BadPlan("each look must come at more information than the one before")


@dataclass(frozen=True, slots=True)
class _Grid:
    """A density over the z-scale of one look, with the weights of Simpson's rule already in it."""

    points: tuple[float, ...]
    masses: tuple[float, ...]


@lru_cache(maxsize=512)
def boundaries(
    looks: tuple[float, ...], alpha: float, spending: Spending = Spending.OBRIEN_FLEMING
) -> tuple[float, ...]:
    """Return the critical |z| of each look (Jennison & Turnbull 2000, section 7.2, eq. 7.2, solved look by look).

    `looks` are information fractions; a look beyond 1 spends what is left. Raises BadPlan.
    """
    check_looks(looks)
    found: list[float] = []
    grid: _Grid | None = None
    for k, t in enumerate(looks):
        used = spent(looks[k - 1], alpha, spending) if k else 0.0
        tail = (spent(t, alpha, spending) - used) / 2
        before = looks[k - 1] if k else 0.0
        found.append(_edge(grid, before, t, tail))
        if k + 1 < len(looks):
            grid = _continued(grid, (before, t), found[-1], _step(t, looks[k + 1]))
    return tuple(found)


def crossing(
    looks: Sequence[float], edges: Sequence[float], drift: float
) -> tuple[tuple[float, float], ...]:
    """Return the chance to leave above and below at each look, when z at full information has mean `drift`
    (Jennison & Turnbull 2000, eq. 19.4 to 19.6).
    """
    check_looks(looks)
    grid: _Grid | None = None
    left: list[tuple[float, float]] = []
    for k, (t, edge) in enumerate(zip(looks, edges, strict=True)):
        before = looks[k - 1] if k else 0.0
        left.append(
            (
                _beyond(grid, (before, t), edge, drift),
                _beyond(_turned(grid), (before, t), edge, -drift),
            )
        )
        if k + 1 < len(looks):
            grid = _continued(grid, (before, t), edge, _step(t, looks[k + 1]), drift)
    return tuple(left)


def staged(
    contrast: Contrast, looks: tuple[float, ...], alpha: float, spending: Spending
) -> Evidence:
    """Return the evidence at the latest of these looks: the stage-wise p-value (Tsiatis, Rosner & Mehta 1984; Jennison
    & Turnbull 2000, eq. 8.10) and repeated confidence intervals (their eq. 9.2), the lift by Fieller's inversion.

    The p-value is at most what has been spent by now exactly when the boundary is reached; it is valid at the look at
    which the test ends.
    """
    if not contrast.informative:
        return NOTHING
    edge = boundaries(looks, alpha, spending)[-1]
    p = stagewise(looks, alpha, spending, abs(contrast.z))
    return Evidence(p, absolute(contrast, edge), relative(contrast, edge))


def stagewise(looks: tuple[float, ...], alpha: float, spending: Spending, z: float) -> float:
    """Return the chance, without effect, to end earlier or to reach |z| at the latest look."""
    before, now = (0.0, *looks)[-2:]
    grid = _reached(looks, alpha, spending)
    return min(1.0, spent(before, alpha, spending) + 2 * _beyond(grid, (before, now), z, 0.0))


@lru_cache(maxsize=512)
def _reached(looks: tuple[float, ...], alpha: float, spending: Spending) -> _Grid | None:
    """Return the law of the look before the last, of those tests that went on."""
    grid: _Grid | None = None
    for k, edge in enumerate(boundaries(looks, alpha, spending)[:-1]):
        before = looks[k - 1] if k else 0.0
        grid = _continued(grid, (before, looks[k]), edge, _step(looks[k], looks[k + 1]))
    return grid


def _step(t: float, following: float) -> float:
    """Return a grid step fine enough for the increment up to the following look."""
    return 0.2 * min(1.0, sqrt((following - t) / following))


def _edge(grid: _Grid | None, before: float, t: float, tail: float) -> float:
    """Find the z that is exceeded, by those who went on, with this chance."""
    if grid is None or tail <= 0:
        return min(normal_upper(max(tail, 0.0)), 1e9)
    low, high = 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        above = _beyond(grid, (before, t), middle, 0.0) > tail
        low, high = (middle, high) if above else (low, middle)
        if high - low < 1e-10:
            break
    return (low + high) / 2


def _beyond(grid: _Grid | None, times: tuple[float, float], edge: float, drift: float) -> float:
    """Return the chance of z above the edge at this look and inside until now."""
    before, t = times
    if grid is None:
        return normal_sf(edge - drift * sqrt(t))
    scale = 1 / sqrt(t - before)
    reach, pull = edge * sqrt(t) - drift * (t - before), sqrt(before)
    return sum(
        mass * normal_sf((reach - z * pull) * scale)
        for z, mass in zip(grid.points, grid.masses, strict=True)
    )


def _turned(grid: _Grid | None) -> _Grid | None:
    """Return the mirror image, for the lower boundary."""
    return grid and _Grid(tuple(-z for z in grid.points), grid.masses)


def _continued(
    grid: _Grid | None, times: tuple[float, float], edge: float, step: float, drift: float = 0.0
) -> _Grid:
    """Return the law of z at this look, of those tests that stay inside the edge (Simpson's rule)."""
    before, t = times
    middle = drift * sqrt(t)
    low, high = max(-edge, middle - _FAR), min(edge, middle + _FAR)
    if not low < high:
        return _Grid((), ())
    parts = 2 * max(8, ceil((high - low) / step / 2))
    width = (high - low) / parts
    points = tuple(low + width * i for i in range(parts + 1))
    weights = (width / 3 * (1 if i in (0, parts) else 4 if i % 2 else 2) for i in range(parts + 1))
    law = _first(middle) if grid is None else _next(grid, before, t, drift)
    return _Grid(points, tuple(w * law(z) for z, w in zip(points, weights, strict=True)))


def _first(middle: float) -> Callable[[float], float]:
    return lambda z: exp(-0.5 * (z - middle) ** 2) / _ROOT_2PI


def _next(grid: _Grid, before: float, t: float, drift: float) -> Callable[[float], float]:
    """Return the density at z: the grid before, spread by an independent increment."""
    gained = t - before
    scale, pull, root = 1 / sqrt(gained), sqrt(before), sqrt(t)
    starts = [(z * pull + drift * gained) * scale for z in grid.points]
    factor = root * scale / _ROOT_2PI
    pairs = list(zip(starts, grid.masses, strict=True))

    def density(z: float) -> float:
        here = z * root * scale
        return factor * sum(m * exp(-0.5 * (here - s) ** 2) for s, m in pairs if abs(here - s) < 9)

    return density
