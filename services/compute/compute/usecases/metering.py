"""Metering machines: steps of somebody else's transaction, for whoever observes machines.

`started` and `stopped` are called with what was observed, as often as it is observed; `beat` with all machines that a
look found running, in one statement; `cut` now and then. All are idempotent: an hour is billed once, whoever bills it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from compute.domain.metering import Interval
from compute.ports import Work

MOST_CUT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A machine that was seen running at a moment; `booted_at` where the host knows since when this guest runs."""

    vm_id: UUID
    tenant: UUID
    at: datetime
    booted_at: datetime | None = None


async def started(work: Work, seen: Seen, new_id: Callable[[], UUID]) -> None:
    """Note that a machine runs: open its interval, or see it again.

    A guest that was booted after its interval was last seen is another run: the old one ends where it was last seen.
    """
    interval = await work.meter.take(seen.vm_id)
    if interval is not None and interval.restarted(seen.booted_at):
        await _close(work, interval, None, new_id, seen.at)
        interval = None
    since = min(seen.booted_at or seen.at, seen.at)
    now = interval or Interval(
        vm_id=seen.vm_id, tenant=seen.tenant, started_at=since, seen_at=seen.at
    )
    await work.meter.put(now.seen(seen.at))


async def stopped(
    work: Work, vm_id: UUID, at: datetime | None, new_id: Callable[[], UUID], now: datetime
) -> None:
    """Note that a machine does not run: bill it until `at`, or until it was last seen where nobody knows (None)."""
    if (interval := await work.meter.take(vm_id)) is not None:
        await _close(work, interval, at, new_id, now)


async def beat(work: Work, vm_ids: Collection[UUID], at: datetime) -> None:
    """Note that these machines were seen running, in one statement."""
    await work.meter.beat(vm_ids, at)


async def cut(work: Work, new_id: Callable[[], UUID], now: datetime) -> int:
    """Bill the full hours that are past; return how many machines had some."""
    due = await work.meter.due(MOST_CUT)
    for interval in due:
        past, rest = interval.cut()
        await work.ledger.enter([interval.billed(one, new_id(), now) for one in past])
        await work.meter.put(rest)
    return len(due)


async def _close(
    work: Work,
    interval: Interval,
    at: datetime | None,
    new_id: Callable[[], UUID],
    now: datetime,
) -> None:
    slices = interval.ended(at)
    await work.ledger.enter([interval.billed(one, new_id(), now) for one in slices])
    await work.meter.drop(interval.vm_id)
