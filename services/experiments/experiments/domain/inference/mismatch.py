"""Is the traffic split as planned? If it is not, no other number of an experiment may be believed.

The sequential test is the one that is watched; the chi-square test is for one look, and for people who expect it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, lgamma, log

from experiments.domain.inference.special import chi_square_sf

CONCENTRATION = 10_000.0  # a share is looked for within about ±1 % of the planned one
ALARM = 0.001  # the chance of a false alarm, ever


@dataclass(frozen=True, slots=True)
class Phase:
    """Units exposed to each variant while one allocation held, and the weights of that allocation."""

    seen: tuple[int, ...]
    weights: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """Whether the split is wrong: log e-value, always-valid p-value, and the p-value of a single look."""

    log_e: float
    p: float
    p_once: float

    @property
    def wrong(self) -> bool:
        """Whether the split differs from the plan beyond doubt."""
        return self.p <= ALARM


def split(phases: Sequence[Phase]) -> Split:
    """Test every phase against its own allocation and multiply the evidence (a product of e-values that do not know of
    each other is an e-value), so that a changed allocation is no false alarm.
    """
    total = sum(_log_e(phase) for phase in phases)
    return Split(total, exp(min(0.0, -total)), _chi_square(phases))


def _log_e(phase: Phase) -> float:
    """Return the log Bayes factor of Dirichlet–multinomial against the plan (Lindon & Malek 2022, "Anytime-valid
    inference for multinomial count data", NeurIPS 35, eq. 7, with the prior centred on the plan). Infinite evidence
    where a variant without weight was seen.
    """
    shares = _shares(phase)
    if any(seen and not share for seen, share in zip(phase.seen, shares, strict=True)):
        return float("inf")
    n = sum(phase.seen)
    total = lgamma(CONCENTRATION) - lgamma(CONCENTRATION + n)
    for seen, share in zip(phase.seen, shares, strict=True):
        if seen:
            prior = CONCENTRATION * share
            total += lgamma(prior + seen) - lgamma(prior) - seen * log(share)
    return total


def _chi_square(phases: Sequence[Phase]) -> float:
    """Return Pearson's p-value, summed over phases (Pearson 1900; Fabijan et al., KDD 2019, section 2, as the usual
    check for a sample ratio mismatch).
    """
    square, df = 0.0, 0
    for phase in phases:
        n, shares = sum(phase.seen), _shares(phase)
        if not n:
            continue
        if any(seen and not share for seen, share in zip(phase.seen, shares, strict=True)):
            return 0.0
        cells = [(s, n * w) for s, w in zip(phase.seen, shares, strict=True) if w]
        square += sum((seen - due) ** 2 / due for seen, due in cells)
        df += len(cells) - 1
    return chi_square_sf(square, df)


def _shares(phase: Phase) -> list[float]:
    whole = sum(phase.weights)
    return [weight / whole if whole else 0.0 for weight in phase.weights]
