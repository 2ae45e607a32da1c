"""One look: Welch against scipy, Newcombe against the printed table, Fieller against its definition."""

from math import inf

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import confint_proportions_2indep
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from experiments.domain.inference import contrasts, fixed, moments
from experiments.domain.inference.fixed import Counts
from experiments.domain.inference.intervals import EVERYTHING, Contrast, absolute, relative

PAIRS = [(3, 4, 0.3), (40, 25, 0.0), (5000, 900, 0.05)]


def arms(n, m, effect):
    rng = np.random.default_rng(n)
    return rng.normal(5 + effect, 2, n), rng.normal(5, 3, m)


def of(a, b):
    return contrasts.plain(*(moments.of([(float(v), 1, 0, 0) for v in side]) for side in (a, b)))


@pytest.mark.parametrize("pair", PAIRS)
def test_welch_agrees_with_scipy_and_statsmodels(pair):
    a, b = arms(*pair)
    found = fixed.welch(of(a, b), 0.05)
    theirs = scipy.stats.ttest_ind(a, b, equal_var=False)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-8)
    low, high = CompareMeans(DescrStatsW(a), DescrStatsW(b)).tconfint_diff(usevar="unequal")
    assert (found.difference.low, found.difference.high) == pytest.approx((low, high), rel=1e-8)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_one_sided_test_agrees_with_scipy(pair):
    a, b = arms(*pair)
    assert fixed.above(of(a, b)) == pytest.approx(
        scipy.stats.ttest_ind(a, b, equal_var=False, alternative="greater").pvalue, rel=1e-8
    )


# Newcombe 1998, Stat. Med. 17:873, table II, method 10.
NEWCOMBE = [
    ((56, 70, 48, 80), (0.0524, 0.3339)),
    ((9, 10, 3, 10), (0.1705, 0.8090)),
    ((6, 7, 2, 7), (0.0582, 0.8062)),
    ((5, 56, 0, 29), (-0.0381, 0.1926)),
    ((0, 10, 0, 20), (-0.1611, 0.2775)),
    ((0, 10, 0, 10), (-0.2775, 0.2775)),
    ((10, 10, 0, 20), (0.6791, 1.0)),
    ((10, 10, 0, 10), (0.6075, 1.0)),
]


@pytest.mark.parametrize(("counts", "printed"), NEWCOMBE)
def test_newcombe_gives_the_printed_intervals(counts, printed):
    found = fixed.newcombe(Counts(*counts), 0.05).difference
    assert (round(found.low, 4), round(found.high, 4)) == printed


@pytest.mark.parametrize("counts", [(56, 70, 48, 80), (5, 56, 1, 29), (3, 1000, 9, 1200)])
def test_newcombe_agrees_with_statsmodels(counts):
    theirs = confint_proportions_2indep(*counts, method="newcomb", compare="diff")
    found = fixed.newcombe(Counts(*counts), 0.05).difference
    assert (found.low, found.high) == pytest.approx(theirs, rel=1e-9)


COUNTS = st.tuples(
    st.integers(0, 30), st.integers(30, 400), st.integers(0, 30), st.integers(30, 400)
)


@given(COUNTS, st.floats(0.001, 0.3))
def test_newcombes_p_value_and_both_intervals_agree(raw, alpha):
    found = fixed.newcombe(Counts(*raw), alpha)
    if abs(found.p - alpha) > 1e-9:
        assert found.difference.holds(0) == (found.p > alpha)
        if found.lift.bounded:
            assert found.lift.holds(0) == (found.p > alpha)


@given(COUNTS)
def test_newcombe_is_symmetric(raw):
    a, n, b, m = raw
    there, back = fixed.newcombe(Counts(a, n, b, m), 0.05), fixed.newcombe(Counts(b, m, a, n), 0.05)
    assert there.p == pytest.approx(back.p, abs=1e-9)
    assert there.difference.low == pytest.approx(-back.difference.high, abs=1e-12)


def test_counts_without_units_say_nothing():
    assert fixed.newcombe(Counts(0, 0, 3, 10), 0.05) == fixed.NOTHING
    assert fixed.wilson(0, 0, 1.96) == fixed.Interval(0.0, 1.0)
    assert Counts(0, 100, 50, 100).small
    assert not Counts(50, 100, 50, 100).small


CONTRASTS = st.builds(
    lambda t, c, v, w, r: Contrast(t, c, v, w, r * (v * w) ** 0.5, 500, 500, 900.0),
    st.floats(-100, 100),
    st.floats(0.5, 100),
    st.floats(1e-4, 1.0),
    st.floats(1e-4, 1.0),
    st.floats(0.0, 0.9),
)


@given(CONTRASTS, st.floats(0.5, 5))
def test_the_ends_of_a_lift_are_where_the_test_of_the_ratio_turns(contrast, q):
    found = relative(contrast, q)
    if not found.bounded:
        assert contrast.control**2 <= q * q * contrast.var_control * (1 + 1e-9)
        return
    for lift in (found.low, found.high):
        rho = 1 + lift
        gap = contrast.treated - rho * contrast.control
        error = contrast.var_treated + rho**2 * contrast.var_control - 2 * rho * contrast.covariance
        scale = abs(contrast.treated) + abs(rho * contrast.control) + 1
        assert abs(abs(gap) - q * max(error, 0) ** 0.5) < 1e-6 * scale * (1 + abs(rho))


@given(CONTRASTS, st.floats(0.5, 5))
def test_lift_and_difference_agree_on_whether_there_is_an_effect(contrast, q):
    lift, difference = relative(contrast, q), absolute(contrast, q)
    edge = abs(abs(contrast.difference) - q * contrast.error)
    if lift.bounded and edge > 1e-9:
        assert lift.holds(0) == difference.holds(0)


@given(CONTRASTS, st.floats(0.5, 5))
def test_a_lift_keeps_the_sign_of_the_difference_when_the_control_is_negative(contrast, q):
    negative = Contrast(
        -contrast.control,
        -contrast.treated,
        contrast.var_control,
        contrast.var_treated,
        contrast.covariance,
        500,
        500,
        900.0,
    )
    found = relative(negative, q)
    if found.bounded and negative.control < 0:
        assert found.low <= negative.lift + 1e-9
        assert found.high >= negative.lift - 1e-9


@given(CONTRASTS, st.floats(1e-6, 0.4), st.floats(1e-6, 0.4))
def test_intervals_are_nested_in_their_level(contrast, a, b):
    wide, narrow = (fixed.welch(contrast, alpha).difference for alpha in sorted((a, b)))
    assert wide.low <= narrow.low
    assert wide.high >= narrow.high


def test_what_has_no_variation_has_no_inference():
    found = fixed.welch(of([1.0, 1.0], [2.0, 2.0]), 0.05)
    assert found == fixed.NOTHING
    assert found.difference == EVERYTHING
    assert found.lift.high == inf
    assert fixed.above(of([1.0, 1.0], [2.0, 2.0])) == 1.0
