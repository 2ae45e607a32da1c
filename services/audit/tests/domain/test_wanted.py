from datetime import timedelta

import pytest

from audit.domain.entry import Entry
from audit.domain.errors import BadRange
from audit.domain.wanted import Wanted
from chassis.facts import Target


def test_a_range_that_ends_before_it_begins_is_refused(clock):
    with pytest.raises(BadRange):
        Wanted(from_date=clock.at, to_date=clock.at - timedelta(microseconds=1))


def test_both_ends_of_a_range_belong_to_it(event, clock):
    entry = Entry(seq=1, ts=clock.at, event=event())
    assert Wanted(from_date=clock.at, to_date=clock.at).matches(entry)
    assert not Wanted(from_date=clock.at + timedelta(microseconds=1)).matches(entry)
    assert not Wanted(to_date=clock.at - timedelta(microseconds=1)).matches(entry)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("toggle_enabled", True),
        ("flag.toggle_enabled", True),
        ("experiment.toggle_enabled", False),
        ("toggle", False),
        ("flag", False),
    ],
)
def test_an_action_is_asked_for_by_verb_or_in_full(event, clock, asked, found):
    entry = Entry(seq=1, ts=clock.at, event=event(action="flag.toggle_enabled"))
    assert Wanted(action_type=asked).matches(entry) is found


@pytest.mark.parametrize(
    ("q", "found"), [("DARK ana@", True), ("mode dark", True), ("dark cat", False), ("  ", True)]
)
def test_every_word_of_a_search_must_occur(event, clock, q, found):
    entry = Entry(seq=1, ts=clock.at, event=event(target=Target("flag", "f", "Dark mode")))
    assert Wanted(q=q).matches(entry) is found


def test_a_search_for_nothing_is_no_filter():
    assert not Wanted(q="  ").narrow
    assert Wanted(q="x").narrow
