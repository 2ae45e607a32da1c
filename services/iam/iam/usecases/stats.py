"""The platform in numbers, for whoever runs it. A number that nobody can give is absent, and a sentence says why."""

from dataclasses import dataclass

from chassis.caller import Caller
from chassis.errors import Forbidden
from iam.domain.stats import Stats
from iam.ports import Means, OpenWork, Presence

_ELSEWHERE = "iam asks no other service: "
REASONS = {
    "usage.flag_evaluations": f"{_ELSEWHERE}flags counts them, see its /metrics",
    "usage.audit_entries": f"{_ELSEWHERE}audit counts them, see GET /api/v1/audit-logs",
    "usage.vm_hours": f"{_ELSEWHERE}compute counts them, see GET /api/v1/usage",
}
_UNHEARD = "Redis does not answer, and only there do the replicas say who is connected to them"


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts what there is."""

    work: OpenWork
    presence: Presence
    means: Means

    async def all(self, caller: Caller) -> Stats:
        """Return everything that is counted, over all tenants."""
        caller.must("platform:read")
        if not caller.platform:
            raise Forbidden("this is for administrators of the platform, not of one organization")
        connected = await self.presence.connected()
        async with self.work() as work:
            counted = await work.counts.taken(self.means.now())
        missing = (
            {} if connected else dict.fromkeys(("replicas", "websockets", "streams"), _UNHEARD)
        )
        return Stats(counted, connected, {**missing, **REASONS})
