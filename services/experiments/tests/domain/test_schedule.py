"""Dates, on real time zones."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.domain.errors import (
    BadDate,
    BadSchedule,
    RepeatedTime,
    SkippedTime,
    UnknownTimeZone,
)
from experiments.domain.schedule import Plan, instants_of, zones

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WALLS = st.datetimes(datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2090-01-01"))
SKIPPED = [
    ("Europe/Berlin", "2026-03-29T02:30:00"),
    ("America/New_York", "2026-03-08T02:00:00"),
    ("Australia/Lord_Howe", "2026-10-04T02:15:00"),  # a gap of half an hour
    ("Africa/Cairo", "2026-04-24T00:30:00"),  # the clocks jump at midnight
]
REPEATED = [
    ("Europe/Berlin", "2026-10-25T02:30:00", "2026-10-25T00:30:00", "2026-10-25T01:30:00"),
    ("America/New_York", "2026-11-01T01:00:00", "2026-11-01T05:00:00", "2026-11-01T06:00:00"),
    ("Australia/Lord_Howe", "2026-04-05T01:45:00", "2026-04-04T14:45:00", "2026-04-04T15:15:00"),
]


def start_of(**said):
    return Plan(**said).scheduled(NOW).start


@pytest.mark.parametrize(("zone", "wall"), SKIPPED)
def test_a_time_that_the_clocks_jump_over_is_refused(zone, wall):
    with pytest.raises(SkippedTime, match="jump over") as refusal:
        start_of(start=wall, zone=zone)
    assert refusal.value.errors[0].pointer == "/start_date"


@pytest.mark.parametrize(("zone", "wall"), SKIPPED)
def test_no_fold_makes_a_skipped_time_real(zone, wall):
    for fold in ("first", "second"):
        with pytest.raises(SkippedTime):
            start_of(start=wall, zone=zone, fold=fold)


@pytest.mark.parametrize(("zone", "wall", "first", "second"), REPEATED)
def test_a_repeated_time_must_say_which_it_means(zone, wall, first, second):
    with pytest.raises(RepeatedTime, match="fold"):
        start_of(start=wall, zone=zone)


@pytest.mark.parametrize(("zone", "wall", "first", "second"), REPEATED)
def test_a_repeated_time_with_a_fold_is_one_of_the_two_instants(zone, wall, first, second):
    for fold, expected in (("first", first), ("second", second)):
        moment = start_of(start=wall, zone=zone, fold=fold)
        assert moment.at == datetime.fromisoformat(expected).replace(tzinfo=UTC)
        assert moment.wall == datetime.fromisoformat(wall)


@pytest.mark.parametrize(("zone", "wall", "first", "second"), REPEATED)
def test_an_offset_says_which_of_two_is_meant(zone, wall, first, second):
    moment = start_of(start=f"{second}+00:00", zone=zone)
    assert moment.at.isoformat() == f"{second}+00:00"
    assert moment.wall == datetime.fromisoformat(wall)


def test_the_hour_that_is_repeated_counts_as_elapsed_time():
    """From 02:30 to 02:30 on the wall: no time has passed on the clock, and yet an hour has."""
    schedule = Plan(
        start="2026-10-25T00:30:00Z", end="2026-10-25T01:30:00Z", zone="Europe/Berlin"
    ).scheduled(NOW)
    assert schedule.start.wall == schedule.end.wall


def test_an_hour_on_the_wall_over_a_jump_is_no_hour():
    with pytest.raises(BadSchedule, match="one hour"):
        Plan(start="2026-03-29T01:30", end="2026-03-29T03:29", zone="Europe/Berlin").scheduled(NOW)


def test_a_date_without_an_offset_is_read_in_the_zone():
    assert start_of(start="2026-07-01T09:00", zone="Asia/Kolkata").at.hour == 3


def test_utc_is_the_zone_unless_said():
    assert start_of(start="2026-07-01T09:00").at == datetime(2026, 7, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end", "trouble"),
    [
        (None, None, "needs"),
        ("2026-07-01T09:00", "2026-07-01T09:00", "after the start"),
        ("2026-07-01T09:00", "2026-06-01T09:00", "after the start"),
        ("2026-07-01T09:00", "2026-07-01T09:59:59", "one hour"),
        (None, "2025-12-31T23:59:59", "passed"),
        (None, "2026-01-01T00:00:00", "passed"),
    ],
)
def test_dates_that_contradict_each_other_are_refused(start, end, trouble):
    with pytest.raises(BadSchedule, match=trouble):
        Plan(start=start, end=end).scheduled(NOW)


def test_the_hour_begins_now_where_the_start_has_passed():
    ago, soon = NOW - timedelta(hours=2), NOW + timedelta(minutes=59)
    with pytest.raises(BadSchedule, match="now, if that has passed"):
        Plan(start=ago.isoformat(), end=soon.isoformat()).scheduled(NOW)
    later = (NOW + timedelta(hours=1)).isoformat()
    assert Plan(start=ago.isoformat(), end=later).scheduled(NOW).start.at == ago


def test_exactly_one_hour_is_long_enough():
    plan = Plan(start="2026-07-01T09:00", end="2026-07-01T10:00")
    assert plan.scheduled(NOW).end.at.hour == 10


@pytest.mark.parametrize("date", ["2026-02-30T09:00", "2026-01-01T24:30", "2026-01-01T09:00+25:00"])
def test_a_date_that_does_not_exist_is_refused(date):
    with pytest.raises(BadDate, match="calendar"):
        start_of(start=date)


@pytest.mark.parametrize(
    "zone", ["Mars/Olympus", "", "../etc/passwd", "localtime", "Factory", "europe/berlin", "+02:00"]
)
def test_a_zone_that_is_no_iana_name_is_refused(zone):
    with pytest.raises(UnknownTimeZone):
        start_of(start="2026-07-01T09:00", zone=zone)


@given(
    zone=st.sampled_from(sorted(zones())),
    at=WALLS,
)
def test_what_the_wall_shows_at_an_instant_leads_back_to_it(zone, at):
    at, place = at.replace(tzinfo=UTC), ZoneInfo(zone)
    wall = at.astimezone(place).replace(tzinfo=None, fold=0)
    found = instants_of(wall, place)
    assert at in found
    assert list(found) == sorted(set(found))


@given(
    zone=st.sampled_from(sorted(zones())),
    wall=WALLS,
)
def test_every_instant_of_a_wall_time_shows_it(zone, wall):
    place = ZoneInfo(zone)
    for at in instants_of(wall, place):
        assert at.astimezone(place).replace(tzinfo=None, fold=0) == wall
        assert abs(at.replace(tzinfo=None) - wall) <= timedelta(hours=26)
