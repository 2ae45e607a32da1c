"""Usage: how often a flag served which variant, and why, hour by hour."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from uuid import UUID

from flags.domain.errors import BadPeriod
from flags.domain.place import Place

By = Literal["hour", "day"]
USUAL = timedelta(days=7)
KEPT = timedelta(days=400)  # so long counts are kept
LONGEST = {"hour": timedelta(days=31), "day": KEPT}


class Served(NamedTuple):
    """What was served: a variant of a flag for a reason, in OpenFeature's words.

    The variant is empty where none was served because of an error, or where a client counted without saying which.
    """

    flag: str
    variant: str
    reason: str


class Slot(NamedTuple):
    """Where a count belongs: what was served, at which place, in which hour (its beginning, UTC)."""

    place: Place
    served: Served
    hour: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """How often a flag served a variant for a reason in the hour or the day that begins at `at`."""

    at: datetime
    variant: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From when (included) to when (not included) is counted, hour by hour or day by day, in UTC."""

    since: datetime
    until: datetime
    by: By = "hour"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What is known of a flag's use in a period; `last` is the last hour in which it was asked for, ever."""

    period: Period
    counts: Sequence[Count]
    last: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What is known of a flag's use: which variants it served lately, and the last hour in which it was asked for."""

    flag_id: UUID
    variants: frozenset[str] = frozenset()
    last: datetime


def hour_of(moment: datetime) -> datetime:
    """Return the beginning of a moment's hour."""
    return moment.replace(minute=0, second=0, microsecond=0)


def period_of(since: datetime | None, until: datetime | None, by: By, now: datetime) -> Period:
    """Return the period that is meant, in whole hours or days: the last seven days unless told. BadPeriod if none."""
    until = hour_of(until or now) + timedelta(hours=1)
    since = hour_of(since or until - USUAL)
    if by == "day":
        since = since.replace(hour=0)
    if since >= until:
        raise BadPeriod("`from` has to be before `to`")
    if until - since > LONGEST[by] + timedelta(days=1):
        most = LONGEST[by].days
        raise BadPeriod(f"by {by}, at most {most} days are told at once: ask for a shorter period")
    return Period(since=since, until=until, by=by)
