"""The distributions, held against scipy and against printed tables."""

from math import inf, isclose

import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from experiments.domain.inference import special

DF = [0.7, 1, 1.5, 2, 3, 10.3, 99, 499, 501, 2000, 9998.4, 1e5, 1e6, 1e9]


@given(st.floats(-37, 37))
def test_normal_tails_agree_with_scipy(z):
    assert isclose(special.normal_sf(z), scipy.stats.norm.sf(z), rel_tol=1e-11)
    assert isclose(special.normal_cdf(z), scipy.stats.norm.cdf(z), rel_tol=1e-11)


@given(st.floats(1e-200, 0.999999))
def test_normal_quantiles_agree_with_scipy(tail):
    assert isclose(
        special.normal_upper(tail), scipy.stats.norm.isf(tail), rel_tol=1e-9, abs_tol=1e-12
    )


def test_a_tail_of_nothing_lies_at_infinity():
    assert special.normal_upper(0.0) == inf
    assert special.normal_upper(1.0) == -inf
    assert special.student_upper(0.0, 5) == inf


@pytest.mark.parametrize("df", DF)
@pytest.mark.parametrize("t", [0.0, 1e-3, 0.1, 1, 2, 3, 6, 12, -1.5])
def test_student_tails_agree_with_scipy(t, df):
    theirs = scipy.stats.t.sf(t, df)
    assert isclose(special.student_sf(t, df), theirs, rel_tol=1e-9)


@pytest.mark.parametrize("df", DF)
@pytest.mark.parametrize("tail", [0.5, 0.4, 0.1, 0.025, 0.0005, 1e-6])
def test_student_quantiles_agree_with_scipy(tail, df):
    assert isclose(
        special.student_upper(tail, df), scipy.stats.t.isf(tail, df), rel_tol=1e-8, abs_tol=1e-9
    )


def test_student_quantiles_are_those_of_the_printed_table():
    # Fisher & Yates, Statistical Tables, table III: two-sided 5 %.
    table = {1: 12.706, 2: 4.303, 5: 2.571, 10: 2.228, 30: 2.042, 120: 1.980}
    assert {df: round(special.student_upper(0.025, df), 3) for df in table} == table


@pytest.mark.parametrize("df", [1, 2, 3, 7, 19, 300])
@pytest.mark.parametrize("x", [0.01, 1, 5, 30, 100, 700])
def test_chi_square_tails_agree_with_scipy(x, df):
    assert isclose(special.chi_square_sf(x, df), scipy.stats.chi2.sf(x, df), rel_tol=1e-10)


def test_chi_square_says_nothing_without_a_degree_of_freedom():
    assert special.chi_square_sf(3.0, 0) == 1.0
    assert special.chi_square_sf(0.0, 3) == 1.0


@given(st.floats(0.3, 1e6), st.floats(0.3, 1e6))
def test_log_beta_agrees_with_scipy(a, b):
    assert isclose(special.log_beta(a, b), scipy.special.betaln(a, b), rel_tol=1e-8, abs_tol=1e-8)


@given(st.floats(0.001, 0.999), st.floats(0.3, 500), st.floats(0.3, 500))
def test_the_beta_law_agrees_with_scipy(x, a, b):
    assert isclose(
        special.beta_cdf(x, a, b), scipy.special.betainc(a, b, x), rel_tol=1e-9, abs_tol=1e-290
    )


def test_the_beta_law_ends_at_its_ends():
    assert special.beta_cdf(0.0, 2, 3) == 0.0
    assert special.beta_cdf(1.0, 2, 3) == 1.0
