"""States, by hand and by the clock."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.domain.errors import ScheduleOver, WrongState
from experiments.domain.experiment import Experiment, Status
from experiments.domain.moves import MOVES, due_at, moved, scheduled, settle, settled
from experiments.domain.schedule import Moment, Schedule

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
NEVER = NOW.replace(year=2100)
DRAFT = Experiment(
    id=UUID(int=1),
    tenant=UUID(int=9),
    key="checkout",
    name="Checkout",
    owner_id="ana",
    created_at=NOW,
    updated_at=NOW,
)


def hours(count):
    return NOW + timedelta(hours=count)


def moment(at):
    return at and Moment(at=at, wall=at.replace(tzinfo=None))


def planned(start=None, end=None, set_at=NOW, status=Status.DRAFT):
    schedule = Schedule(start=moment(start), end=moment(end), set_at=set_at)
    return replace(DRAFT, status=status, schedule=schedule)


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("status", Status)
def test_a_move_is_possible_from_its_states_and_from_no_other(name, status):
    move, it = MOVES[name], replace(DRAFT, status=status)
    if status in move.come_from:
        assert moved(it, move, NOW).status is move.to
        assert moved(it, move, NOW).version == it.version + 1
    else:
        with pytest.raises(WrongState, match=f"it is {status}"):
            moved(it, move, NOW)


def test_a_refusal_says_what_is_possible_instead():
    with pytest.raises(WrongState, match="from there it can resume or complete"):
        moved(replace(DRAFT, status=Status.PAUSED), MOVES["start"], NOW)
    with pytest.raises(WrongState, match="there it ends"):
        moved(replace(DRAFT, status=Status.ARCHIVED), MOVES["start"], NOW)


def test_each_state_can_be_reached():
    reached = {move.to for move in MOVES.values()} | {Status.DRAFT}
    assert reached == set(Status)


def test_nothing_happens_before_the_start():
    assert settle(planned(hours(1)), NOW) == ()


def test_at_the_very_start_it_is_active():
    it = settled(planned(hours(1)), hours(1))
    assert (it.status, it.started_at, it.updated_at) == (Status.ACTIVE, hours(1), hours(1))


def test_at_the_very_end_it_is_completed():
    it = settled(planned(end=hours(3), status=Status.ACTIVE), hours(3))
    assert (it.status, it.completed_at) == (Status.COMPLETED, hours(3))


def test_a_scheduler_that_slept_through_makes_both_moves_in_order():
    steps = settle(planned(hours(1), hours(3)), hours(9))
    assert [(s.move.name, s.after.updated_at) for s in steps] == [
        ("start", hours(1)),
        ("complete", hours(3)),
    ]


def test_a_start_in_the_past_takes_effect_when_it_is_set():
    it = settled(planned(hours(-5), set_at=NOW), hours(1))
    assert (it.status, it.started_at) == (Status.ACTIVE, NOW)


def test_a_pause_by_hand_is_not_undone_by_the_start_that_has_been():
    running = settled(planned(hours(1), hours(9)), hours(2))
    paused = moved(running, MOVES["pause"], hours(2))
    assert settled(paused, hours(3)).status is Status.PAUSED
    assert settled(paused, hours(9)).status is Status.COMPLETED


def test_a_new_start_resumes_what_is_paused():
    it = planned(hours(1), status=Status.PAUSED)
    assert [step.move.name for step in settle(it, hours(1))] == ["resume"]


def test_starting_by_hand_before_the_date_leaves_only_the_end():
    it = moved(planned(hours(5), hours(9)), MOVES["start"], NOW)
    assert due_at(it) == hours(9)
    paused = moved(it, MOVES["pause"], hours(1))
    assert settled(paused, hours(6)).status is Status.PAUSED


def test_an_end_alone_does_not_end_what_never_began():
    assert settled(planned(end=hours(1)), hours(2)).status is Status.DRAFT


def test_what_should_have_ended_cannot_be_started():
    with pytest.raises(ScheduleOver, match="schedule first"):
        moved(planned(end=hours(1)), MOVES["start"], hours(2))


@pytest.mark.parametrize("status", [Status.ACTIVE, Status.COMPLETED, Status.ARCHIVED])
def test_a_schedule_is_for_what_is_draft_or_paused(status):
    with pytest.raises(WrongState, match="DRAFT or PAUSED"):
        scheduled(replace(DRAFT, status=status), None, NOW)


SOMETIME = st.integers(-50, 50).map(hours)
PLANS = st.builds(
    planned, st.none() | SOMETIME, st.none() | SOMETIME, SOMETIME, st.sampled_from(Status)
)


@given(it=PLANS, now=SOMETIME)
def test_what_is_settled_has_nothing_due(it, now):
    after = settled(it, now)
    assert settle(after, now) == ()
    assert (due_at(after) or NEVER) > now


@given(it=PLANS, first=SOMETIME, second=SOMETIME)
def test_it_does_not_matter_how_often_anybody_looks(it, first, second):
    early, late = sorted((first, second))
    assert settled(settled(it, early), late) == settled(it, late)


@given(it=PLANS, now=SOMETIME)
def test_each_move_of_the_clock_is_one_that_a_hand_could_make(it, now):
    for step in settle(it, now):
        assert step.before.status in step.move.come_from
        assert step.after.status is step.move.to
        assert step.after.version == step.before.version + 1
