"""Reading the meter: which guests run is noted every few seconds, and full hours are billed."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from compute.domain.guest import Power
from compute.ports import OpenWork
from compute.ports.hypervisor import Hypervisor
from compute.usecases import metering

RUNS = frozenset({Power.RUNNING, Power.PAUSED, Power.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Meter:
    """The meter of this host's guests. What stops is noted by whoever writes down that it has (the reconciler)."""

    work: OpenWork
    hypervisor: Hypervisor
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def sweep(self) -> int:
        """Note which guests run, and bill the hours that are full; return how many guests run."""
        guests = await self.hypervisor.list()
        running = [vm for vm, seen in guests.items() if seen.power in RUNS]
        async with self.work() as work:
            await metering.beat(work, running, self.now())
            await metering.cut(work, self.new_id, self.now())
        return len(running)
