"""The tally: the first is told at once, the rest counted, and no group fills the room of another."""

from authz.tally import Tally


def told(found):
    return [(one.name, one.latest, one.count) for one in found]


def test_the_first_of_a_name_is_told_at_once_and_the_rest_when_the_window_turns():
    tally = Tally()
    assert tally.add(("t", "ana"), "first") is True
    assert told(tally.due()) == [(("t", "ana"), "first", 1)]
    assert [tally.add(("t", "ana"), n) for n in range(1000)] == [False] * 1000
    assert tally.due() == []
    assert told(tally.turn()) == [(("t", "ana"), 999, 1000)]
    assert tally.add(("t", "ana"), "still the flood") is False
    assert told(tally.turn()) == [(("t", "ana"), "still the flood", 1)]


def test_a_name_that_was_quiet_for_a_window_is_told_at_once_again():
    tally = Tally()
    tally.add(("t", "ana"), 1)
    tally.due()
    assert (tally.turn(), tally.turn()) == ([], [])
    assert tally.add(("t", "ana"), 2) is True


def test_a_group_with_too_many_names_is_told_under_one_and_leaves_room_to_others():
    tally = Tally(most=3)
    firsts = [tally.add(("noisy", n), n) for n in range(10)]
    assert firsts == [True, True, True, True] + [False] * 6
    assert tally.add(("quiet", "bo"), "bo") is True
    found = tally.due()
    assert [one.name for one in found if one.crowded] == [("noisy",)]
    assert sum(one.count for one in found) == 11
    assert ("quiet", "bo") in {one.name for one in found}


def test_what_could_not_be_told_waits_and_is_not_counted_twice():
    tally = Tally()
    tally.add(("t", "ana"), "old")
    untold = tally.due()
    tally.add(("t", "ana"), "new")
    tally.back(untold)
    assert tally.due() == []
    assert told(tally.turn()) == [(("t", "ana"), "new", 2)]
