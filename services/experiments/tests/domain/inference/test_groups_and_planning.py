"""Differences between groups, and what is settled before the start."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.power import NormalIndPower

from experiments.domain.errors import BadPlan
from experiments.domain.inference import heterogeneity, planning
from experiments.domain.inference.intervals import Contrast
from experiments.domain.inference.planning import Design, Kind, Metric, proportion


def contrast(difference, error, n=500):
    return Contrast(10 + difference, 10.0, error**2 / 2, error**2 / 2, 0.0, n, n, 2 * n - 2.0)


EFFECTS = [(0.10, 0.05), (0.30, 0.08), (0.35, 0.10), (-0.05, 0.12), (0.20, 0.04)]


def test_cochrans_q_and_the_spread_between_groups_agree_with_statsmodels():
    found = heterogeneity.across([contrast(*e) for e in EFFECTS])
    theirs = combine_effects(
        *(np.array(c) for c in zip(*[(d, e * e) for d, e in EFFECTS], strict=True)), method_re="dl"
    )
    assert found.q == pytest.approx(theirs.q, rel=1e-9)
    assert found.p == pytest.approx(theirs.test_homogeneity().pvalue, rel=1e-9)
    assert found.tau2 == pytest.approx(theirs.tau2, rel=1e-9)
    assert found.i2 == pytest.approx(theirs.i2, rel=1e-9)
    assert found.common == pytest.approx(theirs.mean_effect_re, rel=1e-9)


def test_groups_are_drawn_towards_each_other_and_no_further():
    found = heterogeneity.across([contrast(*e) for e in EFFECTS])
    for (effect, error), group in zip(EFFECTS, found.groups, strict=True):
        assert (
            min(effect, found.common) - 1e-12 <= group.effect <= max(effect, found.common) + 1e-12
        )
        assert group.error < error


def test_groups_that_agree_are_one():
    found = heterogeneity.across([contrast(0.2, 0.1)] * 3)
    assert (found.q, found.tau2, found.i2) == pytest.approx((0.0, 0.0, 0.0), abs=1e-12)
    assert [g.effect for g in found.groups] == pytest.approx([0.2] * 3)


def test_a_group_of_which_nothing_is_known_is_passed_over():
    unknown = Contrast(0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0.0)
    found = heterogeneity.across([unknown, contrast(0.2, 0.1)])
    assert found.groups[0] is None
    assert found.p == 1.0
    assert heterogeneity.across([unknown]).groups == (None,)


def test_an_interaction_is_the_difference_of_the_effects():
    difference, error, p = heterogeneity.interaction(contrast(0.5, 0.1), contrast(0.1, 0.1))
    assert (difference, error) == pytest.approx((0.4, 0.02**0.5))
    assert p == pytest.approx(2 * norm.sf(0.4 / 0.02**0.5))
    assert heterogeneity.interaction(contrast(0.5, 0.1), contrast(0.1, 0.0)) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize("share", [0.5, 0.2])
@pytest.mark.parametrize("effect", [0.05, 0.3])
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_power_agrees_with_statsmodels(share, effect, alpha):
    design = Design(alpha=alpha, share=share)
    ours = planning.power(Metric(10, 4), effect * 2, 2000, design)
    theirs = NormalIndPower().power(effect, 2000 * share, alpha, ratio=(1 - share) / share)
    assert ours == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("sides", [1, 2])
def test_size_agrees_with_statsmodels(sides):
    ours = planning.size(Metric(0, 1), 0.1, Design(power=0.9, sides=sides))
    alternative = "two-sided" if sides == 2 else "larger"
    theirs = 2 * NormalIndPower().solve_power(0.1, alpha=0.05, power=0.9, alternative=alternative)
    assert ours == pytest.approx(theirs, abs=1.5)


def test_the_rule_of_sixteen():
    # van Belle 2008, eq. 2.3: 16 / Δ² units in each arm, for 80 % power at 5 %.
    assert planning.size(Metric(0, 1), 0.25, Design()) / 2 == pytest.approx(16 / 0.0625, rel=0.02)


def test_a_proportion_takes_the_variance_of_both_rates():
    metric = proportion(0.1, 0.1)
    assert metric.variance == pytest.approx((0.1 * 0.9 + 0.11 * 0.89) / 2)
    assert planning.size(metric, 0.01, Design()) == pytest.approx(29_500, rel=0.01)
    for rate, lift in ((0.0, 0.1), (0.6, 0.9), (1.0, 0.0)):
        with pytest.raises(BadPlan, match="rate"):
            proportion(rate, lift)


# Jennison & Turnbull 2000, table 2.4: R_B(K, 0.05, 0.2) for O'Brien-Fleming; the spending form needs slightly less.
@pytest.mark.parametrize(("looks", "ratio"), [(2, 1.008), (5, 1.028), (10, 1.040)])
def test_planned_looks_cost_what_the_book_says(looks, ratio):
    assert planning.inflation(Design(kind=Kind.GROUPED, looks=looks)) == pytest.approx(
        ratio, abs=0.006
    )


def test_watching_all_the_time_costs_about_as_much_again():
    assert 1.7 < planning.inflation(Design(kind=Kind.WATCHED)) < 2.2


@given(
    st.floats(0.01, 100),
    st.floats(0.001, 0.2),
    st.floats(0.55, 0.99),
    st.floats(0.05, 0.95),
    st.sampled_from([Kind.FIXED, Kind.WATCHED]),
)
def test_the_planned_size_has_the_planned_power_and_shows_the_planned_effect(
    variance, alpha, wanted, share, kind
):
    design, metric = Design(alpha=alpha, power=wanted, share=share, kind=kind), Metric(1, variance)
    units = planning.size(metric, 0.1, design)
    if units > 1000:
        assert planning.power(metric, 0.1, units, design) == pytest.approx(wanted, abs=0.005)
        assert planning.detectable(metric, units, design) == pytest.approx(0.1, rel=0.01)


def test_power_over_planned_looks_is_that_of_its_size():
    design = Design(kind=Kind.GROUPED, looks=5)
    units = planning.size(Metric(1, 1), 0.1, design)
    assert planning.power(Metric(1, 1), 0.1, units, design) == pytest.approx(0.8, abs=0.002)


def test_what_the_past_explains_is_saved():
    saved = planning.size(Metric(1, 1, explained=0.5), 0.1, Design())
    assert saved == pytest.approx(planning.size(Metric(1, 1), 0.1, Design()) / 2, abs=1)


def test_guardrails_take_a_part_of_what_may_be_missed():
    assert planning.split_power(0.8, 0) == pytest.approx(0.8)
    assert planning.split_power(0.8, 3) == pytest.approx(0.95)


def test_an_experiment_runs_whole_weeks():
    assert planning.days(10_000, 1000) == 14
    assert planning.days(10_000, 1000, whole_weeks=False) == 10
    assert planning.days(1, 1000, whole_weeks=False) == 1
    with pytest.raises(BadPlan, match="per day"):
        planning.days(10, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": 0},
        {"alpha": 0.6},
        {"power": 0.01},
        {"power": 1},
        {"share": 0},
        {"share": 1},
        {"sides": 3},
    ],
)
def test_a_design_that_cannot_be_is_refused(wrong):
    with pytest.raises(BadPlan):
        Design(**wrong)


def test_a_size_of_nothing_or_of_everything_is_refused():
    for metric, effect in ((Metric(1, 1), 0.0), (Metric(1, 0), 0.1), (Metric(1, 1), 1e-9)):
        with pytest.raises(BadPlan):
            planning.size(metric, effect, Design())


def test_without_units_nothing_can_be_seen():
    assert planning.power(Metric(1, 1), 0.1, 0, Design()) == 0.0
    assert planning.detectable(Metric(1, 1), 1, Design()) == inf
