"""Managing machines, on books in memory and a host that can be anything."""

from dataclasses import replace
from uuid import uuid4

import pytest

from chassis.errors import Forbidden
from chassis.pages import PageAsk
from compute.domain.errors import (
    ActionDoesNotFit,
    NoHypervisor,
    NoSuchTemplate,
    NotTriedYet,
    QuotaExceeded,
    TemplateNotFound,
    TooSmall,
    VmNotFound,
    VmStale,
)
from compute.domain.guest import Line
from compute.domain.host import Probe
from compute.domain.quota import Amount
from compute.domain.vm import Action, Step, Wish
from compute.ports import Wanted
from compute.usecases.operations import Operations
from compute.usecases.vms import Intent

ALL = Wanted(ask=PageAsk())


def nothing(work):
    return (work.vms.kept, work.quotas.used, work.facts) == ({}, {}, [])


async def test_where_nothing_can_run_a_machine_nothing_is_written_down(
    vms, ana, order, work, template
):
    work.templates.kept[template.id] = template
    with pytest.raises(NoHypervisor, match="install qemu-system-x86 and qemu-utils"):
        await vms.create(ana, order)
    assert nothing(work)


async def test_a_hypervisor_that_is_being_tried_makes_no_machine_yet(vms, ana, order, work, driven):
    driven.found = Probe(version="9.2.1", trying=True)
    with pytest.raises(NotTriedYet):
        await vms.create(ana, order)
    assert nothing(work)


async def test_an_order_is_a_machine_a_piece_of_quota_and_a_fact(
    vms, ana, order, work, driven, quotas
):
    vm = await vms.create(ana, replace(order, user_data="#cloud-config\npassword: secret"))
    assert (vm.status, vm.number, vm.owner_id) == ("PROVISIONING", 1, "ana")
    assert (vm.ip_address, vm.template_name) == (None, "debian")
    assert (await quotas.read(ana)).used == Amount(vms=1, cpu=2, memory_gb=4, disk_gb=20)
    [fact] = work.facts
    assert (fact.action, fact.target.name, fact.before) == ("vm.created", "web", None)
    assert "secret" not in str(fact)


async def test_numbers_count_within_the_tenant(vms, ana, otto, order, driven):
    assert [(await vms.create(who, order)).number for who in (ana, ana, otto)] == [1, 2, 1]


async def test_more_than_the_quota_is_refused_and_nothing_is_written(vms, ana, order, work, driven):
    await vms.create(ana, order)
    with pytest.raises(QuotaExceeded, match="cpu 2 of 8 used, 7 more asked"):
        await vms.create(ana, replace(order, cpu=7))
    assert (len(work.vms.kept), len(work.facts)) == (1, 1)


async def test_a_machine_from_a_template_knows_its_name(vms, ana, order, work, driven, template):
    work.templates.kept[template.id] = template
    ordered = order
    assert (await vms.create(ana, ordered)).template_name == "debian"
    with pytest.raises(TooSmall):
        await vms.create(ana, replace(ordered, disk_gb=9))
    with pytest.raises(NoSuchTemplate):
        await vms.create(ana, replace(ordered, template_id=uuid4()))


async def test_a_template_of_another_tenant_is_none(
    vms, templates, ana, order, work, driven, template
):
    theirs = replace(template, tenant=uuid4())
    work.templates.kept[theirs.id] = theirs
    with pytest.raises(TemplateNotFound):
        await templates.read(ana, theirs.id)
    assert (await templates.list(ana, ALL)).items == []
    with pytest.raises(NoSuchTemplate):
        await vms.create(ana, order)


async def test_another_tenant_sees_and_changes_nothing(vms, otto, work, make_vm):
    vm = make_vm()
    work.vms.kept[vm.id] = vm
    with pytest.raises(VmNotFound):
        await vms.read(otto, vm.id)
    with pytest.raises(VmNotFound):
        await vms.update(otto, Intent(vm=vm.id), {"name": "mine"})
    with pytest.raises(VmNotFound):
        await vms.delete(otto, Intent(vm=vm.id))
    assert (await vms.list(otto, ALL)).items == []
    assert (work.vms.kept, work.facts) == ({vm.id: vm}, [])


