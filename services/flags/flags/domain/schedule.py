"""A scheduled change: an edit of a flag that is made at an instant, in the name of whoever asked for it."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from flags.domain.edits import Author, Edit, Spot
from flags.domain.errors import BadSchedule, ScheduleOver

FURTHEST = timedelta(days=400)
MOST_ATTEMPTS = 10
MOST_PENDING = 100  # of one flag


class ScheduleStatus(StrEnum):
    """What became of a scheduled change."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """An edit that waits for its time. `next_at` is when it is tried; `made` the flag's version that it led to.

    `approved` is the change request that lets it pass where approvals are wanted. `trouble` says why it failed.
    """

    id: UUID
    spot: Spot
    at: datetime
    edit: Edit
    reason: str
    author: Author
    approved: UUID | None = None
    status: ScheduleStatus = ScheduleStatus.PENDING
    next_at: datetime
    attempts: int = 0
    made: int | None = None
    trouble: str = ""
    version: int = 1
    created_at: datetime
    updated_at: datetime

    def done(self, made: int, now: datetime) -> "Schedule":
        """Return the schedule after its edit was made."""
        return self._moved(now, status=ScheduleStatus.DONE, made=made)

    def failed(self, why: str, now: datetime) -> "Schedule":
        """Return the schedule after its edit was refused; it is not tried again."""
        return self._moved(now, status=ScheduleStatus.FAILED, trouble=why[:1000])

    def cancelled(self, now: datetime) -> "Schedule":
        """Return the schedule called off; ScheduleOver if there is nothing left to call off."""
        if self.status is not ScheduleStatus.PENDING:
            raise ScheduleOver(f"the scheduled change is {self.status.value} already")
        return self._moved(now, status=ScheduleStatus.CANCELLED)

    def put_off(self, now: datetime) -> "Schedule":
        """Return the schedule after a bug of ours kept it from being done: to be tried again, later and later."""
        if self.attempts + 1 >= MOST_ATTEMPTS:
            return self.failed("it could not be done because of a fault on our side", now)
        later = now + timedelta(seconds=2**self.attempts)
        return replace(self, attempts=self.attempts + 1, next_at=later)

    def _moved(self, now: datetime, **fields: Any) -> "Schedule":  # noqa: ANN401 - fields of any type
        return replace(self, **fields, version=self.version + 1, updated_at=now)


def must_be_ahead(at: datetime, now: datetime) -> None:
    """Refuse a time that is over, or too far away to be meant."""
    if at <= now:
        raise BadSchedule(f"`at` is over: it is {now.isoformat(timespec='seconds')} now")
    if at > now + FURTHEST:
        raise BadSchedule(f"`at` is more than {FURTHEST.days} days away")


def document(schedule: Schedule) -> dict[str, Any]:
    """Return the schedule as the audit log keeps it."""
    return {
        "flag": schedule.spot.flag,
        "environment": schedule.spot.environment,
        "at": schedule.at.isoformat(),
        "change": dict(schedule.edit),
        "status": schedule.status.value,
        **({"trouble": schedule.trouble} if schedule.trouble else {}),
    }
