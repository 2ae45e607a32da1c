"""What takes long at one machine: it holds up no other, keeps its lease, and what came of it is written down."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from chassis.errors import Unavailable
from compute.domain.snapshot import Task
from compute.domain.vm import Action, Step
from compute.jobs import reconciling
from compute.usecases import claims, underway
from compute.usecases.underway import Underway
from compute.usecases.vms import Intent
from tests.waiting import until


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Leases are renewed often and places given up soon: nobody has to wait for a second."""
    monkeypatch.setattr(claims, "BEAT", 0.005)
    monkeypatch.setattr(underway, "LONG", 0.005)


@pytest.fixture
async def slow(vms, ana, order, driven, sweep):
    """A machine to which everything takes until its gate is opened."""
    vm = await vms.create(ana, order)
    driven.slow[vm.id] = asyncio.Event()
    return vm


def step(work, vm):
    return work.vms.kept[vm.id].step


async def swept_until(reconciler, holds):
    async def it_does():
        await reconciler.sweep()
        return holds()

    await until(it_does, 60)


async def test_a_slow_deed_at_one_machine_holds_up_no_other(
    slow, vms, ana, order, driven, reconciler, work
):
    await reconciler.sweep()
    others = [await vms.create(ana, order) for _ in range(2)]
    await swept_until(reconciler, lambda: {step(work, it) for it in others} == {Step.UP})
    assert (step(work, slow), driven.done.count("disk")) == (Step.PLACE, 2)
    driven.slow[slow.id].set()
    await swept_until(reconciler, lambda: step(work, slow) is Step.UP)
    assert driven.done.count("disk") == 3, "what was under way was not begun again"


async def test_many_slow_deeds_give_their_places_to_others(
    vms, ana, order, driven, reconciler, work
):
    reconciler = replace(reconciler, underway=Underway(_places=asyncio.Semaphore(2)))
    gate = asyncio.Event()
    crowd = [await vms.create(ana, order) for _ in range(2)]
    driven.slow |= {vm.id: gate for vm in crowd}
    await reconciler.sweep()
    other = await vms.create(ana, order)
    await swept_until(reconciler, lambda: step(work, other) is Step.UP)
    assert {step(work, vm) for vm in crowd} == {Step.PLACE}
    gate.set()
    await swept_until(reconciler, lambda: {step(work, vm) for vm in crowd} == {Step.UP})


async def test_no_more_begin_at_once_than_there_are_places(monkeypatch):
    monkeypatch.setattr(underway, "LONG", 3600)
    now, most, crowd = 0, 0, Underway()

    async def one():
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1

    for _ in range(50):
        crowd.begin(uuid4(), one)
    await crowd.finish()
    assert (most, now, len(crowd)) == (underway.AT_ONCE, 0, 0)


async def test_a_bug_in_one_machines_step_is_told_and_keeps_no_other_from_being_taken(caplog):
    crowd, taken = Underway(), []

    async def broken():
        raise ZeroDivisionError

    async def whole():
        taken.append(1)

    for step_ in (broken, whole, broken, whole):
        crowd.begin(uuid4(), step_)
    await crowd.finish()
    assert (len(taken), caplog.text.count("a step for a machine broke")) == (2, 2)


async def test_the_lease_is_renewed_while_a_deed_is_under_way_and_its_failure_is_written_down(
    slow, driven, reconciler, work
):
    driven.breaks = "no space left on device"
    await reconciler.sweep()
    await until(lambda: work.leases.renewed[slow.id] >= 3)
    driven.slow[slow.id].set()
    await reconciler.underway.finish()
    after = work.vms.kept[slow.id]
    assert (after.status, after.trouble, after.attempts) == ("ERROR", driven.breaks, 1)
    assert after.due_at is not None


async def test_a_slow_restore_is_done_once_and_its_lease_renewed(
    vms, ana, order, driven, reconciler, work, snapshots, settle
):
    vm = await vms.create(ana, order)
    await settle()
    intent = Intent(vm=vm.id)
    shot = (await snapshots.take(ana, intent, "x")).snapshot_id
    await vms.act(ana, intent, Action.STOP)
    await settle()
    driven.slow[vm.id] = asyncio.Event()
    operation = await snapshots.ask(ana, intent, shot, Task.RESTORE)
    before = work.leases.renewed[vm.id]
    await swept_until(reconciler, lambda: work.leases.renewed[vm.id] >= before + 3)
    driven.slow.pop(vm.id).set()
    await settle()
    assert driven.done.count("restore") == 1
    assert work.operations.kept[operation.id].status == "SUCCEEDED"


async def test_who_lost_its_lease_breaks_off_and_writes_nothing(slow, driven, reconciler, work):
    await reconciler.sweep()
    await until(lambda: work.leases.renewed[slow.id])
    work.leases.others.add(slow.id)
    await reconciler.underway.finish()
    assert (driven.done, step(work, slow)) == ([], Step.PLACE)


async def test_a_database_that_is_away_for_a_moment_breaks_nothing_off(
    slow, driven, reconciler, work, monkeypatch
):
    asked = []

    async def away(*said):
        asked.append(said)
        raise Unavailable("no database")

    renew = work.leases.renew
    monkeypatch.setattr(work.leases, "renew", away)
    await reconciler.sweep()
    await until(lambda: len(asked) >= 3)
    monkeypatch.setattr(work.leases, "renew", renew)
    driven.slow[slow.id].set()
    await reconciler.underway.finish()
    assert driven.done == ["disk"]


async def test_the_worker_breaks_off_what_is_under_way_when_it_ends(slow, driven, reconciler, work):
    async def no_events():
        await asyncio.Event().wait()
        yield

    worker = asyncio.create_task(reconciling(reconciler, asyncio.Event(), no_events)())
    await until(lambda: work.leases.renewed[slow.id])
    worker.cancel()
    await asyncio.wait({worker})
    assert (len(reconciler.underway), driven.done) == (0, [])
    driven.slow[slow.id].set()
    await swept_until(reconciler, lambda: step(work, slow) is Step.UP)
    assert driven.done.count("disk") == 1, "who comes next does it, once"
