"""Taking hold of a machine before anything is done to it: one worker at a time, told apart by a fence."""

from dataclasses import replace
from uuid import UUID

from compute.domain.vm import Vm
from compute.ports import OpenWork


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
