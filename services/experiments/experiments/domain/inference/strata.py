"""Comparison within strata: a contrast whose arms are weighed alike, whatever chance made of their mix."""

from collections.abc import Iterable
from dataclasses import dataclass

from experiments.domain.inference.contrasts import satterthwaite, unknown
from experiments.domain.inference.intervals import Contrast
from experiments.domain.inference.moments import D, Moments, Y, merged

Stratum = tuple[Moments, Moments]  # treated, control


def stratified(strata: Iterable[Stratum]) -> Contrast:
    """Weigh strata (treated, control) by their share of all units (Miratrix, Sekhon & Yu 2013, "Adjusting treatment
    effect estimates by post-stratification", JRSS B 75, eq. 1 and 4). Strata too thin for a variance are put together.
    """
    cells = _thick(list(strata))
    total = sum(t.n + c.n for t, c in cells)
    if not total:
        return unknown(merged(()), merged(()))
    weights = [(t.n + c.n) / total for t, c in cells]
    a = _weighed([t for t, _ in cells], weights)
    b = _weighed([c for _, c in cells], weights)
    if a is None or b is None:
        return unknown(merged(t for t, _ in cells), merged(c for _, c in cells))
    shared = [
        sum(w * p * q for w, p, q in zip(weights, u, v, strict=True)) / total
        for u, v in ((a.between, a.between), (b.between, b.between), (a.between, b.between))
    ]
    df = satterthwaite(a.within, a.n - len(cells), b.within, b.n - len(cells))
    return Contrast(
        a.value, b.value, a.within + shared[0], b.within + shared[1], shared[2], a.n, b.n, df
    )


@dataclass(frozen=True, slots=True)
class _Weighed:
    n: int
    value: float
    within: float
    between: tuple[float, ...]


def _weighed(cells: list[Moments], weights: list[float]) -> _Weighed | None:
    """Return one arm over its strata: the ratio of weighted means, and where its variance comes from."""
    above = sum(w * m.mean[Y] for w, m in zip(weights, cells, strict=True))
    below = sum(w * m.mean[D] for w, m in zip(weights, cells, strict=True))
    if not below or any(m.n < 2 for m in cells):
        return None
    ratio = above / below
    between = tuple((m.mean[Y] - ratio * m.mean[D]) / below for m in cells)
    within = sum(
        w * w * _score(m, ratio) / (m.n - 1) / m.n for w, m in zip(weights, cells, strict=True)
    )
    return _Weighed(sum(m.n for m in cells), ratio, within / below**2, between)


def _score(m: Moments, ratio: float) -> float:
    return max(0.0, m.spread(Y, Y) - 2 * ratio * m.spread(Y, D) + ratio**2 * m.spread(D, D))


def _thick(cells: list[Stratum]) -> list[Stratum]:
    """Put together the strata that lack two units in an arm, and if that is not enough, with the smallest other."""
    thin = [cell for cell in cells if min(cell[0].n, cell[1].n) < 2]
    thick = sorted((c for c in cells if min(c[0].n, c[1].n) >= 2), key=lambda c: -(c[0].n + c[1].n))
    rest = (merged(t for t, _ in thin), merged(c for _, c in thin))
    if min(rest[0].n, rest[1].n) < 2 and thick:
        last = thick.pop()
        rest = (rest[0].plus(last[0]), rest[1].plus(last[1]))
    return [*thick, rest] if rest[0].n + rest[1].n else thick
