"""Snapshots from the wish to the disk, on books and a host in memory."""

from dataclasses import replace
from uuid import uuid4

import pytest

from chassis.errors import Forbidden
from chassis.pages import PageAsk
from compute.domain.errors import ActionDoesNotFit, QuotaExceeded, VmNotFound, VmStale
from compute.domain.operation import Outcome
from compute.domain.quota import Amount
from compute.domain.snapshot import MOST, MOST_ATTEMPTS, Task
from compute.domain.snapshot_errors import SnapshotBusy, SnapshotNotFound, TooManySnapshots
from compute.domain.vm import Action
from compute.usecases.vms import Intent

LIMIT = Amount(vms=10, cpu=100, memory_gb=100, disk_gb=1000)


@pytest.fixture
async def vm(vms, ana, order, driven, settle):
    made = await vms.create(ana, order)
    await settle()
    return Intent(vm=made.id)


@pytest.fixture
async def shot(vm, snapshots, ana, settle):
    operation = await snapshots.take(ana, vm, "before the upgrade")
    await settle()
    return operation.snapshot_id


async def only(snapshots, ana, vm):
    [found] = (await snapshots.list(ana, vm.vm, PageAsk())).items
    return found


async def test_a_snapshot_is_taken_of_a_machine_that_runs_and_everybody_hears_of_it(
    vm, snapshots, ana, settle, driven, work
):
    operation = await snapshots.take(ana, replace(vm, reason="risky"), "before the upgrade")
    assert (operation.action, operation.status) == ("take_snapshot", Outcome.RUNNING)
    assert (await only(snapshots, ana, vm)).status == "CREATING"
    await settle()
    found = await only(snapshots, ana, vm)
    assert (found.status, found.created_by, found.id) == ("READY", "Ana", operation.snapshot_id)
    assert driven.shots[vm.vm] == {str(found.id)}
    assert work.operations.kept[operation.id].status is Outcome.SUCCEEDED
    assert work.vms.kept[vm.vm].status == "RUNNING"
    facts = [(f.action, f.reason) for f in work.facts if f.target.type == "snapshot"]
    assert facts == [("snapshot.take_asked", "risky"), ("snapshot.taken", "")]
    said = [it.message for _, it in work.log.kept][-2:]
    assert said == [
        "take_snapshot 'before the upgrade' was asked for by Ana",
        "snapshot 'before the upgrade' was taken",
    ]


async def test_a_machine_that_is_stopped_is_put_back_and_one_that_runs_is_not(
    vm, shot, snapshots, vms, ana, settle, driven, work
):
    with pytest.raises(ActionDoesNotFit, match="the machine is RUNNING; stop it first"):
        await snapshots.ask(ana, vm, shot, Task.RESTORE)
    await vms.act(ana, vm, Action.STOP)
    with pytest.raises(ActionDoesNotFit, match="stop it first"):
        await snapshots.ask(ana, vm, shot, Task.RESTORE)
    await settle()
    operation = await snapshots.ask(ana, vm, shot, Task.RESTORE)
    with pytest.raises(ActionDoesNotFit, match="is being restored"):
        await vms.act(ana, vm, Action.START)
    for task in (Task.RESTORE, Task.DROP):
        with pytest.raises(SnapshotBusy):
            await snapshots.ask(ana, vm, shot, task)
    with pytest.raises(SnapshotBusy):
        await snapshots.take(ana, vm, "meanwhile")
    await settle()
    assert driven.done[-1] == "restore"
    assert work.operations.kept[operation.id].status is Outcome.SUCCEEDED
    await vms.act(ana, vm, Action.START)
    await settle()
    assert work.vms.kept[vm.vm].status == "RUNNING"


async def test_a_disk_is_not_put_back_while_another_snapshot_is_being_taken(
    vm, shot, snapshots, vms, ana, settle
):
    await vms.act(ana, vm, Action.STOP)
    await settle()
    await snapshots.take(ana, vm, "another")
    with pytest.raises(SnapshotBusy, match="'another' is CREATING"):
        await snapshots.ask(ana, vm, shot, Task.RESTORE)


async def test_a_snapshot_that_is_dropped_is_gone_once_it_is_out_of_the_disk(
    vm, shot, snapshots, ana, settle, driven, work
):
    operation = await snapshots.ask(ana, vm, shot, Task.DROP)
    assert (await snapshots.read(ana, vm.vm, shot)).status == "DELETING"
    await settle()
    with pytest.raises(SnapshotNotFound):
        await snapshots.read(ana, vm.vm, shot)
    assert (driven.shots[vm.vm], work.operations.kept[operation.id].status) == (set(), "SUCCEEDED")
    assert work.facts[-1].action == "snapshot.deleted"


async def test_what_the_host_cannot_do_is_tried_again_and_fails_in_the_end(
    vm, snapshots, ana, driven, work, clock, sweep
):
    driven.breaks = "no space left on device"
    operation = await snapshots.take(ana, vm, "x")
    for _ in range(MOST_ATTEMPTS):
        assert work.operations.kept[operation.id].status is Outcome.RUNNING
        await sweep()
        await sweep()  # too early: nothing happens
        clock.forward(seconds=30)
    ended = work.operations.kept[operation.id]
    assert (ended.status, ended.detail) == (Outcome.FAILED, "no space left on device")
    found = await only(snapshots, ana, vm)
    assert (found.status, found.status_detail) == ("ERROR", "no space left on device")
    assert work.facts[-1].action == "snapshot.take_failed"
    assert work.vms.kept[vm.vm].status == "RUNNING", "the machine itself is well"


