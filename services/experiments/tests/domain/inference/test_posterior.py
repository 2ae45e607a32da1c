"""The Bayesian view, against integration."""

from math import inf

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from experiments.domain.inference import posterior
from experiments.domain.inference.fixed import Counts
from experiments.domain.inference.intervals import Contrast
from experiments.domain.inference.posterior import Prior, beats

SHAPES = [
    (1, 1, 1, 1),
    (5, 3, 2, 9),
    (2, 9, 5, 3),
    (51, 900, 40, 930),
    (501, 9000, 540, 9030),
    (3, 2, 300, 100),
]


def by_integration(a, b, c, d):
    x, w = scipy.stats.beta(a, b), scipy.stats.beta(c, d)
    low, high = x.ppf(1e-15), x.isf(1e-15)
    return quad(
        lambda v: x.pdf(v) * w.cdf(v), low, high, epsabs=1e-13, limit=500, points=[x.mean()]
    )[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_chance_to_win_is_exact(shape):
    assert beats(*shape) == pytest.approx(by_integration(*shape), rel=1e-9)


@given(st.tuples(*[st.integers(1, 500)] * 4))
def test_one_of_two_wins(shape):
    a, b, c, d = shape
    assert beats(a, b, c, d) + beats(c, d, a, b) == pytest.approx(1, abs=1e-9)


def test_the_known_worked_example_of_equal_beliefs_is_a_coin():
    assert beats(7, 13, 7, 13) == pytest.approx(0.5)


@pytest.mark.parametrize(
    "counts", [Counts(30, 200, 20, 210), Counts(0, 50, 1, 60), Counts(50, 50, 40, 50)]
)
def test_the_risk_of_a_proportion_is_the_expected_loss(counts):
    rng = np.random.default_rng(8)
    x = rng.beta(1 + counts.treated, 1 + counts.n_treated - counts.treated, 400_000)
    w = rng.beta(1 + counts.control, 1 + counts.n_control - counts.control, 400_000)
    found = posterior.beta_binomial(counts, 0.05)
    assert found.risk == pytest.approx(np.maximum(w - x, 0).mean(), abs=2e-4)
    assert found.risk_control == pytest.approx(np.maximum(x - w, 0).mean(), abs=2e-4)
    assert found.chance == pytest.approx((x > w).mean(), abs=4e-3)
    assert found.mean == pytest.approx((x - w).mean(), abs=5e-4)
    assert found.deviation == pytest.approx((x - w).std(), rel=0.01)


@pytest.mark.parametrize(
    "counts",
    [
        Counts(10_040, 100_000, 10_000, 100_000),
        Counts(2700, 100_000, 2620, 100_000),
        Counts(270, 9000, 5000, 180_000),
        Counts(94_980, 100_000, 94_900, 100_000),
    ],
)
def test_beyond_exact_counts_the_chance_keeps_four_digits(counts):
    found = posterior.beta_binomial(counts, 0.05)
    exact = beats(
        1 + counts.treated,
        1 + counts.n_treated - counts.treated,
        1 + counts.control,
        1 + counts.n_control - counts.control,
    )
    assert counts.treated + counts.control > posterior.EXACT
    assert found.chance == pytest.approx(exact, abs=2e-4)


def contrast(difference, error):
    return Contrast(1 + difference, 1.0, error**2 / 2, error**2 / 2, 0.0, 500, 500, 998.0)


def test_without_a_prior_the_belief_is_the_estimate():
    found = posterior.normal(contrast(0.3, 0.1), 0.05)
    assert (found.mean, found.deviation) == pytest.approx((0.3, 0.1))
    assert found.chance == pytest.approx(scipy.stats.norm.cdf(3))
    law = scipy.stats.norm(0.3, 0.1)
    assert (found.interval.low, found.interval.high) == pytest.approx(law.interval(0.95))
    assert found.risk == pytest.approx(quad(lambda v: -v * law.pdf(v), -2, 0)[0], rel=1e-5)
    assert found.risk_control == pytest.approx(quad(lambda v: v * law.pdf(v), 0, 2)[0], rel=1e-6)


def test_a_prior_and_an_estimate_meet_by_their_precision():
    # Gelman et al. 2013, eq. 2.12, written out.
    found = posterior.normal(contrast(0.3, 0.1), 0.05, Prior(0.0, 0.2))
    assert found.mean == pytest.approx(0.3 * 100 / 125)
    assert found.deviation == pytest.approx(125**-0.5)


@given(st.floats(-50, 50), st.floats(0.01, 10))
@settings(max_examples=60)
def test_what_one_choice_risks_exceeds_the_other_by_the_mean(difference, error):
    found = posterior.normal(contrast(difference, error), 0.05)
    assert found.risk_control - found.risk == pytest.approx(
        found.mean, abs=1e-9 * (1 + abs(difference))
    )


def test_without_information_the_chance_is_a_half_and_the_risk_unknown():
    found = posterior.normal(Contrast(1.0, 1.0, 0.0, 0.0, 0.0, 5, 5, 0.0), 0.05)
    assert (found.chance, found.risk) == (0.5, inf)
    assert posterior.beta_binomial(Counts(0, 0, 0, 0), 0.05).chance == pytest.approx(0.5)
