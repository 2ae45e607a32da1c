from datetime import timedelta

import pytest

from audit.domain.entry import Entry
from audit.domain.errors import BadRange
from audit.domain.strands import STRANDS
from audit.domain.wanted import Wanted
from chassis.facts import Target


def entry_of(at, event):
    return Entry(seq=1, ts=at, event=event, body=b"", secrets={})


def test_a_range_that_ends_before_it_begins_is_refused(clock):
    with pytest.raises(BadRange):
        Wanted(from_date=clock.at, to_date=clock.at - timedelta(microseconds=1))


def test_both_ends_of_a_range_belong_to_it(event, clock):
    entry = entry_of(clock.at, event())
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
    entry = entry_of(clock.at, event(action="flag.toggle_enabled"))
    assert Wanted(action_type=asked).matches(entry) is found


@pytest.mark.parametrize(
    ("q", "found"), [("DARK ana@", True), ("mode dark", True), ("dark cat", False), ("  ", True)]
)
def test_every_word_of_a_search_must_occur(event, clock, q, found):
    entry = entry_of(clock.at, event(target=Target("flag", "f", "Dark mode")))
    assert Wanted(q=q).matches(entry) is found


def test_a_search_for_nothing_is_no_filter():
    assert not Wanted(q="  ").terms
    assert Wanted(q="x").terms


def test_a_person_is_found_by_every_name_they_ever_had(event, clock):
    entry = entry_of(clock.at, event())
    assert Wanted(q="bea").matches(entry, "ana@example.com\nbea@example.com")
    assert not Wanted(q="ana@").matches(entry, "")


def test_each_filter_is_a_strand():
    asked = Wanted(user_id="u", entity_id="e", entity_type="t", action_type="v", outcome="denied")
    assert {STRANDS[which]: value for which, value in asked.strands.items()} == {
        "actor": "u",
        "entity": "e",
        "entity_type": "t",
        "verb": "v",
        "outcome": "denied",
    }
    (which,) = Wanted(action_type="a.b").strands
    assert STRANDS[which] == "action"
