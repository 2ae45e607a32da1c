"""Quantiles by ranks, and the histogram that gives them."""

from functools import partial
from math import inf

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from experiments.domain.inference import fixed, histogram, moments, quantiles
from experiments.domain.inference.intervals import EVERYTHING
from experiments.domain.inference.quantiles import evidence, first, listed
from experiments.domain.inference.sequences import Watch, mixing

RNG = np.random.default_rng(12)
SAME = listed(RNG.lognormal(0, 1, 4000).tolist()), listed(RNG.lognormal(0, 1, 4000).tolist())
MORE = listed((1.3 * RNG.lognormal(0, 1, 4000)).tolist()), SAME[0]


@pytest.mark.parametrize("p", [0.05, 0.5, 0.95])
def test_a_rank_interval_covers_as_the_binomial_law_says(p):
    n = 400
    ranks = quantiles.ranked(quantiles.Ordered(n, float), p, 1.959964)
    covered = scipy.stats.binom.cdf(ranks.high - 1, n, p) - scipy.stats.binom.cdf(
        ranks.low - 1, n, p
    )
    assert 0.945 <= covered <= 0.99


def test_the_difference_of_quantiles_has_the_error_of_the_bootstrap():
    a, b = ([arm.at(k) for k in range(1, 4001)] for arm in MORE)
    draws = [np.median(RNG.choice(a, 4000)) - np.median(RNG.choice(b, 4000)) for _ in range(300)]
    found = quantiles.contrast(*MORE, 0.5)
    assert found.error == pytest.approx(np.std(draws), rel=0.2)
    assert found.difference == pytest.approx(np.median(a) - np.median(b), abs=0.002)
    assert fixed.welch(found, 0.05).p < 1e-6


@pytest.mark.parametrize(("k", "p"), [(220, 0.4), (30, 0.02), (999, 0.95)])
def test_the_evidence_is_the_truncated_beta_mixture_from_below(k, p):
    n, strength = 1000, 1 / mixing(2000, 0.05)
    prior = scipy.stats.beta(strength * p, strength * (1 - p))

    def ratio(theta):
        return prior.pdf(theta) * np.exp(
            k * np.log(theta / p) + (n - k) * np.log((1 - theta) / (1 - p))
        )

    whole = quad(ratio, p, 1 - 1e-12, limit=2000, points=[min(max(k / n, p), 1 - 1e-9)])[
        0
    ] / prior.sf(p)
    ours = evidence(quantiles.Ordered(n, float), k, p, strength)
    if k / n <= p:
        assert ours == -inf
    else:
        assert np.log(whole) - 0.7 <= ours <= np.log(whole) + 1e-4


def test_evidence_far_from_the_plan_is_the_mixture_itself():
    n, p, k, strength = 1000, 0.5, 600, 1 / mixing(2000, 0.05)
    prior = scipy.stats.beta(strength * p, strength * (1 - p))
    whole = quad(
        lambda t: prior.pdf(t) * np.exp(k * np.log(t / p) + (n - k) * np.log((1 - t) / (1 - p))),
        p,
        1,
        points=[0.6],
    )[0]
    assert evidence(quantiles.Ordered(n, float), k, p, strength) == pytest.approx(
        np.log(whole / prior.sf(p)), abs=1e-5
    )


@pytest.mark.parametrize("p", [0.5, 0.95])
@pytest.mark.parametrize("arms", [SAME, MORE], ids=["same", "more"])
@pytest.mark.parametrize("alpha", [0.05, 1e-4])
def test_p_value_and_sequences_of_a_difference_agree(p, arms, alpha):
    found = quantiles.apart(*arms, p, alpha, Watch(8000))
    assert found.difference.holds(0) == (found.p > alpha)
    assert quantiles.apart(arms[1], arms[0], p, alpha, Watch(8000)).p == found.p


def test_a_shifted_quantile_is_found_and_an_equal_one_is_not():
    assert quantiles.apart(*MORE, 0.5, 0.05, Watch(8000)).p < 1e-4
    assert quantiles.apart(*SAME, 0.5, 0.05, Watch(8000)).p > 0.05
    assert quantiles.apart(*MORE, 0.5, 0.05, Watch(8000)).lift.low > 0


def test_one_sided_quantile_tests_look_one_way():
    more, less = MORE
    assert quantiles.below(less, more, 0.5, 0.01, Watch(8000)) < 0.01
    assert quantiles.below(more, less, 0.5, 0.01, Watch(8000)) == 1.0
    assert quantiles.below(quantiles.scaled(less, 1.5), more, 0.5, 0.01, Watch(8000)) == 1.0


def test_ties_are_no_obstacle():
    zeros = listed([0.0] * 900 + [5.0] * 100)
    found = quantiles.apart(zeros, zeros, 0.5, 0.05, Watch(2000))
    assert found.p == 1.0
    assert (found.difference.low, found.difference.high) == (0.0, 0.0)
    assert not quantiles.contrast(zeros, zeros, 0.5).informative


