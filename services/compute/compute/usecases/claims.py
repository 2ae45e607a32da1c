"""Having hold of a machine while something is done to it: one worker at a time, told apart by a fence."""

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any
from uuid import UUID

from chassis.facts import Actor
from compute.domain.vm import Vm
from compute.ports import OpenWork
from compute.usecases.keeping import while_kept

WORKER = Actor("service", "compute", "compute")
BEAT = 1.0  # seconds between two renewals of a lease, which is for five


async def claim(open_work: OpenWork, host: str, vm_id: UUID) -> tuple[Vm, int] | None:
    """Return a machine as it is now and the fence of our lease on it; give it a host, if it has none.

    None where another holds it, or it is another host's, or gone.
    """
    async with open_work() as work:
        fence = await work.leases.hold(vm_id)
        vm = await work.vms.take_any(vm_id) if fence is not None else None
        if vm is None or fence is None or vm.host not in (None, host):
            if fence is not None and vm is None:
                await work.leases.drop(vm_id)  # it went while we came: nobody else would
            return None
        if vm.host is None:
            await work.vms.put(vm, vm := replace(vm, host=host))
    return vm, fence


async def held(
    open_work: OpenWork, vm_id: UUID, fence: int, deed: Coroutine[Any, Any, None]
) -> None:
    """Do something to a machine for as long as it takes, the lease on it renewed; Lost as soon as another has that."""

    async def renew() -> bool:
        async with open_work() as work:
            return await work.leases.renew(vm_id, fence)

    await while_kept(deed, renew, BEAT)
