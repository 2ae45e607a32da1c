"""Sufficient statistics: any order, any grouping, any path gives the same."""

from math import isclose, nan
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.domain.errors import BadValue
from experiments.domain.inference import moments
from experiments.domain.inference.moments import D, Y

VALUES = st.floats(-1e6, 1e6, allow_subnormal=False)
UNITS = st.lists(st.tuples(VALUES, VALUES, VALUES, VALUES), min_size=1, max_size=40)


def alike(a, b, tolerance=1e-12):
    """To 1e-12 of the size of the values, which is what a sum of their squares can be known to."""
    assert a.n == b.n
    scale = max(1e-300, *(abs(m) for m in (*a.mean, *b.mean)), *(abs(c) / a.n for c in b.co)) or 1
    width = max(
        [abs(m) for m in (*a.mean, *b.mean)] + [(abs(c) / a.n) ** 0.5 for c in b.co] + [1e-300]
    )
    assert all(abs(p - q) <= tolerance * width for p, q in zip(a.mean, b.mean, strict=True))
    assert all(abs(p - q) <= tolerance * width**2 * a.n for p, q in zip(a.co, b.co, strict=True))
    assert scale > 0


@given(UNITS, st.randoms(use_true_random=False))
def test_the_order_and_the_grouping_of_merges_do_not_matter(units, dice):
    parts = [moments.single(u) for u in units]
    straight = moments.merged(parts)
    while len(parts) > 1:
        dice.shuffle(parts)
        parts.append(parts.pop().plus(parts.pop()))
    alike(parts[0], straight)


@given(UNITS)
def test_streaming_equals_batch(units):
    alike(moments.merged(moments.single(u) for u in units), moments.of(units))


@given(UNITS, UNITS)
def test_taking_a_group_out_again_leaves_what_was_there(units, others):
    a, b = moments.of(units), moments.of(others)
    size = max(abs(v) for u in (*units, *others) for v in u) or 1
    back = a.plus(b).minus(b)
    assert back.n == a.n
    loss = 1e-11 * (1 + b.n / a.n)
    assert all(abs(p - q) <= loss * size for p, q in zip(back.mean, a.mean, strict=True))
    assert all(
        abs(p - q) <= loss * size**2 * (a.n + b.n) for p, q in zip(back.co, a.co, strict=True)
    )


@given(UNITS, st.tuples(VALUES, VALUES, VALUES, VALUES))
def test_a_unit_that_changes_its_values_is_as_if_it_always_had_them(units, after):
    moved = moments.of(units).moved(units[0], after)
    size = max(abs(v) for u in (*units, after) for v in u) or 1
    fresh = moments.of([after, *units[1:]])
    assert all(abs(p - q) <= 1e-11 * size for p, q in zip(moved.mean, fresh.mean, strict=True))
    assert all(
        abs(p - q) <= 1e-11 * size**2 * len(units) for p, q in zip(moved.co, fresh.co, strict=True)
    )


@given(UNITS)
def test_co_moments_agree_with_numpy(units):
    ours = moments.of(units)
    table = np.array(units)
    theirs = (
        np.cov(table, rowvar=False, ddof=0).reshape(4, 4) * len(units)
        if len(units) > 1
        else np.zeros((4, 4))
    )
    size = np.abs(table).max() ** 2 * len(units) + 1e-300
    assert abs(ours.spread(Y, D) - theirs[0, 1]) <= 1e-11 * size
    assert abs(ours.spread(3, 3) - theirs[3, 3]) <= 1e-11 * size


def test_the_variance_of_large_values_is_not_lost():
    dice = Random(3)
    units = [(1e9 + dice.gauss(0, 1), 1.0, 0.0, 0.0) for _ in range(20_000)]
    variance = moments.merged(moments.single(u) for u in units).spread(Y, Y) / 19_999
    assert isclose(variance, np.var([u[0] for u in units], ddof=1), rel_tol=1e-6)


@pytest.mark.parametrize("value", [nan, float("inf"), -float("inf"), 1e19])
def test_a_value_that_cannot_be_measured_is_refused(value):
    with pytest.raises(BadValue, match="finite"):
        moments.single((value, 1, 0, 0))


def test_nothing_is_the_neutral_group():
    one = moments.of([(1, 1, 0, 0), (4, 1, 0, 0)])
    assert moments.nothing().plus(one) == one == one.plus(moments.nothing())
    assert one.minus(one) == moments.nothing()
    assert moments.of([]) == moments.nothing() == moments.merged([])


def test_values_up_to_the_limit_stay_finite_however_many():
    big = moments.of([(1e18, 1, 0, 0), (-1e18, 1, 0, 0)])
    total = big
    for _ in range(40):
        total = total.plus(total)
    assert total.n == 2**41
    assert total.spread(Y, Y) == pytest.approx(2**41 * 1e36)


def test_a_proportion_needs_only_its_counts():
    units = [(1, 1, 0, 0)] * 3 + [(0, 1, 0, 0)] * 7
    assert moments.counted(3, 10).co == pytest.approx(moments.of(units).co)
    assert moments.counted(0, 0).n == 0
