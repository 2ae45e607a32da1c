"""Metering: how long a machine ran, in intervals that survive a crash of whoever meters.

An interval is open while its machine runs and remembers when it was last *seen* running. It ends when the machine is
seen to have stopped; if nobody saw that happen, it ends where the machine was last seen, so no crash ever bills for
time that nobody watched. Time is cut at each full hour, so that every period gets its own and a summary is never more
than an hour behind. Both ends are cut to whole seconds: the seconds of slices add up to those of the interval.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from compute.domain.usage import METER, Kind, Record

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A machine that runs: since when (or since the last full hour), and when it was last seen running."""

    vm_id: UUID
    tenant: UUID
    started_at: datetime
    seen_at: datetime

    def seen(self, at: datetime) -> "Interval":
        """Return the interval after its machine was seen running; a clock that went back changes nothing."""
        return replace(self, seen_at=max(self.seen_at, at))

    def restarted(self, booted_at: datetime | None) -> bool:
        """Tell whether the machine that runs now was started after it was last seen: what lies between was not run."""
        return booted_at is not None and booted_at > self.seen_at

    def cut(self) -> tuple[list[tuple[datetime, datetime]], "Interval"]:
        """Return the full hours of the interval that are past, and what is left open."""
        hour = _full_hour(self.seen_at)
        if hour <= self.started_at:
            return [], self
        return list(_slices(self.started_at, hour)), replace(self, started_at=hour)

    def ended(self, at: datetime | None) -> list[tuple[datetime, datetime]]:
        """Return the slices of the interval: until `at`, or until it was last seen where nobody knows."""
        return list(_slices(self.started_at, self.seen_at if at is None else at))

    def billed(self, slice_: tuple[datetime, datetime], id_: UUID, now: datetime) -> Record:
        """Return a slice as a record of the ledger; its key is the machine and when it began, so once is once."""
        start, end = slice_
        return Record(
            id=id_,
            tenant=self.tenant,
            source=METER,
            event_id=f"{self.vm_id}/{start.isoformat()}",
            kind=Kind.VM_RUNNING,
            vm_id=self.vm_id,
            seconds=_seconds(end) - _seconds(start),
            occurred_at=start,
            recorded_at=now,
            recorded_by=METER,
        )


def _slices(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    while start < end:
        stop = min(end, _full_hour(start) + _HOUR)
        yield start, stop
        start = stop


def _full_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
