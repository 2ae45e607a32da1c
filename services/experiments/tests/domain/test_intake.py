"""What is taken of a batch: every reason to refuse an item, and that it costs no other."""

from datetime import UTC, datetime, timedelta
from math import inf, nan
from uuid import uuid4

import pytest

from experiments.domain.analysis import Analysis
from experiments.domain.experiment import Status
from experiments.domain.intake import (
    NotJson,
    Unfit,
    event_of,
    experiments_in,
    exposure_of,
    shard_of,
    sifted,
    unit_of,
)
from experiments.domain.trial import Span, Trial

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TENANT = uuid4()
EVENT = {"event_id": "e1", "unit": "u1", "name": "buy", "timestamp": "2026-06-01T11:00:00Z"}
SEEN = {
    "experiment": "checkout",
    "variant": "b",
    "unit": "u1",
    "timestamp": "2026-06-01T11:00:00+00:00",
}
TRIAL = Trial(
    id=uuid4(), tenant=TENANT, key="checkout", owner_id="ana", status=Status.ACTIVE,
    variants=("a", "b"), uses=(), analysis=Analysis(),
    spans=(
        Span(1, NOW - timedelta(days=3), NOW - timedelta(days=2), (1, 1)),
        Span(2, NOW - timedelta(days=1), None, (1, 1)),
    ),
)  # fmt: skip


def taken(**said):
    return event_of(TENANT, {**EVENT, **said}, NOW)


def seen(**said):
    return exposure_of(TENANT, {**SEEN, **said}, NOW, {"checkout": TRIAL})


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"unit": ""}, "bad_unit"),
        ({"unit": 7}, "bad_unit"),
        ({"unit": "x" * 257}, "bad_unit"),
        ({"unit": "a\x00"}, "bad_unit"),
        ({"unit": "\ud800"}, "bad_unit"),
        ({"name": ""}, "bad_name"),
        ({"name": "a\n"}, "bad_name"),
        ({"value": nan}, "bad_value"),
        ({"value": inf}, "bad_value"),
        ({"value": 1e19}, "bad_value"),
        ({"value": 10**400}, "bad_value"),
        ({"value": "NaN"}, "bad_value"),
        ({"value": True}, "bad_value"),
        ({"value": None}, "bad_value"),
        ({"timestamp": "2026-06-01T11:00:00"}, "bad_timestamp"),
        ({"timestamp": "yesterday"}, "bad_timestamp"),
        ({"timestamp": 1780000000}, "bad_timestamp"),
        ({"timestamp": "9999-12-31T23:59:59-23:00"}, "bad_timestamp"),
        ({"timestamp": "2026-06-01T12:05:01Z"}, "in_the_future"),
        ({"timestamp": "1999-12-31T00:00:00Z"}, "too_old"),
        ({"event_id": ""}, "bad_event_id"),
        ({"event_id": None, "sequence": 1.5}, "bad_sequence"),
        ({"event_id": None, "source": 1}, "bad_source"),
        ({"properties": []}, None),
        ({"properties": [1]}, "bad_properties"),
        ({"properties": {"a": {}}}, "bad_properties"),
        ({"properties": {"a": nan}}, "bad_properties"),
        ({"properties": {str(n): n for n in range(21)}}, "bad_properties"),
        ({"surprise": 1}, "unknown_field"),
    ],
)
def test_an_event_that_cannot_be_measured_says_why(said, code):
    if code is None:
        assert taken(**said).properties is None
        return
    with pytest.raises(Unfit) as caught:
        taken(**said)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"experiment": "other"}, "unknown_experiment"),
        ({"experiment": None}, "bad_experiment"),
        ({"variant": "c"}, "unknown_variant"),
        ({"timestamp": "2026-05-30T18:00:00Z"}, "not_running"),
        ({"timestamp": "2026-05-01T00:00:00Z"}, "not_running"),
        ({"timestamp": "2027-05-01T00:00:00Z"}, "in_the_future"),
        ({"properties": {"day": "x"}}, "bad_properties"),
        ({"properties": {"": "x"}}, "bad_properties"),
        ({"properties": {"a": ""}}, "bad_properties"),
        ({"properties": {"a": "x" * 101}}, "bad_properties"),
        ({"properties": {"a": inf}}, "bad_properties"),
        ({"properties": {c: 1 for c in "abcdef"}}, "bad_properties"),
    ],
)
def test_an_exposure_that_was_none_says_why(said, code):
    with pytest.raises(Unfit) as caught:
        seen(**said)
    assert caught.value.code == code


def test_an_exposure_belongs_to_the_phase_that_ran_then():
    assert seen().phase == 2
    assert seen(timestamp="2026-05-29T14:00:00+01:30").phase == 1
    assert seen().variant == 1


def test_dimensions_are_texts_in_one_form():
    made = seen(properties={"os": "ïos", "n": 3, "new": True, "x": 0.5}).dimensions
    assert made == '{"n": "3", "new": "true", "os": "ïos", "x": "0.5"}'
    assert seen().dimensions == "{}"


def test_an_event_without_an_id_gets_the_same_one_each_time():
    first, again = taken(event_id=None), taken(event_id=None)
    assert first == again
    others = {
        taken(event_id=None, **said).id
        for said in (
            {"sequence": 1},
            {"source": "app"},
            {"name": "open"},
            {"unit": "u2"},
            {"timestamp": "2026-06-01T11:00:00.000001Z"},
        )
    }
    assert len(others | {first.id}) == 6


def test_times_are_instants_to_the_microsecond():
    assert taken(timestamp="2026-06-01T13:00:00.000001+02:00").at - taken().at == 1


def test_units_of_two_tenants_are_never_the_same():
    assert unit_of(TENANT, "u1") == unit_of(TENANT, "u1")
    assert unit_of(TENANT, "u1") != unit_of(uuid4(), "u1")
    assert len(unit_of(TENANT, "ü" * 256)) == 16


def test_units_spread_over_all_shards():
    assert {shard_of(unit_of(TENANT, f"u{n}")) for n in range(200)} == set(range(8))


def test_bad_items_cost_no_good_ones():
    items = [EVENT, 7, {**EVENT, "value": nan}, NotJson(), {**EVENT, "unit": "ü"}]
    good, bad = sifted(items, lambda item: event_of(TENANT, item, NOW))
    assert len(good) == 2
    assert [(it.index, it.code) for it in bad] == [
        (1, "bad_item"),
        (2, "bad_value"),
        (3, "bad_json"),
    ]


def test_only_experiments_that_could_be_are_looked_up():
    assert experiments_in([SEEN, {"experiment": 7}, "x", {"experiment": "y" * 101}]) == {"checkout"}
