"""Times: before after on, each with an instant, a date or a time relative to now (-7d), and time_between.

An attribute is an instant as RFC 3339 writes it (UTC if it names no offset), a date, or a number of milliseconds since
1970. The attribute `$now` is the time of the evaluation. A day is that of the operand's `zone`, which is UTC if absent.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from flags.domain.operators.operator import Operator, Said, Test, Timed, named
from flags.domain.wrong import Wrong

_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)?)?", re.ASCII
)
_RELATIVE = re.compile(r"([+-])(\d{1,6})([smhdw])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FURTHEST = 253_402_300_799_000  # the last second of year 9999, in milliseconds


@lru_cache(4096)
def _read(text: str) -> datetime | None:
    if not _INSTANT.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def instant(value: Any) -> float | None:  # noqa: ANN401 - JSON is anything
    """Return the seconds since 1970 that a value means; None if it means no instant."""
    if value.__class__ is str:
        found = _read(value) if len(value) <= 40 else None
        return None if found is None else (found - _EPOCH).total_seconds()
    if value.__class__ in (int, float) and -_FURTHEST <= value <= _FURTHEST:  # NaN is not
        return value / 1000
    return None


def _operand(said: Said) -> Callable[[float], float]:
    """Return the operand as a function of the present time."""
    value: Any = said.get("value")
    if isinstance(value, str) and (found := _RELATIVE.fullmatch(value)):
        sign, count, unit = found.groups()
        shift = int(sign + count) * _SECONDS[unit]
        return lambda now: now + shift
    fixed = instant(value) if isinstance(value, str) else None
    if fixed is None:
        raise Wrong(
            "/value",
            "must be an instant (2026-05-01T09:00:00Z), a date or relative (-7d, +2h)",
            "date",
        )
    return lambda _: fixed


def _ordered(holds: Callable[[float, float], bool]) -> Operator:
    def timed(said: Said) -> Timed:
        wanted = _operand(said)

        def test(value: object, now: float) -> bool:
            found = instant(value)
            return found is not None and holds(found, wanted(now))

        return test

    return Operator(prepare=_untimed(timed), timed=timed, fields=frozenset({"value"}))


def _on(said: Said) -> Timed:
    wanted, zone = _operand(said), _zone(said)

    def test(value: object, now: float) -> bool:
        found = instant(value)
        if found is None:
            return False
        there = _local(wanted(now), zone)
        return there is not None and _day(found, zone) == there.date()

    return test


def _day(seconds: float, zone: ZoneInfo) -> object:
    there = _local(seconds, zone)
    return there and there.date()


def _window(said: Said) -> Timed:
    start, end, zone = _clock(said, "start"), _clock(said, "end"), _zone(said)
    days = _days(said)

    def test(value: object, _: float) -> bool:
        found = instant(value)
        there = None if found is None else _local(found, zone)
        if there is None:
            return False
        minute, today = there.hour * 60 + there.minute, there.weekday()
        if start < end:
            return start <= minute < end and today in days
        if minute >= start:
            return today in days
        return (
            minute < end and (today - 1) % 7 in days
        )  # a window over midnight belongs to its first day

    return test


def _local(seconds: float, zone: ZoneInfo) -> datetime | None:
    try:
        return (_EPOCH + timedelta(seconds=seconds)).astimezone(zone)
    except OverflowError:
        return None


def _clock(said: Said, field: str) -> int:
    value: Any = said.get(field)
    if not isinstance(value, str) or not (found := _CLOCK.fullmatch(value)):
        raise Wrong(f"/{field}", "must be a time of day, such as 09:30", "time")
    return int(found[1]) * 60 + int(found[2])


def _zone(said: Said) -> ZoneInfo:
    name: Any = said.get("zone", "UTC")
    try:
        if not isinstance(name, str) or len(name) > 64:
            raise ValueError
        return ZoneInfo(name)
    except (ValueError, LookupError, OSError):
        raise Wrong("/zone", "must be a time zone, such as Europe/Zurich", "zone") from None


def _days(said: Said) -> frozenset[int]:
    names: Any = said.get("days", list(DAYS))
    if not isinstance(names, list) or not names or not all(n in DAYS for n in names):  # type: ignore[reportUnknownVariableType]
        raise Wrong("/days", f"must be a list of {', '.join(DAYS)}")
    return frozenset(DAYS.index(name) for name in names)  # type: ignore[reportUnknownArgumentType]


def _untimed(timed: Callable[[Said], Timed]) -> Callable[[Said], Test]:
    """Return a `prepare` that only checks: a timed test is asked with the time."""

    def prepare(said: Said) -> Test:
        test = timed(said)
        return lambda value: test(value, 0.0)

    return prepare


DATES = named(
    before=_ordered(lambda found, wanted: found < wanted),
    after=_ordered(lambda found, wanted: found > wanted),
    on=Operator(prepare=_untimed(_on), timed=_on, fields=frozenset({"value", "zone"})),
    time_between=Operator(
        prepare=_untimed(_window), timed=_window, fields=frozenset({"start", "end", "zone", "days"})
    ),
)
