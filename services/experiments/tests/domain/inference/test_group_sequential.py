"""Planned looks, against the tables of the books."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from experiments.domain.errors import BadPlan
from experiments.domain.inference import fixed, grouped
from experiments.domain.inference.grouped import Spending, boundaries, crossing, spent, stagewise
from experiments.domain.inference.intervals import Contrast

FIVE = (0.2, 0.4, 0.6, 0.8, 1.0)


def evenly(k):
    return tuple((i + 1) / k for i in range(k))


def exit_rate(looks, edges, drift=0.0):
    return sum(up + down for up, down in crossing(looks, edges, drift))


def test_the_boundaries_are_those_of_lan_and_demets_and_gsdesign():
    # Two-sided 5 %, five looks, O'Brien-Fleming spending: 4.877, 3.357, 2.680, 2.290, 2.031 (Reboussin et al. 2000,
    # "Computations for group sequential boundaries using the Lan-DeMets spending function method", table 1).
    assert boundaries(FIVE, 0.05) == pytest.approx(
        (4.8769, 3.3570, 2.6803, 2.2898, 2.0310), abs=1e-4
    )


def test_the_boundaries_are_those_of_a_published_one_sided_table():
    # One-sided 5 % at quarters: 3.74955, 2.53993, 2.01604, 1.72014 (README of PharmCat/SeqBounds.jl).
    found = boundaries((0.25, 0.5, 0.75, 1.0), 0.1)
    assert found == pytest.approx((3.74955, 2.53993, 2.01604, 1.72014), abs=2e-4)


# Jennison & Turnbull 2000, tables 2.1 and 2.3: C_P(K, 0.05) and C_B(K, 0.05).
CONSTANTS = {
    2: (2.178, 1.977),
    3: (2.289, 2.004),
    4: (2.361, 2.024),
    5: (2.413, 2.040),
    10: (2.555, 2.087),
}


@pytest.mark.parametrize("k", CONSTANTS)
def test_the_constants_of_pocock_and_obrien_fleming_keep_five_percent(k):
    pocock, obrien = CONSTANTS[k]
    assert exit_rate(evenly(k), (pocock,) * k) == pytest.approx(0.05, abs=1.5e-4)
    edges = tuple(obrien * (k / i) ** 0.5 for i in range(1, k + 1))
    assert exit_rate(evenly(k), edges) == pytest.approx(0.05, abs=1.5e-4)


@pytest.mark.parametrize("drift", [0.0, 1.0, 2.8])
def test_two_looks_agree_with_the_bivariate_normal_law(drift):
    looks, edges = (0.4, 1.0), (2.6, 2.0)
    mean = [drift * t**0.5 for t in looks]
    law = multivariate_normal(mean, [[1, 0.4**0.5], [0.4**0.5, 1]])
    inside = law.cdf([2.6, 2.0], lower_limit=[-2.6, -2.0])
    assert exit_rate(looks, edges, drift) == pytest.approx(1 - inside, abs=3e-6)


@given(
    st.lists(st.floats(0.02, 1.0), min_size=1, max_size=8, unique=True),
    st.sampled_from(list(Spending)),
    st.floats(0.001, 0.2),
)
@settings(max_examples=40, deadline=None)
def test_boundaries_spend_exactly_what_may_be_spent(raw, spending, alpha):
    looks = tuple(sorted({round(t, 2) for t in raw}))
    edges = boundaries(looks, alpha, spending)
    assert exit_rate(looks, edges) == pytest.approx(spent(looks[-1], alpha, spending), rel=1e-4)


@pytest.mark.parametrize("spending", Spending)
def test_spending_grows_from_nothing_to_everything(spending):
    values = [spent(t / 20, 0.05, spending) for t in range(21)]
    assert values == sorted(values)
    assert values[0] == 0.0
    assert values[-1] == pytest.approx(0.05)
    assert spent(1.7, 0.05, spending) == pytest.approx(0.05)


def test_fourteen_looks_keep_most_of_the_power_of_a_fixed_test():
    edges = boundaries(evenly(14), 0.05)
    drift = norm.isf(0.025) + norm.isf(0.2)
    assert sum(up for up, _ in crossing(evenly(14), edges, drift)) > 0.76


def test_a_later_look_does_not_change_an_earlier_boundary():
    assert boundaries(FIVE[:3], 0.05) == pytest.approx(boundaries(FIVE, 0.05)[:3], abs=1e-6)


def contrast(z):
    return Contrast(10 + 0.1 * z, 10.0, 0.005, 0.005, 0.0, 500, 500, 998.0)


@given(st.floats(-6, 6))
@settings(max_examples=60, deadline=None)
def test_the_stagewise_p_value_agrees_with_the_boundary(z):
    looks = FIVE[:3]
    found = grouped.staged(contrast(z), looks, 0.05, Spending.OBRIEN_FLEMING)
    used = spent(0.6, 0.05)
    if abs(found.p - used) > 1e-6:
        assert (found.p <= used) == (not found.difference.holds(0)) == (not found.lift.holds(0))


def test_one_look_is_the_ordinary_test():
    assert boundaries((1.0,), 0.05)[0] == pytest.approx(norm.isf(0.025))
    assert stagewise((1.0,), 0.05, Spending.LINEAR, 2.1) == pytest.approx(2 * norm.sf(2.1))


def test_after_everything_is_spent_no_boundary_can_be_reached():
    assert boundaries((0.5, 1.0, 1.2), 0.05)[2] > 1e8


def test_without_information_nothing_is_said():
    nothing = Contrast(1.0, 1.0, 0.0, 0.0, 0.0, 5, 5, 0.0)
    assert grouped.staged(nothing, (0.5,), 0.05, Spending.LINEAR) == fixed.NOTHING


@pytest.mark.parametrize("looks", [(), (0.0, 1.0), (0.5, 0.5), (0.8, 0.4), evenly(61)])
def test_looks_that_do_not_go_forward_are_refused(looks):
    with pytest.raises(BadPlan, match="look"):
        boundaries(looks, 0.05)
