import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.domain.entry import Entry, Event, Origin, folded, instant, read, words
from chassis.facts import Actor, Outcome, Target

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
TIMES = st.datetimes(timezones=st.just(UTC))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)
EVENTS = st.builds(
    Event,
    id=st.uuids(),
    tenant=st.uuids(),
    occurred_at=TIMES,
    actor=st.builds(Actor, TEXT, TEXT, TEXT, TEXT),
    action=st.just("flag.created"),
    target=st.builds(Target, TEXT, TEXT, TEXT),
    origin=st.builds(Origin, ip=TEXT, user_agent=TEXT, request_id=TEXT),
    before=JSON,
    after=JSON,
    reason=TEXT,
    outcome=st.sampled_from(Outcome),
)


@given(st.builds(Entry, seq=st.integers(1, 2**63 - 1), ts=TIMES, event=EVENTS))
def test_what_is_written_is_read_again_to_the_last_digit(entry):
    assert read(entry.written()) == entry
    assert read(entry.written()).written() == entry.written()
    early = replace(entry, event=entry.event.prepared())
    assert (early, early.written()) == (entry, entry.written())
    plain = json.dumps(
        json.loads(entry.written()), sort_keys=True, ensure_ascii=False, separators=(",", ":")
    )
    assert entry.written() == plain.encode()


def test_the_bytes_of_form_1_never_change():
    """A digest that changes here breaks every proof ever made: make a form 2 instead."""
    event = Event(
        id=UUID("01890000-0000-7000-8000-000000000001"),
        tenant=UUID("01890000-0000-7000-8000-000000000002"),
        occurred_at=datetime(2026, 1, 31, 13, tzinfo=timezone(timedelta(hours=1))),
        actor=Actor("user", "u-1", "Zoë", "s-1"),
        action="flag.toggle_enabled",
        target=Target("flag", "f-1", "Dark mode"),
        origin=Origin(ip="192.0.2.1", request_id="r-1", trace_id="t-1", service="flags"),
        before={"status": "disabled", "b": [1.0, 10**20], "a": None},
        after={"status": "enabled"},
        reason='says "why"',
    )
    written = Entry(seq=7, ts=datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC), event=event).written()
    assert written.decode() == (
        '{"action":"flag.toggle_enabled",'
        '"actor":{"id":"u-1","name":"Zoë","token_id":"s-1","type":"user"},'
        '"after":{"status":"enabled"},'
        '"before":{"a":null,"b":[1.0,100000000000000000000],"status":"disabled"},'
        '"context":{"ip":"192.0.2.1","request_id":"r-1","service":"flags","trace_id":"t-1","user_agent":""},'
        '"id":"01890000-0000-7000-8000-000000000001","occurred_at":"2026-01-31T12:00:00.000000Z",'
        '"outcome":"success","reason":"says \\"why\\"","seq":7,'
        '"targets":[{"id":"f-1","name":"Dark mode","type":"flag"}],'
        '"tenant":"01890000-0000-7000-8000-000000000002","ts":"2026-01-31T12:00:01.000000Z","v":1}'
    )
    assert json.loads(written)["v"] == 1


def test_times_are_utc_with_six_digits():
    at = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    assert instant(at) == "2025-12-31T23:00:00.000000Z"


@pytest.mark.parametrize(("one", "other"), [("Straße", "STRASSE"), ("ﬁle", "FILE"), ("ÅSA", "åsa")])
def test_a_search_sees_no_difference_in_case_or_spelling(one, other):
    assert folded(one) == folded(other)


def test_the_words_of_an_event_are_what_people_call_by_name(event):
    found = words(event(reason="Launch DAY"))
    assert all(w in found for w in ("ana@example.com", "dark mode", "flag.created", "launch day"))
    assert "192.0.2.1" not in found
