"""Inference at any look: the formulae against the integrals they stand for, and p-values against intervals."""

from math import inf, isclose, log, sqrt

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from experiments.domain.inference import fixed, sequences
from experiments.domain.inference.intervals import EVERYTHING, Contrast
from experiments.domain.inference.sequences import Watch, mixing

N = st.integers(2, 10**9)
ALPHA = st.floats(1e-6, 0.4)
TUNED = st.integers(10, 10**7)


def contrast(z, n=1000, mean=10.0, error=0.1):
    return Contrast(
        mean + z * error, mean, error**2 / 2, error**2 / 2, 0.0, n // 2, n - n // 2, n - 2.0
    )


@pytest.mark.parametrize("z", [-3.0, 0.0, 1.0, 4.0])
@pytest.mark.parametrize("n", [10, 5000])
def test_the_e_value_is_the_normal_mixture_of_likelihood_ratios(z, n):
    rho2 = mixing(1000, 0.05)
    prior = scipy.stats.norm(0, sqrt(rho2))

    def ratio(effect):  # of a sum of n standard normals with this mean, against mean 0
        return prior.pdf(effect) * np.exp(effect * z * sqrt(n) - n * effect**2 / 2)

    theirs, _ = scipy.integrate.quad(
        ratio, -12 * sqrt(rho2), 12 * sqrt(rho2), limit=500, points=[z / sqrt(n)]
    )
    assert isclose(sequences.log_e(z, n, rho2), log(theirs), rel_tol=1e-6, abs_tol=1e-7)


@given(N, TUNED, ALPHA)
def test_an_interval_ends_where_the_e_value_reaches_one_over_alpha(n, tuned, alpha):
    rho2 = mixing(tuned, alpha)
    reach = sequences.multiplier(n, rho2, alpha)
    assert isclose(sequences.log_e(reach, n, rho2), -log(alpha), rel_tol=1e-7, abs_tol=1e-7)


@given(N, TUNED, st.floats(1e-6, 0.2))
def test_a_one_sided_interval_ends_where_its_p_value_is_alpha(n, tuned, alpha):
    rho2 = mixing(tuned, 2 * alpha)
    reach = sequences.one_sided_multiplier(n, rho2, alpha)
    assert isclose(sequences.one_sided_p(reach, n, rho2), alpha, rel_tol=1e-6)


def test_one_side_reaches_less_far_than_two():
    rho2 = mixing(10_000, 0.05)
    assert sequences.one_sided_multiplier(10_000, rho2, 0.05) < sequences.multiplier(
        10_000, rho2, 0.05
    )


@given(N, TUNED, ALPHA)
def test_a_sequence_is_wider_than_one_look(n, tuned, alpha):
    assert sequences.multiplier(n, mixing(tuned, alpha), alpha) > scipy.stats.norm.isf(alpha / 2)


def test_a_sequence_is_narrowest_about_where_it_is_tuned():
    here = sequences.multiplier(5000, mixing(5000, 0.05), 0.05)
    assert all(
        here < sequences.multiplier(5000, mixing(t, 0.05), 0.05) for t in (200, 1000, 30_000, 10**6)
    )
    closest = min(
        range(500, 50_000, 250), key=lambda t: sequences.multiplier(5000, mixing(t, 0.05), 0.05)
    )
    assert 4000 <= closest <= 6500


@given(st.floats(-8, 8), ALPHA)
def test_p_value_and_interval_agree(z, alpha):
    found = sequences.watched(contrast(z), alpha, Watch(1000))
    if abs(found.p - alpha) > 1e-9:
        assert found.difference.holds(0) == (found.p > alpha)
        assert found.lift.holds(0) == (found.p > alpha)


@given(st.floats(-8, 8), st.floats(0.01, 1e12))
def test_the_unit_of_the_metric_does_not_matter(z, scale):
    one, other = (
        sequences.watched(contrast(z, mean=10 * s, error=0.1 * s), 0.05, Watch())
        for s in (1.0, scale)
    )
    assert one.p == pytest.approx(other.p, rel=1e-6)
    assert one.lift.low == pytest.approx(other.lift.low, rel=1e-6, abs=1e-9)
    assert one.difference.low * scale == pytest.approx(
        other.difference.low, rel=1e-6, abs=1e-9 * scale
    )


def test_nothing_is_said_before_the_burn_in():
    assert sequences.watched(contrast(9, n=198), 0.05, Watch()) == fixed.NOTHING
    assert sequences.watched(contrast(9, n=200), 0.05, Watch()).p < 0.05
    assert sequences.log_evidence(contrast(9, n=198), 0.05, Watch()) == 0.0
    assert sequences.harmed(contrast(-90, n=198), 0.01, Watch()) == 1.0
    assert sequences.lower(contrast(9, n=198), 0.05, Watch()) == EVERYTHING


def test_a_huge_effect_overflows_nothing():
    found = sequences.watched(contrast(1e8), 0.05, Watch())
    assert found.p == 0.0
    assert sequences.harmed(contrast(-1e8), 0.01, Watch()) == 0.0
    assert sequences.log_evidence(contrast(1e8), 0.05, Watch()) > 1e14


def test_harm_and_superiority_are_mirror_images():
    for z in (-5.0, -1.0, 0.0, 2.0, 6.0):
        assert sequences.harmed(contrast(z), 0.01, Watch()) == sequences.superior(
            contrast(-z), 0.01, Watch()
        )
    assert sequences.harmed(contrast(3), 0.01, Watch()) == 1.0
    assert sequences.harmed(contrast(-6), 0.01, Watch()) < 0.01


def test_a_lower_bound_lies_above_that_of_two_sides():
    both = sequences.watched(contrast(5), 0.05, Watch()).difference
    one = sequences.lower(contrast(5), 0.05, Watch())
    assert both.low < one.low < 0.5
    assert one.high == inf


def test_the_smaller_of_uneven_arms_is_guarded():
    small = Contrast(1.0, 1.5, 0.001, 0.001, 0.0, 100, 10_000, 100.0)
    assert sequences.harmed(small, 0.01, Watch()) > 0.5
    even = Contrast(1.0, 1.5, 0.001, 0.001, 0.0, 5050, 5050, 100.0)
    assert sequences.harmed(even, 0.01, Watch()) < 0.01


def test_the_true_effect_stays_inside_at_all_of_many_looks():
    rng = np.random.default_rng(4)
    n = np.arange(200, 20_000, 100)
    reach = np.array([sequences.multiplier(int(k), mixing(20_000, 0.05), 0.05) for k in n])
    walks = rng.normal(0, 10, (2000, len(n))).cumsum(1) + rng.normal(0, 10, (2000, 1))
    missed = (np.abs(walks) / np.sqrt(n) > reach).any(1).mean()
    assert missed <= 0.05 + 3 * sqrt(0.05 * 0.95 / 2000)
    assert (np.abs(walks) / np.sqrt(n) > 1.96).any(1).mean() > 0.3


@pytest.mark.parametrize("alpha", [1e-6, 0.25, 0.5])
def test_every_error_rate_that_may_be_said_has_a_sequence(alpha):
    """One side of one half is two sides of all: where the narrowest sequence would be none at all."""
    for z in (-4.0, 0.0, 4.0):
        worse = sequences.harmed(contrast(z), alpha, Watch())
        better = sequences.superior(contrast(z), alpha, Watch())
        assert 0 <= worse <= 1
        assert 0 <= better <= 1
    assert sequences.harmed(contrast(-9), alpha, Watch()) <= alpha
