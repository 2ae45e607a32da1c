"""The Bayesian view: what to believe of the effect after the data, the chance to win, and what a wrong choice costs.

It is a view of the same estimates, and no licence to peek: the decision is made by the frequentist methods.
"""

from dataclasses import dataclass
from math import exp, inf, sqrt

from experiments.domain.inference.fixed import Counts
from experiments.domain.inference.intervals import EVERYTHING, Contrast, Interval
from experiments.domain.inference.special import log_beta, normal_cdf, normal_pdf, normal_upper

EXACT = (
    5000  # successes or failures beyond which a skewed normal curve gives four digits of a chance
)


@dataclass(frozen=True, slots=True)
class Prior:
    """What was believed of the difference before: normal with this mean and standard deviation; infinite: nothing."""

    mean: float = 0.0
    deviation: float = inf


FLAT = Prior()


@dataclass(frozen=True, slots=True)
class Belief:
    """The posterior of the difference: mean, deviation, chance that treatment is better, central interval.

    `risk` is what shipping the treatment is expected to lose, `risk_control` what keeping the control is.
    """

    mean: float
    deviation: float
    chance: float
    risk: float
    risk_control: float
    interval: Interval


UNKNOWN = Belief(0.0, inf, 0.5, inf, inf, EVERYTHING)


def normal(contrast: Contrast, alpha: float, prior: Prior = FLAT) -> Belief:
    """Update a normal prior by a normal estimate (Gelman et al. 2013, "Bayesian Data Analysis", 3rd ed., eq. 2.12),
    with the expected loss of each choice (Stucchio 2015, "Bayesian A/B testing at VWO", section 6, in normal form).
    """
    if not contrast.informative:
        return UNKNOWN
    before = prior.deviation**-2
    now = contrast.error**-2
    deviation = sqrt(1 / (before + now))
    mean = (prior.mean * before + contrast.difference * now) * deviation**2
    return _belief(mean, deviation, normal_cdf(mean / deviation), alpha)


def beta_binomial(counts: Counts, alpha: float, prior: tuple[int, int] = (1, 1)) -> Belief:
    """Compare two proportions whose priors are Beta: chance to win and losses exact, the interval by moments
    (Miller 2015, "Formulas for Bayesian A/B testing", eq. 6; losses: Stucchio 2015, "Bayesian A/B testing at VWO",
    eq. 6.3; a step of a parameter: Cook 2005, "Exact calculation of beta inequalities", eq. 4).
    """
    a, b = prior[0] + counts.treated, prior[1] + counts.n_treated - counts.treated
    c, d = prior[0] + counts.control, prior[1] + counts.n_control - counts.control
    x, w = a / (a + b), c / (c + d)
    mean, deviation = x - w, sqrt(_beta_variance(a, b) + _beta_variance(c, d))
    if min(a + c, b + d) > EXACT:
        skew = (_beta_third(a, b) - _beta_third(c, d)) / deviation**3
        return _belief(mean, deviation, _edgeworth(mean / deviation, skew), alpha)
    chance = beats(a, b, c, d)
    step = exp(log_beta(a + c, b + d) - log_beta(a, b) - log_beta(c, d))
    gain = max(0.0, x * (chance + step / a) - w * (chance - step / c))
    return Belief(
        mean, deviation, chance, max(0.0, gain - mean), gain, _around(mean, deviation, alpha)
    )


def beats(a: int, b: int, c: int, d: int) -> float:
    """Return P(X > W) for X ~ Beta(a, b) and W ~ Beta(c, d) with whole parameters (Miller 2015, eq. 6).

    The terms of the sum are those of a hypergeometric law, which rise to one summit; the sum runs over the shorter
    side of it and stops where nothing is added any more.
    """
    below = a / (a + b) < c / (c + d)
    tail = _tail(a, b, c, d) if below else _tail(c, d, a, b)
    return tail if below else 1.0 - tail


def _tail(a: int, b: int, c: int, d: int) -> float:
    """Sum B(c+i, d+b) / ((b+i)·B(1+i, b)·B(c, d)) for i below a, from the last term, the largest on this side, down."""
    i = a - 1
    term = exp(log_beta(c + i, d + b) - log_beta(1 + i, b) - log_beta(c, d)) / (b + i)
    total = 0.0
    while i >= 0 and term > total * 1e-15:
        total += term
        # term(i − 1) / term(i)
        term *= i * (c + d + b + i - 1) / ((c + i - 1) * (b + i - 1)) if i else 0.0
        i -= 1
    return min(1.0, total)


def _belief(mean: float, deviation: float, chance: float, alpha: float) -> Belief:
    z = mean / deviation
    gain = deviation * (normal_pdf(z) + z * normal_cdf(z))
    risk = deviation * (normal_pdf(z) - z * normal_cdf(-z))
    interval = _around(mean, deviation, alpha)
    return Belief(mean, deviation, chance, max(0.0, risk), max(0.0, gain), interval)


def _around(mean: float, deviation: float, alpha: float) -> Interval:
    reach = normal_upper(alpha / 2) * deviation
    return Interval(mean - reach, mean + reach)


def _edgeworth(z: float, skew: float) -> float:
    """Return the chance to be above 0 with the first correction for skewness (Edgeworth 1905; DasGupta 2008,
    "Asymptotic theory of statistics and probability", eq. 13.1).
    """
    return min(1.0, max(0.0, normal_cdf(z) + skew / 6 * (z * z - 1) * normal_pdf(z)))


def _beta_third(a: int, b: int) -> float:
    """Return the third central moment of a Beta law."""
    n, p = a + b, a / (a + b)
    return 2 * p * (1 - p) * (1 - 2 * p) / ((n + 1) * (n + 2))


def _beta_variance(a: int, b: int) -> float:
    return a * b / ((a + b) ** 2 * (a + b + 1))