async def test_who_lost_its_lease_on_the_way_writes_nothing(
    vm, snapshots, ana, driven, work, sweep
):
    operation = await snapshots.take(ana, vm, "x")
    driven.fences[vm.vm] = 9
    await sweep()
    assert work.operations.kept[operation.id].status is Outcome.RUNNING
    driven.fences[vm.vm] = 0
    work.leases.others.add(vm.vm)
    await sweep()
    assert (await only(snapshots, ana, vm)).status == "CREATING"


async def test_what_was_done_and_not_written_down_is_done_again_and_changes_nothing(
    vm, shot, snapshots, ana, work, driven, settle
):
    kept = work.snapshots.kept[shot]
    operation = next(it for it in work.operations.kept.values() if it.snapshot_id == shot)
    work.snapshots.kept[shot] = replace(kept, task=Task.TAKE, taken=False)
    work.operations.kept[operation.id] = replace(operation, status=Outcome.RUNNING)
    await settle()
    assert (await only(snapshots, ana, vm)).status == "READY"
    assert driven.shots[vm.vm] == {str(shot)}


async def test_a_machine_that_is_deleted_takes_its_snapshots_with_it(
    vm, shot, snapshots, vms, ana, settle, work
):
    operation = await snapshots.ask(ana, vm, shot, Task.DROP)
    await vms.delete(ana, vm)
    await settle()
    assert (work.vms.kept, work.snapshots.kept) == ({}, {})
    ended = work.operations.kept[operation.id]
    assert (ended.status, ended.detail) == (Outcome.CANCELLED, "the machine was deleted")


async def test_a_newer_wish_for_the_machine_does_not_end_what_was_asked_of_a_snapshot(
    vm, snapshots, vms, ana, driven, settle, work, clock
):
    driven.breaks = "later"
    operation = await snapshots.take(ana, vm, "x")
    await vms.act(ana, vm, Action.STOP)
    driven.breaks = None
    await settle()
    clock.forward(seconds=5)
    await settle()
    assert work.operations.kept[operation.id].status is Outcome.SUCCEEDED


async def test_a_machine_has_so_many_and_no_more(vm, snapshots, ana, settle):
    snapshots = replace(snapshots, limit=LIMIT)
    for number in range(MOST):
        await snapshots.take(ana, vm, str(number))
    with pytest.raises(TooManySnapshots, match="delete one"):
        await snapshots.take(ana, vm, "one more")


async def test_strangers_find_nothing_and_readers_change_nothing(
    vm, shot, snapshots, otto, vera, nora, ana
):
    for ask in (
        snapshots.list(otto, vm.vm, PageAsk()),
        snapshots.read(otto, vm.vm, shot),
        snapshots.take(otto, vm, "x"),
        snapshots.ask(otto, vm, shot, Task.DROP),
    ):
        with pytest.raises(VmNotFound):
            await ask
    assert (await snapshots.read(vera, vm.vm, shot)).name == "before the upgrade"
    for ask in (
        snapshots.take(vera, vm, "x"),
        snapshots.ask(vera, vm, shot, Task.RESTORE),
        snapshots.list(nora, vm.vm, PageAsk()),
        snapshots.read(nora, vm.vm, uuid4()),
    ):
        with pytest.raises(Forbidden):
            await ask
    with pytest.raises(SnapshotNotFound):
        await snapshots.read(ana, vm.vm, uuid4())
    with pytest.raises(VmStale):
        await snapshots.take(ana, replace(vm, version=99), "x")


async def disk_used(work, ana):
    return (await work.quotas.find(ana.tenant, LIMIT)).used


async def test_a_snapshot_takes_of_the_quota_until_it_or_its_machine_is_gone(
    vm, shot, snapshots, vms, ana, settle, work
):
    disk = work.vms.kept[vm.vm].amount
    assert await disk_used(work, ana) == disk + Amount(disk_gb=disk.disk_gb)
    assert (await only(snapshots, ana, vm)).disk_gb == disk.disk_gb
    await snapshots.ask(ana, vm, shot, Task.DROP)
    assert await disk_used(work, ana) != disk, "it is still in the disk"
    await settle()
    assert await disk_used(work, ana) == disk
    for name in ("one", "two"):
        await snapshots.take(ana, vm, name)
    await settle()
    await vms.delete(ana, vm)
    await settle()
    assert await disk_used(work, ana) == Amount()


async def test_a_snapshot_that_is_more_than_the_quota_is_refused_and_nothing_is_written(
    vm, snapshots, ana, work
):
    short = replace(snapshots, limit=replace(LIMIT, disk_gb=work.vms.kept[vm.vm].disk_gb))
    facts = len(work.facts)
    with pytest.raises(QuotaExceeded, match="disk_gb 20 of 20 used, 20 more asked"):
        await short.take(ana, vm, "one too many")
    assert (await snapshots.list(ana, vm.vm, PageAsk())).items == []
    assert len(work.facts) == facts


async def test_what_a_snapshot_takes_gives_no_machine_a_number(vm, shot, vms, ana, order, work):
    assert (await vms.create(ana, order)).number == work.vms.kept[vm.vm].number + 1