def test_few_observations_bound_nothing():
    few, none = listed([1.0, 2.0, 3.0]), listed([])
    assert quantiles.followed(few, 0.95, 0.05, Watch()) == EVERYTHING
    assert quantiles.followed(none, 0.5, 0.05, Watch()) == EVERYTHING
    assert quantiles.ranked(none, 0.5, 1.96) == EVERYTHING
    assert quantiles.apart(none, few, 0.5, 0.05, Watch()) == fixed.NOTHING
    assert quantiles.below(none, few, 0.5, 0.05, Watch()) == 1.0
    assert quantiles.apart(few, few, 0.5, 0.05, Watch()).lift == EVERYTHING
    assert none.quantile(0.5) == 0.0


def refutes(arm, strength, enough, rank):
    return evidence(arm, rank, 0.9, strength) >= enough


def test_a_sequence_covers_at_all_looks():
    n = np.arange(20, 4001, 20)
    strength = 1 / mixing(4000, 0.05)
    enough = np.log(2 / 0.05)
    arms = [quantiles.Ordered(int(k), float) for k in n]
    tops = [first(arm, partial(refutes, arm, strength, enough)) for arm in arms]
    below = (RNG.random((500, len(n), 20)) < 0.9).sum(-1).cumsum(1)
    assert (below >= np.array(tops)).any(1).mean() <= 0.025 + 3 * (0.025 / 500) ** 0.5


def test_clusters_widen_an_interval_of_ranks_by_the_delta_method():
    rng = np.random.default_rng(2)
    users = [rng.normal(rng.normal(0, 1), 0.3, 1 + rng.poisson(9)) for _ in range(3000)]
    median = np.median(np.concatenate(users))
    state = moments.of([(float((u <= median).sum()), float(len(u)), 0, 0) for u in users])
    medians = [
        np.median(np.concatenate([users[i] for i in rng.integers(0, 3000, 3000)]))
        for _ in range(150)
    ]
    events = np.concatenate(users).tolist()
    wide = quantiles.ranked(
        quantiles.Ordered(len(events), sorted(events).__getitem__, quantiles.clustering(state)),
        0.5,
        1.96,
    )
    assert (wide.high - wide.low) / 3.92 == pytest.approx(np.std(medians), rel=0.2)
    assert quantiles.clustering(state) > 2


def test_one_observation_of_each_unit_is_no_cluster():
    state = moments.counted(500, 1000)
    assert quantiles.clustering(state) == pytest.approx(1, rel=1e-3)
    assert quantiles.clustering(moments.nothing()) == 1.0
    assert quantiles.clustering(moments.counted(10, 10)) == 1.0


VALUES = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=60)


@given(VALUES)
@settings(max_examples=80)
def test_a_bucket_holds_its_value(values):
    for value in values:
        low, high = histogram.edges(histogram.bucket(value))
        slack = 1e-9 * abs(value) + 1e-12
        assert low - slack <= value <= high + slack


@given(VALUES, st.integers(0, 59), st.integers(0, 59))
@settings(max_examples=80)
def test_winsorising_at_bucket_edges_is_exact(values, i, j):
    units = [(v, 1.0, v / 3, 0.0) for v in values]
    low, high = sorted(
        (histogram.bucket(values[i % len(values)]), histogram.bucket(values[j % len(values)]))
    )
    cut = histogram.of(units).capped(low, high)
    floor, ceiling = histogram.edges(low)[0], histogram.edges(high)[1]

    def clipped(v):
        key = histogram.bucket(v)
        return floor if key < low else ceiling if key > high else v

    by_unit = moments.of([(clipped(u[0]), *u[1:]) for u in units])
    size = max(abs(floor), abs(ceiling), *(abs(v) for v in values), 1e-100)
    assert cut.mean == pytest.approx(by_unit.mean, abs=1e-9 * size)
    assert cut.co == pytest.approx(by_unit.co, abs=1e-9 * size**2 * len(values))


@given(VALUES, VALUES)
def test_histograms_merge(a, b):
    one, other = (histogram.of([(v, 1, 0, 0) for v in side]) for side in (a, b))
    both = histogram.of([(v, 1, 0, 0) for v in (*a, *b)])
    assert one.plus(other).buckets.keys() == both.buckets.keys()
    assert one.plus(other).n == both.n
    assert one.plus(other).total.mean == pytest.approx(both.total.mean, abs=1e-6)


def test_arms_are_winsorised_at_the_same_edges():
    arms = [
        histogram.of([(float(v), 1, 0, 0) for v in RNG.lognormal(3, 1.5, 2000)]) for _ in range(2)
    ]
    cut = histogram.winsorised(arms, 0.01, 0.99)
    assert all(c.n == 2000 for c in cut)
    assert all(c.co[0] < arm.total.co[0] / 1.5 for c, arm in zip(cut, arms, strict=True))
    assert histogram.winsorised(arms, 0.0, 1.0) == tuple(arm.total for arm in arms)


def test_ranks_of_a_histogram_are_those_of_the_values_within_a_bucket():
    values = sorted(RNG.lognormal(0, 1, 1000).tolist())
    arm = histogram.ranks(histogram.of([(v, 1, 0, 0) for v in values]))
    assert arm.n == 1000
    assert all(arm.at(k) == pytest.approx(values[k - 1], rel=0.06) for k in range(1, 1001, 37))


def test_an_empty_histogram_has_no_bucket_but_zero():
    nothing = histogram.of([])
    assert nothing.n == 0
    assert nothing.bucket_at(0.5) == histogram.ZERO
    assert histogram.ranks(nothing).quantile(0.5) == 0.0
