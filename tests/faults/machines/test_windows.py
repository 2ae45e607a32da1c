"""Each window in which a worker for machines can be killed or frozen, with a real kill -9 or SIGSTOP and real guests.

What must hold after each: the guest runs once and as wished, the quota is the sum, nothing is left of what was deleted.
Few guests, because each takes seconds to boot: a test goes through several windows with one.
"""

import os
import signal
from pathlib import Path

from compute.domain.snapshot import Task
from compute.domain.vm import Action
from compute.usecases.vms import Intent
from tests.faults.machines.stage import LIMIT


def stopped(worker):
    """Whether a process is stopped, as a debugger stops it."""
    return Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def test_a_worker_is_killed_in_each_window_from_the_order_to_the_end(site):
    vm = await site.order()
    await site.dies(site.worker("half-disk"))
    home = site.folder / "guests" / str(vm.id)
    assert not (home / "disk.qcow2").exists(), "a disk that is half made has no name"
    await site.dies(site.worker("spawned"))
    [pid] = site.running().values()
    site.worker()
    await site.becomes(vm, "RUNNING")
    assert list(site.running().values()) == [pid], "it was adopted, not started again"
    site.workers[-1].kill()

    await site.act(vm, Action.STOP)
    await site.dies(site.worker("marked"))
    last = site.worker()
    await site.becomes(vm, "STOPPED")
    last.kill()

    await site.delete(vm)
    site.worker()
    await site.gone(vm)
    await site.nothing_is_left()


async def test_a_guest_dies_switches_itself_off_and_is_deleted_under_a_killed_worker(site):
    vm = await site.order()
    worker = site.worker()
    await site.becomes(vm, "RUNNING")
    [pid] = site.running().values()
    os.kill(pid, signal.SIGKILL)
    await site.tells(vm, "the guest ended unasked, and is started again")
    assert pid not in site.running().values()
    await site.tells(vm, "switchyard: boot 2")
    await site.becomes(vm, "RUNNING")

    console = await site.host.console(vm.id)
    await console.write(b"poweroff -f\n")
    await site.tells(vm, "the guest switched itself off")
    await site.becomes(vm, "STOPPED")
    await console.close()

    await site.act(vm, Action.START)
    await site.becomes(vm, "RUNNING")
    worker.kill()
    await site.delete(vm)
    await site.dies(site.worker("ended"))
    await site.until(lambda: not site.running())
    async with site.work() as work:
        assert (await work.quotas.find(site.ana.tenant, LIMIT)).used.vms == 1, (
            "nobody has seen it gone"
        )
    site.worker()
    await site.gone(vm)
    await site.nothing_is_left()


async def test_a_frozen_worker_that_wakes_up_is_refused_by_the_host(site):
    vm = await site.order()
    frozen = site.worker("frozen-on")
    await site.until(lambda: stopped(frozen))
    other = site.worker()
    await site.becomes(vm, "RUNNING")
    [pid] = site.running().values()
    other.kill()
    os.kill(pid, signal.SIGKILL)  # what the frozen one was to start is off again: now it could
    await site.until(lambda: not site.running())
    frozen.send_signal(signal.SIGCONT)
    # It goes on, is refused, and comes by its trap again with a new lease.
    await site.until(lambda: stopped(frozen))
    assert site.running() == {}, "the late word was refused"
    frozen.send_signal(signal.SIGCONT)
    frozen.kill()
    site.worker()
    await site.until(site.running)
    await site.becomes(vm, "RUNNING")
    assert len(site.running()) == 1
    await site.delete(vm)
    await site.gone(vm)
    await site.nothing_is_left()


async def test_a_silent_guest_is_never_started_twice_and_a_host_that_was_cut_off_comes_back(site):
    vm = await site.order()
    worker = site.worker()
    await site.becomes(vm, "RUNNING")
    [pid] = site.running().values()
    os.kill(pid, signal.SIGSTOP)

    async def complains():
        async with site.work() as work:
            found = await work.vms.find(site.ana.tenant, vm.id)
        return found.status == "ERROR" and "monitor" in found.status_detail

    await site.until(complains)
    assert list(site.running().values()) == [pid]
    os.kill(pid, signal.SIGCONT)
    await site.becomes(vm, "RUNNING")

    worker.kill()
    os.kill(pid, signal.SIGKILL)  # the power fails: no guest, no worker
    site.worker()
    await site.tells(vm, "switchyard: boot 2")  # the disk is the same
    await site.becomes(vm, "RUNNING")
    await site.delete(vm)
    await site.gone(vm)
    await site.nothing_is_left()


async def test_a_worker_is_killed_between_what_is_done_to_a_snapshot_and_what_is_written_of_it(
    site,
):
    vm = await site.order()
    worker = site.worker()
    await site.becomes(vm, "RUNNING")
    worker.kill()
    taken = await site.snapshots.take(site.ana, Intent(vm=vm.id), "live")
    await site.dies(site.worker("take-done"))
    worker = site.worker()
    assert (await site.ended(taken)).status == "SUCCEEDED"
    await site.act(vm, Action.STOP)
    await site.becomes(vm, "STOPPED")
    worker.kill()
    for task, point in ((Task.RESTORE, "restore-done"), (Task.DROP, "drop-done")):
        intent = Intent(vm=vm.id)
        asked = await site.snapshots.ask(site.ana, intent, taken.snapshot_id, task)
        await site.dies(site.worker(point))
        worker = site.worker()
        assert (await site.ended(asked)).status == "SUCCEEDED"
        worker.kill()
    site.worker()
    await site.act(vm, Action.START)
    await site.tells(vm, "switchyard: boot 2")
    await site.becomes(vm, "RUNNING")
    await site.delete(vm)
    await site.gone(vm)
    await site.nothing_is_left()
