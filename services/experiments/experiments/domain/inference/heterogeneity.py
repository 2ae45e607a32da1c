"""Does the effect differ between groups, and do two experiments disturb each other?"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from experiments.domain.inference.intervals import Contrast
from experiments.domain.inference.special import chi_square_sf, normal_sf


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The effect in one group, drawn towards that of all by as much as chance explains, and its standard error."""

    effect: float
    error: float


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """Cochran's Q, its p-value, I² (the share of variation that is not chance), τ², the common effect, each group."""

    q: float
    p: float
    i2: float
    tau2: float
    common: float
    groups: tuple[Shrunk | None, ...]


def across(groups: Sequence[Contrast]) -> Heterogeneity:
    """Test whether groups share one effect (Cochran 1954, "The combination of estimates from different experiments",
    Biometrics 10, eq. 3) with I² (Higgins & Thompson 2002, Stat. Med. 21, eq. 8), τ² by moments (DerSimonian & Laird
    1986, Controlled Clinical Trials 7, eq. 8), and each group's effect shrunk accordingly (Efron & Morris 1975, JASA
    70, eq. 2.3). Groups of which nothing is known are passed over.
    """
    known = [g for g in groups if g.informative]
    if not known:
        return Heterogeneity(0.0, 1.0, 0.0, 0.0, 0.0, (None,) * len(groups))
    weights = [g.error**-2 for g in known]
    common = _mean(known, weights)
    q = sum(w * (g.difference - common) ** 2 for w, g in zip(weights, known, strict=True))
    free = len(known) - 1
    total = sum(weights)
    spread = total - sum(w * w for w in weights) / total
    tau2 = max(0.0, (q - free) / spread) if free and spread > 0 else 0.0
    centre = _mean(known, [1 / (g.error**2 + tau2) for g in known])
    shrunk = tuple(_shrunk(g, centre, tau2) if g.informative else None for g in groups)
    return Heterogeneity(
        q, chi_square_sf(q, free), max(0.0, 1 - free / q) if q > 0 else 0.0, tau2, centre, shrunk
    )


def interaction(both: Contrast, alone: Contrast) -> tuple[float, float, float]:
    """Return how the effect of one experiment differs between the arms of another: difference, error, p-value
    (the 2 × 2 contrast: Cox & Reid 2000, "The theory of the design of experiments", section 5.2).
    """
    if not (both.informative and alone.informative):
        return 0.0, 0.0, 1.0
    difference = both.difference - alone.difference
    error = sqrt(both.error**2 + alone.error**2)
    return difference, error, min(1.0, 2 * normal_sf(abs(difference) / error))


def _mean(groups: Sequence[Contrast], weights: Sequence[float]) -> float:
    return sum(w * g.difference for w, g in zip(weights, groups, strict=True)) / sum(weights)


def _shrunk(group: Contrast, centre: float, tau2: float) -> Shrunk:
    kept = tau2 / (tau2 + group.error**2)
    return Shrunk(centre + kept * (group.difference - centre), sqrt(kept) * group.error)
