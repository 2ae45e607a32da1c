"""Many questions, one error rate: adjusted p-values, rejections by e-values, and intervals from the same split.

Every function keeps the order of what it is given.
"""

from collections.abc import Sequence
from math import exp, log

from experiments.domain.errors import BadPlan


def shares(alpha: float, weights: Sequence[float]) -> tuple[float, ...]:
    """Split an error rate over questions by weight (Rosenthal & Rubin 1983, "Ensemble-adjusted p values", Psychological
    Bulletin 94: the weighted Bonferroni split). Intervals at these levels hold together.
    """
    total = sum(weights)
    if not total > 0 or min(weights) < 0:
        raise BadPlan(
            "the weights of the questions must not be negative, and one must be more than nothing"
        )
    return tuple(alpha * weight / total for weight in weights)


def holm(p: Sequence[float]) -> tuple[float, ...]:
    """Return p-values adjusted for the family-wise error rate (Holm 1979, "A simple sequentially rejective multiple
    test procedure", Scand. J. Statist. 6, section 2, in its adjusted form).
    """
    found, floor = [1.0] * len(p), 0.0
    for rank, at in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        floor = max(floor, min(1.0, (len(p) - rank) * p[at]))
        found[at] = floor
    return tuple(found)


def benjamini_hochberg(p: Sequence[float]) -> tuple[float, ...]:
    """Return p-values adjusted for the false discovery rate (Benjamini & Hochberg 1995, JRSS B 57, eq. 1, in its
    adjusted form).
    """
    found, ceiling = [1.0] * len(p), 1.0
    order = sorted(range(len(p)), key=p.__getitem__)
    for rank in range(len(p), 0, -1):
        at = order[rank - 1]
        ceiling = min(ceiling, p[at] * len(p) / rank)
        found[at] = ceiling
    return tuple(found)


def e_benjamini_hochberg(log_e: Sequence[float], alpha: float) -> tuple[bool, ...]:
    """Reject by e-values, keeping the false discovery rate at any stopping time and dependence (Wang &
    Ramdas 2022, "False discovery rate control with e-values", JRSS B 84, def. 2: the largest k with e₍ₖ₎ ≥ m / kα).
    """
    least = _threshold(log_e, alpha)
    return tuple(value >= least for value in log_e)


def e_adjusted(log_e: Sequence[float]) -> tuple[float, ...]:
    """Return for each e-value the smallest α at which e-BH rejects it."""
    return benjamini_hochberg([exp(-max(value, 0.0)) for value in log_e])


def selected(alpha: float, rejected: int, questions: int) -> float:
    """Return the level of intervals that keep their false coverage rate after selection (Benjamini & Yekutieli 2005,
    JASA 100, definition 2; for e-values Xu, Wang & Ramdas 2022, arXiv 2203.12572): at least that of one rejection.
    """
    return alpha * max(rejected, 1) / max(questions, 1)


def _threshold(log_e: Sequence[float], alpha: float) -> float:
    ordered = sorted(log_e, reverse=True)
    found = [v for k, v in enumerate(ordered, 1) if v >= log(len(ordered) / (k * alpha))]
    return found[-1] if found else float("inf")
