"""Guests that nobody knows of: kept in quarantine for a while, and then ended.

If there are suddenly many, it is more likely that the tables are wrong (a restored backup) than that so many guests are
left over: then none is ended, and an alarm is raised.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from compute.domain.guest import Key
from compute.ports import OpenWork
from compute.ports.hypervisor import HostTrouble, Hypervisor, StaleFence

log = logging.getLogger(__name__)

ANY_GENERATION, LAST_FENCE = 0, 2**62  # nobody else speaks of a guest that has no row


def too_many(orphans: int, guests: int) -> bool:
    """Tell whether so many orphans among so many guests are more than left-overs."""
    return orphans > max(3, guests * 5 // 100)


@dataclass(slots=True)
class Orphans:
    """The guests of this host that are in no table. `told` hears how many there are, `grace` is their quarantine."""

    work: OpenWork
    hypervisor: Hypervisor
    now: Callable[[], datetime]
    grace: timedelta
    told: Callable[[int], None]
    _since: dict[UUID, datetime] = field(default_factory=dict[UUID, datetime])

    async def sweep(self) -> int:
        """Find the orphans, end those whose quarantine is over unless they are too many; return how many there are."""
        try:
            guests = await self.hypervisor.list()
        except HostTrouble as trouble:
            log.warning("the guests cannot be listed: %s", trouble)
            return 0
        async with self.work() as work:
            known = await work.vms.known(list(guests))
        strangers = [vm for vm in guests if vm not in known]
        self._since = {vm: self._since.get(vm, self.now()) for vm in strangers}
        self.told(len(strangers))
        if too_many(len(strangers), len(guests)):
            log.error(
                "%d of %d guests are in no table: none of them is ended",
                len(strangers),
                len(guests),
            )
            return len(strangers)
        for vm, since in self._since.items():
            if self.now() - since >= self.grace:
                await self._end(vm)
        return len(strangers)

    async def _end(self, vm: UUID) -> None:
        log.warning("guest %s has been in no table for %s: it is ended", vm, self.grace)
        try:
            await self.hypervisor.ensure_absent(Key(vm, ANY_GENERATION, LAST_FENCE))
        except (HostTrouble, StaleFence):
            log.warning("guest %s could not be ended", vm)
