"""Metering machines: steps of the transaction of whoever observes machines, before anything is done to them.

`Meter.observe` is told what a look at a host found. `started`, `stopped` and `cut` are its steps, each idempotent: an
hour is billed once, whoever bills it.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from compute.domain.guest import ABSENT, Power, Seen
from compute.domain.metering import Interval
from compute.domain.vm import Vm
from compute.ports import Work

MOST_CUT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A machine that was seen running at a moment; `booted_at` where the host knows since when this guest runs."""

    vm_id: UUID
    tenant: UUID
    at: datetime
    booted_at: datetime | None = None


@dataclass(slots=True)
class Meter:
    """Meters the machines of a host. `every`: how often a heartbeat is written; starts and stops are at once.

    It remembers when it looked last. Who has looked all the time knows that a machine which is off now ran until now;
    who has not (after a crash) knows only until when it was seen running, and bills no more. One that still runs has
    run all the time: nobody else starts machines. A paused one does not run.
    """

    new_id: Callable[[], UUID]
    now: Callable[[], datetime]
    every: timedelta = timedelta(seconds=10)
    _looked: datetime | None = None
    _beaten: datetime | None = None

    async def observe(self, work: Work, vms: Sequence[Vm], guests: Mapping[UUID, Seen]) -> None:
        """Note which machines run and which do not; of one that does not answer, nothing is known or noted."""
        now = self.now()
        watching = self._looked is not None and now - self._looked <= self.every
        powers = {vm.id: guests.get(vm.id, ABSENT).power for vm in vms}
        running = {id_ for id_, power in powers.items() if power is Power.RUNNING}
        there = await work.meter.open_of(powers.keys())
        if not watching or self._beaten is None or now - self._beaten >= self.every:
            await self._beat(work, running & there, now)
        for vm in vms:
            if vm.id in running - there:
                await started(work, Run(vm_id=vm.id, tenant=vm.tenant, at=now), self.new_id)
        for id_ in there - running:
            if powers[id_] is not Power.UNKNOWN:
                await stopped(work, id_, now if watching else None, self.new_id, now)
        self._looked = now

    async def _beat(self, work: Work, running: Collection[UUID], now: datetime) -> None:
        await work.meter.beat(running, now)
        await cut(work, self.new_id, now)
        self._beaten = now


async def started(work: Work, seen: Run, new_id: Callable[[], UUID]) -> None:
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
