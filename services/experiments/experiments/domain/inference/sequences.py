"""Inference that may be looked at as often as one likes: asymptotic confidence sequences and their e-values.

All in the log domain, so that neither a huge effect nor a tiny error rate overflows. A sequence is tuned: it is
narrowest when about `tuned` units have been seen, and valid at any number. Before `burn_in` units of each arm, when the
normal limit has not set in, it says nothing (Waudby-Smith et al., section 2.5 on delayed starts). ADR 0042 has the why
of the defaults, docs/calibration.md what they do.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import exp, expm1, inf, log, log1p, sqrt

from experiments.domain.inference.fixed import NOTHING, Evidence
from experiments.domain.inference.intervals import Contrast, Interval, absolute, guarded, relative

BURN_IN = 100
TUNED = 10_000


@dataclass(frozen=True, slots=True)
class Watch:
    """How a metric is watched: for how many units in all it is tuned, and from how many of each arm it speaks."""

    tuned: int = TUNED
    burn_in: int = BURN_IN

    def awake(self, contrast: Contrast) -> bool:
        """Tell whether enough units are there for the normal limit."""
        return contrast.informative and min(contrast.n_treated, contrast.n_control) >= self.burn_in


@lru_cache(maxsize=1024)
def mixing(tuned: int, alpha: float) -> float:
    """Return ρ², the mixing variance that is narrowest at `tuned` units (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas,
    "Time-uniform central limit theory and asymptotic confidence sequences", arXiv 2103.06476, appendix on tuning: the
    closed form ρ² = (−2 log α + log(−2 log α + 1)) / n of the solution by Lambert's W). A sequence holds for any ρ²:
    for large α, up to 1 where one side has 1/2, that of 1/2 is taken, since the narrowest would be none at all.
    """
    double = -2 * log(min(alpha, 0.5))
    return (double + log(double + 1)) / tuned


def multiplier(n: int, rho2: float, alpha: float) -> float:
    """Return how many standard errors the two-sided sequence reaches at n units (arXiv 2103.06476, theorem 2.2: the
    margin σ̂·√(2(nρ²+1)/(n²ρ²) · log(√(nρ²+1)/α)), over σ̂/√n).
    """
    grown = n * rho2 + 1
    return sqrt(grown / (n * rho2) * (log(grown) - 2 * log(alpha)))


def log_e(z: float, n: int, rho2: float) -> float:
    """Return the log e-value against "no difference": the normal mixture whose inversion is `multiplier` (Robbins 1970,
    "Statistical methods related to the law of the iterated logarithm", Ann. Math. Stat. 41, eq. 17).
    """
    grown = n * rho2 + 1
    return 0.5 * (z * z * (n * rho2 / grown) - log(grown))


def watched(contrast: Contrast, alpha: float, watch: Watch) -> Evidence:
    """Return the always-valid p-value of this look, and the confidence sequences of difference and lift.

    The lift inverts the same sequence for each ratio ρ, whose process m_t − ρ m_c has its own variance; it keeps the
    guarantee under peeking, where a delta-method interval for the lift does not.
    """
    if not watch.awake(contrast):
        return NOTHING
    contrast = guarded(contrast)
    rho2 = mixing(watch.tuned, alpha)
    reach = multiplier(contrast.n, rho2, alpha)
    p = exp(min(0.0, -log_e(contrast.z, contrast.n, rho2)))
    return Evidence(p, absolute(contrast, reach), relative(contrast, reach))


def log_evidence(contrast: Contrast, alpha: float, watch: Watch) -> float:
    """Return the log e-value of a contrast, 0 before the burn-in; for e-BH over several."""
    if not watch.awake(contrast):
        return 0.0
    return log_e(guarded(contrast).z, contrast.n, mixing(watch.tuned, alpha))


def one_sided_multiplier(n: int, rho2: float, alpha: float) -> float:
    """Return how many standard errors a one-sided sequence reaches (arXiv 2103.06476, proposition on one-sided
    sequences in the appendix: log(1 + √(nρ²+1)/(2α)) in place of log(√(nρ²+1)/α)).
    """
    grown = n * rho2 + 1
    return sqrt(2 * grown / (n * rho2) * log1p(sqrt(grown) / (2 * alpha)))


def one_sided_p(z: float, n: int, rho2: float) -> float:
    """Return the always-valid p-value of "the effect is at most 0": the inversion of `one_sided_multiplier` in α."""
    if z <= 0:
        return 1.0
    grown = n * rho2 + 1
    power = z * z * n * rho2 / (2 * grown)
    return min(1.0, 0.5 * sqrt(grown) / expm1(power)) if power < 700 else 0.0


def superior(contrast: Contrast, alpha: float, watch: Watch) -> float:
    """Return the always-valid p-value of "treatment is not above control"; on `scaled(contrast, 1 − margin)` it is the
    test of non-inferiority at any look.
    """
    return _one_sided(contrast, contrast.difference, alpha, watch)


def harmed(contrast: Contrast, alpha: float, watch: Watch) -> float:
    """Return the always-valid p-value of "treatment is not below control" (higher is better): at α or below, the
    metric is harmed, and the experiment may be paused by itself at any look.
    """
    return _one_sided(contrast, -contrast.difference, alpha, watch)


def lower(contrast: Contrast, alpha: float, watch: Watch) -> Interval:
    """Return the one-sided sequence of the difference: from its lower bound up."""
    if not watch.awake(contrast):
        return Interval(-inf, inf)
    contrast = guarded(contrast)
    reach = one_sided_multiplier(contrast.n, mixing(watch.tuned, 2 * alpha), alpha)
    return Interval(contrast.difference - reach * contrast.error, inf)


def _one_sided(contrast: Contrast, distance: float, alpha: float, watch: Watch) -> float:
    if not watch.awake(contrast):
        return 1.0
    error = guarded(contrast).error
    return one_sided_p(distance / error, contrast.n, mixing(watch.tuned, 2 * alpha))
