"""What the ledger adds up to, and how machines' time is cut."""

# ruff: noqa: DTZ001 - hypothesis takes bounds without a zone

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.domain.metering import Interval
from compute.domain.usage import DIMENSIONS, Kind, Record, Totals, cents, summed, total
from compute.domain.usage_errors import BadCorrection

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SOME = [UUID(int=n) for n in range(3)]


def record(**said):
    given_ = {
        "id": uuid4(),
        "tenant": UUID(int=9),
        "source": "s",
        "event_id": uuid4().hex,
        "kind": Kind.AGENT_CALL,
        "occurred_at": NOON,
        "recorded_at": NOON,
        "recorded_by": "ana",
    }
    return Record(**given_ | said)


records = st.builds(
    record,
    id=st.uuids(),
    kind=st.sampled_from(Kind),
    agent_id=st.sampled_from([None, *SOME]),
    vm_id=st.sampled_from([None, *SOME]),
    occurred_at=st.datetimes(datetime(2025, 12, 30), datetime(2026, 2, 2), timezones=st.just(UTC)),
    calls=st.integers(0, 10**9),
    token_count=st.none() | st.integers(0, 10**12),
    cost_micros=st.none() | st.integers(-(10**15), 10**15),
)


@given(
    st.lists(records, max_size=30),
    st.sets(st.sampled_from(DIMENSIONS)),
    st.sampled_from(["hour", "day", "month"]),
)
def test_the_lines_of_a_summary_add_up_to_the_whole(of, by, period):
    whole, lines = total(of), summed(of, tuple(by), period)
    assert [line.place for line in lines] == sorted({line.place for line in lines})
    for name in ("records", "corrections", "calls", "seconds", "records_without_cost"):
        assert sum(getattr(line.totals, name) for line in lines) == getattr(whole, name)
    for name in ("token_count", "cost_micros"):
        known = [v for line in lines if (v := getattr(line.totals, name)) is not None]
        assert (sum(known) if known else None) == getattr(whole, name)


def test_what_nobody_knows_is_no_zero():
    assert total([record(), record()]).token_count is None
    half = total([record(token_count=5, cost_micros=0), record()])
    assert (half.token_count, half.records_without_tokens) == (5, 1)
    assert (half.cost_micros, half.records_without_cost) == (0, 1)


def test_a_correction_is_a_row_that_is_added_and_can_tell_what_was_not_known():
    first = record(token_count=100)
    sums = total([first, record(corrects=first.id, token_count=-40, cost_micros=7)])
    assert (sums.records, sums.corrections, sums.token_count) == (1, 1, 60)
    assert (sums.cost_micros, sums.records_without_cost) == (7, 0)


@pytest.mark.parametrize("name", ["calls", "token_count", "cost_micros"])
def test_less_than_nothing_is_refused(name):
    with pytest.raises(BadCorrection, match=name):
        Totals(**{name: -1}).check()


@pytest.mark.parametrize(
    ("micros", "expected"),
    [(None, None), (0, 0), (4_999, 0), (5_000, 1), (-5_000, -1), (10_000, 1), (10**18, 10**14)],
)
def test_cents_are_rounded_once(micros, expected):
    assert cents(micros) == expected


def interval(start=NOON, **said):
    return Interval(
        **{"vm_id": SOME[0], "tenant": SOME[1], "started_at": start, "seen_at": start} | said
    )


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 3), timezones=st.just(UTC)),
    st.lists(st.timedeltas(timedelta(0), timedelta(hours=5)), max_size=6),
)
def test_seconds_of_slices_add_up_however_often_they_are_cut(start, steps):
    one, slices = interval(start), []
    at = start
    for step in steps:
        at += step
        past, one = one.seen(at).cut()
        slices += past
    slices += one.ended(None)
    billed = [one.billed(slice_, uuid4(), at) for slice_ in slices]
    assert sum(r.seconds for r in billed) == int(at.timestamp()) - int(start.timestamp())
    assert len({r.event_id for r in billed}) == len(billed)
    assert all(r.seconds <= 3600 for r in billed)


def test_a_run_that_nobody_saw_end_ends_where_it_was_last_seen():
    seen = interval().seen(NOON + timedelta(minutes=7)).seen(NOON)
    assert seen.ended(None) == [(NOON, NOON + timedelta(minutes=7))]
    assert seen.ended(NOON + timedelta(minutes=9)) == [(NOON, NOON + timedelta(minutes=9))]
    assert seen.restarted(NOON + timedelta(minutes=8))
    assert not seen.restarted(NOON)
    assert not seen.restarted(None)
