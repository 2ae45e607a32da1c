"""Arms and adjustments, held against ordinary least squares and the delta method written out."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.domain.inference import contrasts, moments, strata
from experiments.domain.inference.intervals import guarded, scaled, turned


def units(seed, n, effect=0.0, slope=0.8):
    rng = np.random.default_rng(seed)
    past = rng.lognormal(1, 0.5, n)
    views = 1 + rng.poisson(3, n).astype(float)
    before = 1 + rng.poisson(3, n).astype(float)
    y = slope * past + rng.normal(2 + effect, 1, n) + 0.3 * views
    return np.stack([y, views, past, before], 1)


def plain_metric(table):
    return np.stack([table[:, 0], np.ones(len(table)), table[:, 2], np.zeros(len(table))], 1)


A, B = units(1, 400, 0.2), units(2, 700)
T, C = moments.of(A.tolist()), moments.of(B.tolist())
PT, PC = moments.of(plain_metric(A).tolist()), moments.of(plain_metric(B).tolist())


def test_a_mean_has_the_ordinary_variance():
    found = contrasts.plain(PT, PC)
    assert found.difference == pytest.approx(A[:, 0].mean() - B[:, 0].mean(), rel=1e-12)
    assert found.var_treated == pytest.approx(A[:, 0].var(ddof=1) / 400, rel=1e-12)
    assert found.covariance == 0


def test_a_ratio_has_the_variance_of_the_delta_method():
    found = contrasts.plain(T, C)
    ratio = A[:, 0].sum() / A[:, 1].sum()
    score = (A[:, 0] - ratio * A[:, 1]) / A[:, 1].mean()
    assert found.treated == pytest.approx(ratio, rel=1e-12)
    assert found.var_treated == pytest.approx(score.var(ddof=1) / 400, rel=1e-10)


def test_regression_is_least_squares_with_interactions():
    y = np.r_[A[:, 0], B[:, 0]]
    treated = np.r_[np.ones(400), np.zeros(700)]
    centred = np.r_[A[:, 2], B[:, 2]] - np.r_[A[:, 2], B[:, 2]].mean()
    fit = sm.OLS(y, np.c_[np.ones(1100), treated, centred, treated * centred]).fit(cov_type="HC2")
    found = contrasts.regression(PT, PC)
    assert found.difference == pytest.approx(fit.params[1], rel=1e-10)
    assert found.error == pytest.approx(fit.bse[1], rel=0.02)


def test_regression_of_each_arm_has_the_residual_variance_of_least_squares():
    fit = sm.OLS(A[:, 0], sm.add_constant(A[:, 2])).fit()
    found = contrasts.regression(PT, PC)
    slope = fit.params[1]
    pooled = (A[:, 2].var(ddof=1) * 399 + B[:, 2].var(ddof=1) * 699) / 1098
    assert found.var_treated == pytest.approx(
        fit.mse_resid / 400 + slope**2 * pooled / 1100, rel=1e-10
    )


def test_cuped_is_the_pooled_slope_of_analysis_of_covariance():
    found = contrasts.cuped(PT, PC)
    x = np.r_[A[:, 2] - A[:, 2].mean(), B[:, 2] - B[:, 2].mean()]
    y = np.r_[A[:, 0] - A[:, 0].mean(), B[:, 0] - B[:, 0].mean()]
    slope = (x * y).sum() / (x * x).sum()
    adjusted = A[:, 0] - slope * A[:, 2], B[:, 0] - slope * B[:, 2]
    assert found.difference == pytest.approx(adjusted[0].mean() - adjusted[1].mean(), rel=1e-10)
    variance = sum(a.var(ddof=1) / len(a) for a in adjusted)
    assert found.error**2 == pytest.approx(variance, rel=1e-10)
    assert found.error < contrasts.plain(PT, PC).error


def test_two_covariates_explain_at_least_as_much_as_one():
    one = contrasts.cuped(PT, PC)
    both = contrasts.cuped(
        moments.of(np.c_[A[:, 0], np.ones(400), A[:, 2], A[:, 1]].tolist()),
        moments.of(np.c_[B[:, 0], np.ones(700), B[:, 2], B[:, 1]].tolist()),
    )
    assert both.error < one.error


def test_a_covariate_that_says_the_same_twice_is_used_once():
    twice = [
        moments.of(np.c_[t[:, 0], np.ones(len(t)), t[:, 2], 2 * t[:, 2]].tolist()) for t in (A, B)
    ]
    assert contrasts.cuped(*twice).error == pytest.approx(contrasts.cuped(PT, PC).error, rel=1e-9)


@pytest.mark.parametrize("compare", [contrasts.plain, contrasts.cuped, contrasts.regression])
class TestEveryAdjustment:
    def test_changes_sign_when_the_arms_change_places(self, compare):
        there, back = compare(T, C), compare(C, T)
        assert there.difference == pytest.approx(-back.difference, rel=1e-12)
        assert there.error == pytest.approx(back.error, rel=1e-12)

    def test_does_not_care_for_the_unit_of_the_metric(self, compare):
        cents = [moments.of((t * [100, 1, 100, 1]).tolist()) for t in (A, B)]
        assert compare(*cents).z == pytest.approx(compare(T, C).z, rel=1e-9)

    def test_knows_nothing_without_units(self, compare):
        empty = moments.nothing()
        for pair in ((empty, empty), (T, empty), (empty, C), (moments.single((1, 1, 0, 0)), C)):
            assert not compare(*pair).informative

    def test_knows_nothing_without_variation_or_denominator(self, compare):
        constant = moments.of([(3, 1, 2, 0)] * 20)
        assert not compare(constant, constant).informative
        nowhere = moments.of([(0, 0, 0, 0)] * 20)
        assert not compare(nowhere, C).informative

    @given(
        st.lists(st.floats(-1e15, 1e15), min_size=0, max_size=12),
        st.lists(st.floats(-1e15, 1e15), max_size=12),
    )
    @settings(max_examples=60)
    def test_gives_finite_numbers_for_anything(self, compare, a, b):
        arms = [moments.of([(v, 1, -v / 2, 0) for v in side]) for side in (a, b)]
        found = compare(*arms)
        assert all(np.isfinite(v) for v in (found.difference, found.error, found.z, found.df))


def strata_of(seed):
    rng = np.random.default_rng(seed)
    return [
        tuple(
            moments.of([(float(v), 1, 0, 0) for v in rng.normal(5 * k + arm, 1, n)])
            for arm, n in ((1, 100 + 40 * k), (0, 140))
        )
        for k in range(3)
    ]


def test_strata_are_weighed_by_their_share_of_all_units():
    cells = strata_of(5)
    found = strata.stratified(cells)
    total = sum(t.n + c.n for t, c in cells)
    by_hand = sum((t.n + c.n) / total * (t.mean[0] - c.mean[0]) for t, c in cells)
    within = sum(
        ((t.n + c.n) / total) ** 2 * (t.co[0] / (t.n - 1) / t.n + c.co[0] / (c.n - 1) / c.n)
        for t, c in cells
    )
    between = (
        sum((t.n + c.n) / total * (t.mean[0] - c.mean[0] - by_hand) ** 2 for t, c in cells) / total
    )
    assert found.difference == pytest.approx(by_hand, rel=1e-12)
    assert found.error**2 == pytest.approx(within + between, rel=1e-9)


def test_strata_take_away_what_differs_between_them():
    cells = strata_of(6)
    whole = contrasts.plain(
        moments.merged(t for t, _ in cells), moments.merged(c for _, c in cells)
    )
    assert strata.stratified(cells).error < whole.error / 2


def test_one_stratum_is_the_plain_comparison():
    assert strata.stratified([(PT, PC)]).error == pytest.approx(
        contrasts.plain(PT, PC).error, rel=1e-9
    )


def test_thin_strata_are_put_together():
    thin = [
        (moments.single((1, 1, 0, 0)), moments.single((2, 1, 0, 0))),
        (moments.nothing(), moments.single((1, 1, 0, 0))),
    ]
    found = strata.stratified([*strata_of(7), *thin])
    assert found.informative
    assert found.n == sum(t.n + c.n for t, c in strata_of(7)) + 3
    assert not strata.stratified(thin).informative
    assert not strata.stratified([]).informative


def test_a_guard_gives_the_smaller_arm_at_least_the_variance_of_all():
    found = contrasts.plain(moments.valued(50, 1.0, 1.0), moments.valued(950, 2.0, 950.0 * 9))
    kept = guarded(found)
    pooled = (found.var_treated * 50 * 50 + found.var_control * 950 * 950) / 1000
    assert kept.var_treated == pytest.approx(pooled / 50)
    assert kept.var_control == found.var_control
    larger = contrasts.plain(moments.valued(50, 1.0, 50.0 * 9), moments.valued(950, 2.0, 950.0))
    assert guarded(larger) == larger
    mirrored = guarded(
        contrasts.plain(moments.valued(950, 2.0, 950.0 * 9), moments.valued(50, 1.0, 1.0))
    )
    assert mirrored.var_control == pytest.approx(kept.var_treated)


def test_a_contrast_can_be_turned_and_scaled():
    found = contrasts.cuped(PT, PC)
    assert turned(found).difference == -found.difference
    assert turned(found).lift == pytest.approx(-found.lift)
    less = scaled(found, 0.9)
    assert less.difference == pytest.approx(found.treated - 0.9 * found.control)
    assert less.error**2 == pytest.approx(
        found.var_treated + 0.81 * found.var_control - 1.8 * found.covariance, rel=1e-9
    )
