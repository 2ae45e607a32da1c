from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flags.domain.errors import BadKey, BadVariants, FlagArchived, UnknownVariant
from flags.domain.flag import Change, Draft, Lifecycle, made
from flags.domain.place import founded
from flags.domain.values import FlagType

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)
PROJECT = founded(UUID(int=9), "default", "Default", [uuid4() for _ in range(3)], NOW)
HERE, THERE = "production", "development"


def flag(**said):
    return made(Draft(key="dark-mode", name="Dark mode", **said), uuid4(), PROJECT, "ana", NOW)


def test_toggling_twice_restores_the_switch():
    twice = flag().toggled(HERE, NOW).toggled(HERE, NOW)
    assert (twice.switch(HERE).enabled, twice.version, twice.switch(HERE).version) == (False, 3, 3)


def test_a_switch_is_one_environments_own():
    toggled = flag().toggled(HERE, LATER)
    assert toggled.switch(HERE).enabled
    assert toggled.switch(THERE) == flag().switch(THERE)
    assert toggled.updated_at == LATER


@given(wanted=st.lists(st.booleans(), max_size=8))
def test_setting_to_a_state_is_idempotent_and_counts_only_changes(wanted):
    now, changes, last = flag(), 0, False
    for enabled in wanted:
        after = now.set_to(HERE, LATER, enabled=enabled)
        changes += enabled != last
        assert (after is now) == (enabled == last)
        now, last = after, enabled
    assert (now.version, now.switch(HERE).enabled) == (1 + changes, last)


def test_an_archived_flag_does_not_change_until_it_is_brought_back():
    archived = flag().changed(HERE, NOW, Change(flag={"lifecycle": Lifecycle.ARCHIVED}))
    with pytest.raises(FlagArchived, match="dark-mode"):
        archived.toggled(HERE, NOW)
    with pytest.raises(FlagArchived):
        archived.changed(HERE, NOW, Change(flag={"name": "New"}))
    back = archived.changed(HERE, NOW, Change(flag={"lifecycle": Lifecycle.ACTIVE}))
    assert back.toggled(HERE, NOW).switch(HERE).enabled


def test_unless_told_the_first_variant_is_served_and_the_last_when_off():
    colours = flag(type=FlagType.STRING, variants={"r": "red", "g": "green", "b": "blue"})
    assert (colours.switch(HERE).default_variant, colours.switch(HERE).off_variant) == ("r", "b")
    told = flag(default_variant="off", off_variant="on").switch(HERE)
    assert (told.default_variant, told.off_variant) == ("off", "on")


def test_a_variant_that_is_served_somewhere_cannot_go():
    with pytest.raises(UnknownVariant) as refused:
        flag().changed(HERE, NOW, Change(flag={"variants": {"on": True}}))
    assert refused.value.errors[0].pointer == "/off_variant"


def test_variants_and_what_serves_them_change_together():
    change = Change(
        flag={"variants": {"on": True, "aus": False, "off": False}}, switch={"off_variant": "aus"}
    )
    after = flag().changed(HERE, NOW, change)
    assert (after.switch(HERE).off_variant, after.switch(THERE).off_variant) == ("aus", "off")


def test_one_and_true_are_two_values():
    before = flag(type=FlagType.JSON, variants={"a": {"x": 1}})
    after = before.changed(HERE, NOW, Change(flag={"variants": {"a": {"x": True}}}))
    assert after.version == 2


def test_a_key_in_the_form_of_an_id_is_refused():
    with pytest.raises(BadKey):
        made(Draft(key=str(uuid4()), name="x"), uuid4(), PROJECT, "ana", NOW)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (FlagType.BOOLEAN, [True, False], [0, 1, "true", None]),
        (FlagType.STRING, ["", "ü"], [1, None, True, "\ud800"]),
        (FlagType.INTEGER, [0, -5, 2**53 - 1], [True, 1.0, 2**53, "1"]),
        (FlagType.FLOAT, [0.5, 1, -1e300], [True, float("nan"), float("inf"), 10**400, "1"]),
        (FlagType.JSON, [{}, [], {"a": [None, 1.5]}], [1, "x", None, {"a": 2**60}, ["\udfff"]]),
    ],
)
def test_each_type_takes_its_own_values_and_no_others(kind, good, bad):
    for value in good:
        assert flag(type=kind, variants={"v": value}).variants["v"] == value
    for value in bad:
        with pytest.raises(BadVariants) as refused:
            flag(type=kind, variants={"v": value})
        assert refused.value.errors[0].pointer == "/variants/v"


@pytest.mark.parametrize("variants", [{}, {str(n): True for n in range(101)}])
def test_there_are_some_variants_but_not_too_many(variants):
    with pytest.raises(BadVariants):
        flag(variants=variants)


def test_only_a_boolean_flag_knows_its_variants_by_itself():
    with pytest.raises(BadVariants):
        flag(type=FlagType.STRING)


def test_a_flag_is_a_value():
    one = flag()
    assert replace(one) == one