async def test_every_verb_asks_for_its_permission_before_it_looks(
    vms, templates, quotas, nora, order, work
):
    nowhere = Intent(vm=uuid4())
    for permission, verb in [
        ("vm:create", vms.create(nora, order)),
        ("vm:read", vms.read(nora, nowhere.vm)),
        ("vm:read", vms.list(nora, ALL)),
        ("vm:update", vms.update(nora, nowhere, {})),
        ("vm:delete", vms.delete(nora, nowhere)),
        ("vm:power_manage", vms.act(nora, nowhere, Action.STOP)),
        ("vm:read_logs", vms.read_log(nora, nowhere.vm, 1)),
        ("vm:read", Operations(work).read(nora, nowhere.vm)),
        ("template:read", templates.read(nora, nowhere.vm)),
        ("template:read", templates.list(nora, ALL)),
        ("quota:read", quotas.read(nora)),
    ]:
        with pytest.raises(Forbidden, match=f"{permission} required"):
            await verb
    assert nothing(work)


async def test_an_update_leaves_before_and_after_and_why(vms, ana, order, work, driven):
    vm = await vms.create(ana, order)
    intent = Intent(vm=vm.id, version=1, reason="it moved")
    after = await vms.update(ana, intent, {"name": "api"})
    fact = work.facts[-1]
    assert (fact.action, fact.reason, after.version) == ("vm.updated", "it moved", 2)
    assert (fact.before["name"], fact.after["name"]) == ("web", "api")
    with pytest.raises(VmStale):
        await vms.update(ana, intent, {"name": "late"})
    assert await vms.update(ana, Intent(vm=vm.id), {"name": "api"}) == after
    assert len(work.facts) == 2


async def test_a_machine_that_no_host_knows_is_deleted_at_once(vms, ana, order, work, host, driven):
    vm = await vms.create(ana, order)
    host.found = Probe(trouble="gone again")
    await vms.delete(ana, Intent(vm=vm.id, reason="not needed"))
    assert work.vms.kept == {}
    assert work.quotas.used[ana.tenant] == Amount()
    assert (work.facts[-1].action, work.facts[-1].reason) == ("vm.deleted", "not needed")


async def test_a_machine_on_a_host_is_to_vanish_and_keeps_its_quota_until_it_has(
    vms, ana, order, work, driven
):
    vm = await vms.create(ana, order)
    work.vms.kept[vm.id] = replace(vm, step=Step.UP, host="here")
    await vms.delete(ana, Intent(vm=vm.id))
    assert work.vms.kept[vm.id].wish is Wish.VANISH
    assert work.quotas.used[ana.tenant].vms == 1


async def test_deleting_what_is_being_deleted_changes_nothing(vms, ana, order, work, driven):
    vm = await vms.create(ana, order)
    work.vms.kept[vm.id] = replace(vm, step=Step.UP, host="here")
    await vms.delete(ana, Intent(vm=vm.id))
    facts = len(work.facts)
    await vms.delete(ana, Intent(vm=vm.id))
    assert len(work.facts) == facts


async def test_an_action_is_a_wish_an_operation_a_fact_and_a_line_in_the_log(
    vms, ana, order, work, driven
):
    vm = await vms.create(ana, order)
    operation = await vms.act(ana, Intent(vm=vm.id, reason="lunch"), Action.STOP)
    after = work.vms.kept[vm.id]
    assert (after.wish, after.generation, after.operation_id) == (Wish.STOP, 2, operation.id)
    assert (operation.action, operation.status, operation.asked_by) == ("stop", "RUNNING", "Ana")
    assert (work.facts[-1].action, work.facts[-1].reason) == ("vm.stop_asked", "lunch")
    assert (await vms.read_log(ana, vm.id, 10))[-1].message == "stop was asked for by Ana"
    assert work.stirred == 2


async def test_an_action_that_does_not_fit_changes_nothing(vms, ana, order, work, driven):
    vm = await vms.create(ana, order)
    with pytest.raises(
        ActionDoesNotFit, match=r"pause does not fit: the machine is not up \(waiting for a place"
    ):
        await vms.act(ana, Intent(vm=vm.id), Action.PAUSE)
    assert (work.vms.kept[vm.id], len(work.facts)) == (vm, 1)


async def test_the_log_has_what_happened_and_what_the_guest_said_in_order(
    vms, ana, otto, order, work, driven, clock
):
    vm = await vms.create(ana, order)
    driven.said[vm.id] = [Line(clock.forward(seconds=5), "login:")]
    clock.forward(seconds=5)
    await vms.act(ana, Intent(vm=vm.id), Action.STOP)
    told = [(it.level, it.message) for it in await vms.read_log(ana, vm.id, 10)]
    assert told == [
        ("info", "create was asked for by Ana"),
        ("console", "login:"),
        ("info", "stop was asked for by Ana"),
    ]
    assert len(await vms.read_log(ana, vm.id, 2)) == 2
    with pytest.raises(VmNotFound):
        await vms.read_log(otto, vm.id, 10)
