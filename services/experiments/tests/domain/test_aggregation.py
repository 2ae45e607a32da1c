"""From events to values to cells: any order of arrival, windows to the instant, and a recount agrees."""

from datetime import UTC, datetime, timedelta
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.domain.aggregation import (
    Event,
    Kind,
    Measure,
    UnitState,
    Window,
    changed,
    counted,
    entered,
    left,
    taken,
    values,
)
from experiments.domain.errors import BadPlan, BadValue
from experiments.domain.inference import moments

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WEEK = Window(length=timedelta(days=7))
MEASURES = [
    Measure(kind=Kind.PROPORTION, events=("buy",), window=WEEK, lookback=7 * DAY),
    Measure(kind=Kind.RETENTION, events=("open",), window=Window(7 * DAY, 7 * DAY)),
    Measure(kind=Kind.COUNT, events=("open",), high=3.0, lookback=DAY),
    Measure(kind=Kind.SUM, events=("buy",), window=WEEK, low=-50.0, high=200.0, lookback=30 * DAY),
    Measure(kind=Kind.RATIO, events=("buy",), below="open", window=WEEK, lookback=7 * DAY),
    Measure(kind=Kind.RATIO, events=("buy",), below="open", counted=False),
    Measure(kind=Kind.FUNNEL, events=("open", "cart", "buy"), window=WEEK),
]
EVENTS = st.lists(
    st.builds(
        Event,
        st.sampled_from(["open", "cart", "buy", "other"]),
        st.integers(-40 * 24, 40 * 24).map(lambda h: NOON + h * HOUR),
        st.integers(-100, 100).map(float),
    ),
    max_size=15,
)


def at(hours, name="buy", value=1.0):
    return Event(name, NOON + hours * HOUR, value)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda m: m.kind)
@given(events=EVENTS, dice=st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(measure, events, dice):
    shuffled = list(events)
    dice.shuffle(shuffled)
    assert counted(measure, NOON, shuffled) == counted(measure, NOON, events)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda m: m.kind)
@given(units=st.lists(EVENTS, min_size=1, max_size=6), late=EVENTS)
def test_a_cell_that_follows_its_units_equals_a_recount(measure, units, late):
    states = [counted(measure, NOON, events) for events in units]
    cell = moments.nothing()
    for state in states:
        cell = entered(cell, measure, state)
    for event in late:
        after = taken(measure, states[0], event)
        cell = changed(cell, measure, states[0], after)
        states[0] = after
    recount = moments.of([values(measure, state) for state in states])
    assert cell.n == recount.n
    assert cell.mean == pytest.approx(recount.mean, rel=1e-12, abs=1e-9)
    assert cell.co == pytest.approx(recount.co, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda m: m.kind)
@given(units=st.lists(EVENTS, min_size=2, max_size=6))
def test_a_unit_that_leaves_is_as_if_it_had_never_been(measure, units):
    states = [counted(measure, NOON, events) for events in units]
    cell = moments.of([values(measure, state) for state in states])
    rest = moments.of([values(measure, state) for state in states[1:]])
    gone = left(cell, measure, states[0])
    assert gone.mean == pytest.approx(rest.mean, rel=1e-9, abs=1e-9)
    assert gone.co == pytest.approx(rest.co, rel=1e-9, abs=1e-5)


def test_a_window_begins_with_the_exposure_and_ends_before_its_end():
    measure = Measure(kind=Kind.COUNT, events=("buy",), window=Window(length=DAY))
    inside = [at(0), at(23.999)]
    outside = [at(-0.001), at(24)]
    assert values(measure, counted(measure, NOON, [*inside, *outside]))[0] == 2


def test_retention_counts_only_from_the_beginning_of_its_window():
    measure = MEASURES[1]
    for hours, there in ((167, 0.0), (168, 1.0), (335, 1.0), (336, 0.0)):
        assert values(measure, counted(measure, NOON, [at(hours, "open")]))[0] == there


def test_what_was_before_the_exposure_is_the_covariate():
    measure = MEASURES[3]
    found = values(
        measure,
        counted(measure, NOON, [at(-24, value=30.0), at(-31 * 24, value=99.0), at(5, value=12.0)]),
    )
    assert found == (12.0, 1.0, 30.0, 0.0)
    ratio = MEASURES[4]
    events = [at(-2, "open"), at(-1, "buy", 7.0), at(1, "open"), at(2, "open"), at(3, "buy", 5.0)]
    assert values(ratio, counted(ratio, NOON, events)) == (5.0, 2.0, 7.0, 1.0)


def test_caps_hold_for_the_sum_of_a_unit_and_for_its_past():
    measure = MEASURES[3]
    events = [at(1, value=150.0), at(2, value=150.0), at(-1, value=900.0)]
    assert values(measure, counted(measure, NOON, events)) == (200.0, 1.0, 200.0, 0.0)
    assert values(measure, counted(measure, NOON, [at(1, value=-80.0)]))[0] == -50.0


def test_a_value_may_be_taken_back():
    measure = MEASURES[3]
    assert (
        values(measure, counted(measure, NOON, [at(1, value=40.0), at(2, value=-40.0)]))[0] == 0.0
    )


def test_a_funnel_needs_its_steps_in_order():
    measure = MEASURES[6]
    opened, carted, bought = at(1, "open"), at(2, "cart"), at(3, "buy")
    for events, through in (
        ([bought, opened, carted], 1.0),
        ([opened, carted], 0.0),
        ([at(1, "buy"), at(2, "cart"), at(3, "open")], 0.0),
        ([at(1, "cart"), at(2, "open"), at(3, "buy"), at(4, "cart")], 0.0),
        ([at(1, "cart"), at(2, "open"), at(3, "cart"), at(4, "buy")], 1.0),
        ([at(1, "open"), at(1, "cart"), at(2, "buy")], 0.0),
        ([], 0.0),
    ):
        assert values(measure, counted(measure, NOON, events))[0] == through


def test_a_ratio_can_be_over_a_sum():
    measure = MEASURES[5]
    found = values(
        measure, counted(measure, NOON, [at(1, "open", 4.0), at(2, "open", 6.0), at(3, "buy", 5.0)])
    )
    assert found[:2] == (5.0, 10.0)


def test_an_event_of_no_concern_changes_nothing():
    measure, state = MEASURES[0], UnitState(NOON)
    assert taken(measure, state, at(1, "other")) is state
    assert taken(measure, state, at(999)) is state


@pytest.mark.parametrize("value", [nan, inf, -inf, 1e19])
def test_a_value_that_is_no_number_is_refused(value):
    with pytest.raises(BadValue, match="'buy'"):
        taken(MEASURES[0], UnitState(NOON), at(1, value=value))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": Kind.SUM, "events": ()},
        {"kind": Kind.SUM, "events": ("a", "b")},
        {"kind": Kind.RATIO, "events": ("a",)},
        {"kind": Kind.SUM, "events": ("a",), "below": "b"},
        {"kind": Kind.SUM, "events": ("a",), "low": 2.0, "high": 1.0},
    ],
)
def test_a_measure_that_contradicts_itself_is_refused(wrong):
    with pytest.raises(BadPlan):
        Measure(**wrong)
