"""Making wishes come true, on books and a host in memory."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from chassis.errors import Forbidden
from compute.domain.guest import Power, Seen
from compute.domain.operation import Outcome
from compute.domain.quota import Amount
from compute.domain.vm import Action, Step, Wish
from compute.ports.hypervisor import HostTrouble
from compute.usecases.offers import Offers
from compute.usecases.operations import Operations
from compute.usecases.orphans import Orphans, too_many
from compute.usecases.vms import Intent


@pytest.fixture
async def vm(vms, ana, order, driven, settle):
    made = await vms.create(ana, order)
    await settle()
    return made


def outcomes(work):
    return [(it.action, it.status.value) for it in work.operations.kept.values()]


async def test_a_machine_that_was_ordered_runs(vm, work, driven):
    after = work.vms.kept[vm.id]
    assert (after.status, after.status_detail, after.host) == ("RUNNING", None, "here")
    assert driven.done == ["disk", "define", "on"]
    assert outcomes(work) == [("create", "SUCCEEDED")]
    told = [
        (f.before["status"], f.after["status"])
        for f in work.facts
        if f.action == "vm.status_changed"
    ]
    assert told == [("PROVISIONING", "RUNNING")]


@pytest.mark.parametrize(
    ("actions", "deeds", "status"),
    [
        ([Action.STOP], ["press", "off"], "STOPPED"),
        ([Action.STOP, Action.START], ["press", "off", "define", "on"], "RUNNING"),
        ([Action.RESTART], ["press", "off", "define", "on"], "RUNNING"),
        ([Action.PAUSE], ["pause"], "RUNNING"),
        ([Action.PAUSE, Action.RESUME], ["pause", "resume"], "RUNNING"),
        ([Action.PAUSE, Action.STOP], ["pause", "resume", "press", "off"], "STOPPED"),
        ([Action.RESET], ["reset"], "RUNNING"),
    ],
)
async def test_each_action_is_done_once_and_its_operation_succeeds(
    vms, ana, vm, settle, driven, work, actions, deeds, status
):
    driven.done.clear()
    for action in actions:
        await vms.act(ana, Intent(vm=vm.id), action)
        await settle()
    assert (driven.done, work.vms.kept[vm.id].status) == (deeds, status)
    assert {status for _, status in outcomes(work)} == {"SUCCEEDED"}


async def test_a_deleted_machine_keeps_its_quota_until_its_guest_is_seen_to_be_gone(
    vms, ana, vm, settle, driven, work, sweep, clock
):
    await vms.delete(ana, Intent(vm=vm.id))
    driven.breaks = "the process does not end"
    await sweep()
    assert work.vms.kept[vm.id].trouble == "the process does not end"
    assert work.quotas.used[ana.tenant].vms == 1
    driven.breaks = None
    clock.forward(seconds=2)
    await settle()
    assert (work.vms.kept, driven.guests, work.leases.fences) == ({}, {}, {})
    assert work.log.kept == []
    assert work.quotas.used[ana.tenant] == Amount()
    assert outcomes(work) == [("create", "SUCCEEDED"), ("delete", "FAILED")]


async def test_what_the_host_cannot_do_is_an_error_that_leaves_by_itself(
    vms, ana, order, driven, sweep, settle, work, clock
):
    driven.breaks = "no space left on device"
    vm = await vms.create(ana, order)
    await sweep()
    after = work.vms.kept[vm.id]
    assert (after.status, after.status_detail) == ("ERROR", "no space left on device")
    assert outcomes(work) == [("create", "FAILED")]
    driven.breaks = None
    assert await sweep()
    assert driven.done == [], "it is tried again later, not at once"
    clock.forward(seconds=2)
    await settle()
    assert work.vms.kept[vm.id].status == "RUNNING"
    messages = [it.message for _, it in work.log.kept]
    assert messages[1:] == [
        "no space left on device",
        "PROVISIONING: waiting for a place on a host",
        "PROVISIONING: booting",
        "RUNNING",
    ]


async def test_a_guest_that_died_is_started_again_and_the_log_says_so(
    vm, driven, settle, work, vms, ana
):
    driven.die(vm.id)
    await settle()
    assert work.vms.kept[vm.id].status == "RUNNING"
    said = [it.message for it in await vms.read_log(ana, vm.id, 9)]
    assert "the guest ended unasked, and is started again" in said


async def test_a_guest_that_keeps_dying_is_an_error_and_leaves_little_behind(
    vm, driven, sweep, settle, work, clock
):
    for _ in range(2):
        driven.die(vm.id)
        while (await sweep()) and not work.vms.kept[vm.id].due_at:
            pass
    after, said = work.vms.kept[vm.id], len(work.log.kept)
    assert (after.status, after.crashes) == ("ERROR", 2)
    for _ in range(20):  # nothing happens, and nothing is told, until it is due
        await sweep()
    assert len(work.log.kept) == said
    clock.forward(seconds=1)
    await settle()
    assert work.vms.kept[vm.id].status == "RUNNING"


async def test_a_guest_that_switched_itself_off_stays_off(vm, driven, settle, work):
    driven.guests[vm.id] = replace(driven.guests[vm.id], power=Power.HALTED)
    await settle()
    after = work.vms.kept[vm.id]
    assert (after.status, after.wish) == ("STOPPED", Wish.STOP)
    assert "the guest switched itself off" in [it.message for _, it in work.log.kept]


async def test_a_machine_whose_lease_is_anothers_is_left_alone(
    vms, ana, order, driven, work, sweep
):
    vm = await vms.create(ana, order)
    work.leases.others.add(vm.id)
    await sweep()
    assert (driven.done, work.vms.kept[vm.id].step) == ([], Step.PLACE)


async def test_who_lost_its_lease_on_the_way_is_refused_by_the_host_and_writes_nothing(
    vms, ana, order, driven, work, sweep
):
    vm = await vms.create(ana, order)
    driven.fences[vm.id] = 2
    await sweep()
    assert (driven.done, work.vms.kept[vm.id].step, vm.trouble) == ([], Step.PLACE, None)


async def test_a_machine_of_another_host_is_not_ours(vms, ana, order, driven, work, sweep):
    vm = await vms.create(ana, order)
    work.vms.kept[vm.id] = replace(vm, host="elsewhere", step=Step.UP, made=True, settled=1)
    await sweep()
    assert work.vms.kept[vm.id].status == "RUNNING"


async def test_a_newer_wish_cancels_what_was_asked_before(vms, ana, vm, settle, work):
    first = await vms.act(ana, Intent(vm=vm.id), Action.STOP)
    second = await vms.act(ana, Intent(vm=vm.id), Action.START)
    await settle()
    ended = work.operations.kept
    assert ended[first.id].status is Outcome.CANCELLED
    assert ended[second.id].status is Outcome.SUCCEEDED


async def test_an_operation_is_waited_for_until_it_ends_or_the_time_is_up(vms, ana, vm, work):
    operations = Operations(work)
    asked = await vms.act(ana, Intent(vm=vm.id), Action.STOP)
    assert (await operations.read(ana, asked.id, wait=0.05)).status is Outcome.RUNNING
    work.operations.kept[asked.id] = replace(asked, status=Outcome.SUCCEEDED)
    followed = operations.follow(ana, asked.id, same(ana))
    assert [it.status async for it in followed] == [Outcome.SUCCEEDED]


def same(caller):
    async def again():
        return caller

    return again


async def test_who_follows_hears_it_unchanged_now_and_then_and_no_more_once_he_may_not(
    vms, ana, nora, vm, work, monkeypatch
):
    monkeypatch.setattr("compute.usecases.operations.EVERY", 0.01)
    operations, callers = Operations(work), [ana, ana, nora]
    asked = await vms.act(ana, Intent(vm=vm.id), Action.STOP)

    async def again():
        return callers.pop(0)

    heard = []
    with pytest.raises(Forbidden):
        async for it in operations.follow(ana, asked.id, again):
            heard.append(it.status)
    assert heard == [Outcome.RUNNING] * 3


class TestOrphans:
    @pytest.fixture
    def counts(self):
        return []

    @pytest.fixture
    def orphans(self, work, driven, clock, counts):
        return Orphans(work, driven, clock, timedelta(hours=1), counts.append)

    async def test_a_guest_in_no_table_is_kept_for_a_while_and_then_ended(
        self, orphans, driven, vm, clock, counts
    ):
        stranger = uuid4()
        driven.guests[stranger] = Seen(power=Power.RUNNING, made=True)
        await orphans.sweep()
        clock.forward(minutes=59)
        await orphans.sweep()
        assert stranger in driven.guests
        clock.forward(minutes=1)
        await orphans.sweep()
        assert (set(driven.guests), counts) == ({vm.id}, [1, 1, 1])

    async def test_of_suddenly_many_none_is_ended(self, orphans, driven, clock, counts):
        for _ in range(4):
            driven.guests[uuid4()] = Seen(power=Power.RUNNING, made=True)
        await orphans.sweep()
        clock.forward(hours=2)
        await orphans.sweep()
        assert (len(driven.guests), counts) == (4, [4, 4])

    @pytest.mark.parametrize(
        ("orphans", "guests", "many"),
        [(3, 3, False), (4, 4, True), (5, 100, False), (6, 100, True)],
    )
    def test_more_than_three_and_a_twentieth_are_many(self, orphans, guests, many):
        assert too_many(orphans, guests) is many


async def test_the_templates_of_a_host_are_offered_once(work, driven, template):
    work.templates.kept.clear()
    driven.offered = [template]
    offers = Offers(work, driven)
    await offers.refresh()
    await offers.refresh()
    assert list(work.templates.kept) == [template.id]
    assert [fact.action for fact in work.facts] == ["template.offered"]


async def test_where_guests_cannot_be_listed_nothing_is_done_to_any(
    sweep, driven, vm, work, monkeypatch
):
    async def away():
        raise HostTrouble("nobody answers")

    before, done = dict(work.vms.kept), list(driven.done)
    monkeypatch.setattr(driven, "list", away)
    assert await sweep() is False
    assert await Orphans(work, driven, None, timedelta(0), print).sweep() == 0
    assert (work.vms.kept, driven.done) == (before, done)


async def test_who_comes_for_a_machine_that_is_gone_leaves_no_lease(work, reconciler):
    await reconciler.reconcile(uuid4())
    assert work.leases.fences == {}
