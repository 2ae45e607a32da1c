import json
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.domain.entry import (
    ACTOR,
    SALT,
    TARGET,
    Event,
    Origin,
    folded,
    instant,
    names,
    read,
    secret_of,
    value_of,
    without,
    words,
)
from audit.domain.writing import prepared
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
    actor=st.builds(
        Actor, st.sampled_from(["user", "anonymous", "service"]), TEXT, TEXT, TEXT, TEXT
    ),
    action=st.just("flag.created"),
    target=st.builds(Target, st.sampled_from(["user", "flag"]), TEXT, TEXT),
    origin=st.builds(Origin, ip=TEXT, user_agent=TEXT, request_id=TEXT),
    before=JSON,
    after=JSON,
    reason=TEXT,
    outcome=st.sampled_from(Outcome),
)


SALTS = bytes(range(32))


@given(st.integers(1, 2**63 - 1), TIMES, EVENTS, st.binary(min_size=32, max_size=32))
def test_what_is_written_is_read_again_to_the_last_digit(seq, ts, event, salts):
    one = prepared(event, salts)
    body = one.written(seq, ts)
    entry = read(body, one.secrets)
    assert (entry.seq, entry.ts, entry.event, entry.erased) == (seq, ts, event, ())
    plain = json.dumps(json.loads(body), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert body == plain.encode()
    for part, secret in one.secrets.items():
        assert secret_of(secret[:SALT], value_of(secret)) == secret
        assert json.loads(body)["personal"][part] == sha256(secret).hexdigest()


@given(EVENTS)
def test_what_is_erased_is_not_in_the_bytes(event):
    body = prepared(event, SALTS).written(1, event.occurred_at)
    found = read(body, {})
    assert found.event == without(event, *found.erased)
    assert set(found.erased) == {
        part for part, who in ((ACTOR, event.doer), (TARGET, event.subject)) if who
    }


EVENT = Event(
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


def test_the_bytes_of_form_2_never_change():
    """A digest that changes here breaks every proof ever made: make a form 3 instead."""
    one = prepared(EVENT, SALTS)
    assert one.secrets == {
        ACTOR: SALTS[:16] + '{"ip":"192.0.2.1","name":"Zoë","user_agent":""}'.encode()
    }
    said = sha256(one.secrets[ACTOR]).hexdigest()
    written = one.written(7, datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC))
    assert written.decode() == (
        '{"action":"flag.toggle_enabled",'
        '"actor":{"id":"u-1","on_behalf_of":"","token_id":"s-1","type":"user"},'
        '"after":{"status":"enabled"},'
        '"before":{"a":null,"b":[1.0,100000000000000000000],"status":"disabled"},'
        '"context":{"request_id":"r-1","service":"flags","trace_id":"t-1"},'
        '"id":"01890000-0000-7000-8000-000000000001","occurred_at":"2026-01-31T12:00:00.000000Z",'
        f'"outcome":"success","personal":{{"actor":"{said}"}},"reason":"says \\"why\\"","seq":7,'
        '"targets":[{"id":"f-1","name":"Dark mode","type":"flag"}],'
        '"tenant":"01890000-0000-7000-8000-000000000002","ts":"2026-01-31T12:00:01.000000Z","v":2}'
    )


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 1e16, 1.0])
def test_numbers_that_others_spell_otherwise_are_written_as_ever(number):
    one = prepared(EVENT._replace(before={"n": number, "a": "ä"}, after={"b": 1, "a": 2}), SALTS)
    said = json.dumps({"a": "ä", "n": number}, ensure_ascii=False, separators=(",", ":"))
    assert f'"after":{{"a":2,"b":1}},"before":{said},'.encode() in one.begin


def test_the_documents_of_a_person_are_personal():
    event = EVENT._replace(target=Target("user", "u-2", "Bea"), after={"email": "bea@example.com"})
    one = prepared(event, SALTS)
    assert set(one.secrets) == {ACTOR, TARGET}
    body = one.written(1, event.occurred_at)
    assert all(told not in body for told in (b"bea", b"Bea", "Zoë".encode(), b"192.0.2"))


def test_a_failed_login_is_about_whom_was_tried():
    event = EVENT._replace(actor=Actor("anonymous", ""), target=Target("user", "u-2", "Bea"))
    assert (event.doer, event.subject) == ("u-2", "u-2")
    unknown = event._replace(target=Target("user", "", "unknown"))
    assert (unknown.doer, unknown.subject) == ("", "")


def test_what_was_written_in_form_1_is_still_read():
    body = (
        '{"action":"flag.created","actor":{"id":"u-1","name":"Zoë","token_id":"s-1","type":"user"},'
        '"after":{"a":1},"before":null,"context":{"ip":"192.0.2.1","request_id":"r-1",'
        '"service":"flags","trace_id":"t-1","user_agent":"curl"},'
        '"id":"01890000-0000-7000-8000-000000000001","occurred_at":"2026-01-31T12:00:00.000000Z",'
        '"outcome":"success","reason":"","seq":7,"targets":[{"id":"f-1","name":"F","type":"flag"}],'
        '"tenant":"01890000-0000-7000-8000-000000000002","ts":"2026-01-31T12:00:01.000000Z","v":1}'
    )
    entry = read(body.encode())
    assert (entry.event.actor.name, entry.event.origin.user_agent) == ("Zoë", "curl")
    assert (entry.event.target.name, entry.event.after, entry.erased) == ("F", {"a": 1}, ())


def test_times_are_utc_with_six_digits():
    at = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    assert instant(at) == "2025-12-31T23:00:00.000000Z"


@given(TIMES | st.datetimes(timezones=st.timezones()).filter(lambda at: 2 < at.year < 9998))
def test_a_time_is_spelled_as_the_standard_library_does(at):
    plain = at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    assert instant(at) == f"{plain}Z"


@pytest.mark.parametrize(("one", "other"), [("Straße", "STRASSE"), ("ﬁle", "FILE"), ("ÅSA", "åsa")])
def test_a_search_sees_no_difference_in_case_or_spelling(one, other):
    assert folded(one) == folded(other)


def test_the_words_of_an_event_are_what_people_call_by_name(event):
    found = words(event(reason="Launch DAY"))
    assert all(w in found for w in ("u-1", "dark mode", "flag.created", "launch day"))
    assert "192.0.2.1" not in found


def test_names_of_people_are_kept_with_the_people(event):
    assert "ana@example.com" not in words(event())
    assert names(event()) == {"u-1": "ana@example.com"}
    key = event(actor=Actor("api_key", "k-1", "Deploy key"))
    assert "deploy key" in words(key)
    assert names(key) == {}
