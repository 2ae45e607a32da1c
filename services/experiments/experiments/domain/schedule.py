"""When an experiment begins and ends.

People plan in wall-clock time, machines act at instants; a moment keeps both, so that nothing has to be guessed later.
A wall-clock time may not exist (clocks go forward) or exist twice (clocks go back): the first is refused, the second
must say which of the two it means.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from chassis.errors import FieldError
from experiments.domain.errors import (
    BadDate,
    BadSchedule,
    RepeatedTime,
    SkippedTime,
    UnknownTimeZone,
)

Fold = Literal["first", "second"]
SHORTEST = timedelta(hours=1)
# In every database of time zones, and yet no place on earth.
_NO_PLACES = frozenset({"Factory", "localtime", "posixrules"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """An instant (UTC), and what a clock on the wall shows then (no offset, in the schedule's zone)."""

    at: datetime
    wall: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When to begin and when to end. `begun`: the start has happened, or somebody began by hand before it."""

    start: Moment | None = None
    end: Moment | None = None
    zone: str = "UTC"
    set_at: datetime
    begun: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A schedule as a person says it: dates as text, with or without an offset, read in a time zone."""

    start: str | None = None
    end: str | None = None
    zone: str = "UTC"
    fold: Fold | None = None

    def scheduled(self, now: datetime) -> Schedule:
        """Return the schedule that this means, set at `now`; Invalid if it means none."""
        zone = _zone(self.zone)
        start = _moment("/start_date", self.start, zone, self.fold) if self.start else None
        end = _moment("/end_date", self.end, zone, self.fold) if self.end else None
        _check_order(start, end, now)
        return Schedule(start=start, end=end, zone=self.zone, set_at=now)


def instants_of(wall: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Return when the clocks of a zone show `wall`: at no instant, at one, or at two (UTC, the earlier first)."""
    both = {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return tuple(sorted(at for at in both if _wall(at, zone) == wall))


@cache
def zones() -> frozenset[str]:
    """Return the names of all time zones."""
    return frozenset(available_timezones()) - _NO_PLACES


def _zone(name: str) -> ZoneInfo:
    if name not in zones():
        raise _wrong(UnknownTimeZone, "/time_zone", f"{name!r} is no IANA time zone")
    return ZoneInfo(name)


def _moment(pointer: str, said: str, zone: ZoneInfo, fold: Fold | None) -> Moment:
    read = _read(pointer, said)
    if read.tzinfo is not None:
        at = read.astimezone(UTC)
        return Moment(at=at, wall=_wall(at, zone))
    return Moment(at=_chosen(pointer, read, zone, fold), wall=read)


def _read(pointer: str, said: str) -> datetime:
    try:
        return datetime.fromisoformat(said)
    except ValueError:
        raise _wrong(BadDate, pointer, f"{said!r} is not on the calendar") from None


def _chosen(pointer: str, wall: datetime, zone: ZoneInfo, fold: Fold | None) -> datetime:
    found = instants_of(wall, zone)
    if not found:
        text = f"the clocks in {zone.key} jump over {wall.isoformat()}; choose another time"
        raise _wrong(SkippedTime, pointer, text)
    if len(found) == 2 and fold is None:
        text = (
            f"the clocks in {zone.key} show {wall.isoformat()} twice; "
            'say which with "fold": "first" or "second"'
        )
        raise _wrong(RepeatedTime, pointer, text)
    return found[-1] if fold == "second" else found[0]


def _wall(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def _check_order(start: Moment | None, end: Moment | None, now: datetime) -> None:
    if start is None and end is None:
        raise _wrong(BadSchedule, "", "a schedule needs a start_date, an end_date, or both")
    if end is None:
        return
    if end.at <= now:
        raise _wrong(BadSchedule, "/end_date", "the end date has passed already")
    if start and end.at <= start.at:
        raise _wrong(BadSchedule, "/end_date", "the end date must be after the start date")
    if start and end.at - max(start.at, now) < SHORTEST:
        text = "between start (now, if that has passed) and end there must be at least one hour of elapsed time"
        raise _wrong(BadSchedule, "/end_date", text)


_Wrong = BadDate | BadSchedule | RepeatedTime | SkippedTime | UnknownTimeZone


def _wrong(kind: type[_Wrong], pointer: str, message: str) -> _Wrong:
    return kind(message, errors=(FieldError(pointer, message, kind.code),))
