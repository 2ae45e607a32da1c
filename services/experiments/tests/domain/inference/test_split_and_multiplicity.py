"""The traffic split, and many questions at once."""

from math import exp, inf, log

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from experiments.domain.errors import BadPlan
from experiments.domain.inference import mismatch, multiplicity
from experiments.domain.inference.mismatch import CONCENTRATION, Phase, split

P = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("seen", "weights"), [((480, 520), (1, 1)), ((100, 205, 290), (1, 2, 3)), ((3, 1), (90, 10))]
)
def test_the_evidence_is_the_dirichlet_multinomial_against_the_multinomial(seen, weights):
    shares = np.array(weights) / sum(weights)
    n = sum(seen)
    mixture = scipy.stats.dirichlet_multinomial(CONCENTRATION * shares, n).logpmf(seen)
    plan = scipy.stats.multinomial(n, shares).logpmf(seen)
    assert split([Phase(seen, weights)]).log_e == pytest.approx(mixture - plan, abs=1e-6)


def test_the_single_look_is_pearsons_test():
    found = split([Phase((480, 520, 600), (1, 1, 1))])
    assert found.p_once == pytest.approx(scipy.stats.chisquare([480, 520, 600]).pvalue, rel=1e-9)


def test_phases_multiply_their_evidence():
    a, b = Phase((900, 1100), (1, 1)), Phase((8800, 1200), (9, 1))
    together = split([a, b])
    assert together.log_e == pytest.approx(split([a]).log_e + split([b]).log_e)
    square = (
        scipy.stats.chisquare([900, 1100]).statistic
        + scipy.stats.chisquare([8800, 1200], [9000, 1000]).statistic
    )
    assert together.p_once == pytest.approx(scipy.stats.chi2.sf(square, 2), rel=1e-9)


def test_a_changed_allocation_is_no_false_alarm():
    even, uneven = Phase((5000, 5000), (1, 1)), Phase((9000, 1000), (9, 1))
    assert not split([even, uneven]).wrong
    assert split([Phase((14_000, 6000), (1, 1))]).wrong


def test_a_split_that_is_off_is_found():
    assert split([Phase((52_000, 48_000), (1, 1))]).wrong
    assert not split([Phase((50_100, 49_900), (1, 1))]).wrong


def test_a_variant_without_weight_that_was_seen_is_wrong_at_once():
    found = split([Phase((500, 500, 1), (1, 1, 0))])
    assert found.wrong
    assert (found.log_e, found.p, found.p_once) == (inf, 0.0, 0.0)
    assert not split([Phase((500, 500, 0), (1, 1, 0))]).wrong


def test_nobody_seen_is_no_evidence():
    for phases in ([], [Phase((0, 0), (1, 1))], [Phase((0, 0), (0, 0))]):
        assert split(phases) == mismatch.Split(0.0, 1.0, 1.0)


def test_even_billions_of_units_are_counted():
    assert not split([Phase((5_000_000_000, 5_000_000_000), (1, 1))]).wrong
    assert split([Phase((5_010_000_000, 4_990_000_000), (1, 1))]).wrong


@given(P)
def test_holm_agrees_with_statsmodels(p):
    assert multiplicity.holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-12)


@given(P)
def test_benjamini_hochberg_agrees_with_statsmodels(p):
    assert multiplicity.benjamini_hochberg(p) == pytest.approx(
        multipletests(p, method="fdr_bh")[1], abs=1e-12
    )


@given(st.lists(st.floats(-5, 20), min_size=1, max_size=12), st.floats(0.01, 0.3))
def test_e_bh_rejects_the_largest_set_that_supports_itself(log_e, alpha):
    m = len(log_e)
    most = max(
        (k for k in range(m + 1) if sum(v >= log(m / (max(k, 1) * alpha)) for v in log_e) >= k),
        default=0,
    )
    found = multiplicity.e_benjamini_hochberg(log_e, alpha)
    assert sum(found) == most
    adjusted = multiplicity.e_adjusted(log_e)
    assert all(
        ok == (a <= alpha) for ok, a in zip(found, adjusted, strict=True) if abs(a - alpha) > 1e-9
    )


def test_one_strong_e_value_among_many_is_rejected():
    assert multiplicity.e_benjamini_hochberg([log(100), 0.0, 0.0, 0.0], 0.05) == (
        True,
        False,
        False,
        False,
    )
    assert multiplicity.e_adjusted([log(100)]) == pytest.approx((0.01,))
    assert exp(-log(100)) == pytest.approx(0.01)


def test_shares_of_the_error_rate_add_up_to_it():
    found = multiplicity.shares(0.05, [2, 1, 1, 0])
    assert found == pytest.approx((0.025, 0.0125, 0.0125, 0.0))
    for weights in ([0, 0], [1, -1]):
        with pytest.raises(BadPlan, match="weights"):
            multiplicity.shares(0.05, weights)


def test_intervals_after_selection_are_wider_the_fewer_are_selected():
    assert multiplicity.selected(0.05, 10, 10) == 0.05
    assert multiplicity.selected(0.05, 2, 10) == pytest.approx(0.01)
    assert multiplicity.selected(0.05, 0, 10) == pytest.approx(0.005)
    assert multiplicity.selected(0.05, 0, 0) == 0.05
