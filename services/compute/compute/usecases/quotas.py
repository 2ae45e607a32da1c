"""How much a tenant may have, and has."""

from dataclasses import dataclass

from chassis.caller import Caller
from compute.domain.quota import Amount, Quota
from compute.ports import OpenWork


@dataclass(frozen=True, slots=True)
class Quotas:
    """Everything one can do with quotas. `limit` is what a tenant may have at most."""

    work: OpenWork
    limit: Amount

    async def read(self, caller: Caller) -> Quota:
        """Return what the tenant may have and has."""
        caller.must("vm:read")
        async with self.work() as work:
            return await work.quotas.find(caller.tenant, self.limit)
