"""What looks stale, and what only seems so."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from flags.domain.flag import Draft, Lifecycle, made
from flags.domain.place import founded
from flags.domain.staleness import Asked, served_to_all, stale
from flags.domain.usage import Used

DAY = timedelta(days=1)
BORN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = BORN + 100 * DAY
PROJECT = founded(UUID(int=1), "default", "D", [UUID(int=n) for n in (2, 3, 4)], BORN)
ASKED = Asked(environment="production", unchanged=60 * DAY, unused=30 * DAY, now=NOW)
WHEN = {"op": "eq", "attribute": "a", "value": 1}
SOMETIMES = ({"when": WHEN, "variant": "on"},)


def flag(rules=(), *, enabled=True, **said):
    draft = Draft(key="f", name="F", default_variant="off", rules=rules)
    switched = made(draft, UUID(int=9), PROJECT, "ana", BORN)
    if enabled:
        switched = switched.set_to("production", BORN, enabled=True)
    return replace(switched, **said)


def why(flag, used=None, begun=None):
    found = stale(flag, used, begun, ASKED)
    return [] if found is None else [reason.why for reason in found.reasons]


def used(*variants, last=NOW):
    return Used(flag_id=UUID(int=9), variants=frozenset(variants), last=last)


def test_a_flag_that_decides_and_is_asked_is_not_stale():
    assert why(flag(SOMETIMES), used("on", "off"), BORN) == []


def test_one_that_gives_everybody_the_same_is_after_a_while():
    assert why(flag()) == ["age", "one_sided"]
    assert why(flag(updated_at=NOW - 59 * DAY)) == []


def test_one_whose_rules_gave_only_one_variant_lately_is_too():
    assert why(flag(SOMETIMES), used("off"), BORN) == ["age", "one_variant"]


def test_one_that_nobody_asks_for_is_if_asking_was_counted_for_long_enough():
    forgotten = used(last=NOW - 40 * DAY)
    assert why(flag(SOMETIMES), forgotten, BORN) == ["age", "unused"]
    assert why(flag(SOMETIMES), None, BORN) == ["age", "unused"]
    assert why(flag(SOMETIMES), None, NOW - 3 * DAY) == []
    assert why(flag(SOMETIMES), None, None) == []


def test_what_is_meant_to_stay_is_listed_only_if_it_was_marked():
    assert why(flag(tags=("permanent",))) == []
    marked = flag(tags=("permanent",), lifecycle=Lifecycle.STALE)
    assert why(marked) == ["marked"]


SPLIT = {"weights": [{"variant": "on", "weight": 0}, {"variant": "off", "weight": 100_000}]}
HALF = {"weights": [{"variant": "on", "weight": 50_000}, {"variant": "off", "weight": 50_000}]}


@pytest.mark.parametrize(
    ("said", "served"),
    [
        ({}, "off"),
        ({"enabled": False, "off_variant": "on"}, "on"),
        ({"rules": ({"when": WHEN, "variant": "off"},)}, "off"),
        ({"rules": SOMETIMES}, None),
        ({"rules": ({"split": SPLIT},)}, "off"),
        ({"rules": ({"split": HALF},)}, None),
        ({"rules": ({"spoilt": 1},)}, None),
        ({"rules": ({"split": {"weights": ["spoilt"]}},)}, None),
        ({"targets": ({"variant": "on", "values": ["ana"]},)}, None),
        ({"prerequisites": ({"flag": "g", "variants": ["on"]},), "off_variant": "on"}, None),
    ],
)
def test_what_everybody_gets_is_read_off_the_rules(said, served):
    assert served_to_all(replace(flag().switch("production"), **said)) == served
