"""Logs and operations do not grow for ever."""

from datetime import timedelta

from compute.domain.happening import Happening, Level
from compute.usecases.tidying import KEPT, LINES, Tidying
from compute.usecases.vms import Intent


async def test_a_machine_keeps_its_last_lines_and_operations_their_days(
    vms, ana, order, driven, settle, work, clock
):
    vm = await vms.create(ana, order)
    await settle()
    for number in range(LINES + 5):
        await work.log.add(vm.id, Happening(clock(), Level.INFO, str(number)))
    tidy = Tidying(work, clock)
    await tidy.sweep()
    said = await work.log.last(vm.id, LINES * 2)
    assert (len(said), said[-1].message) == (LINES, str(LINES + 4))
    assert len(work.operations.kept) == 1
    clock.forward(seconds=(KEPT + timedelta(seconds=1)).total_seconds())
    await tidy.sweep()
    assert work.operations.kept == {}


async def test_a_machine_that_no_host_knew_takes_its_log_with_it(vms, ana, order, driven, work):
    vm = await vms.create(ana, order)
    await vms.delete(ana, Intent(vm=vm.id))
    assert work.log.kept == []
