"""Who may do what to whose machines, and what others are told."""

from dataclasses import replace
from uuid import uuid4

import pytest

from chassis.errors import Forbidden
from chassis.pages import PageAsk
from compute.domain.errors import VmNotFound
from compute.domain.vm import Changes
from compute.ports import Wanted
from compute.usecases.vms import Intent

CHANGES = {
    "update": lambda vms, who, vm: vms.update(who, Intent(vm=vm), Changes(name="x")),
    "delete": lambda vms, who, vm: vms.delete(who, Intent(vm=vm)),
}


@pytest.fixture
def maker(someone, tenant):
    """Somebody who may order machines and nothing else to those of others."""
    return someone(tenant, "vm:create")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
class TestChanges:
    async def test_the_owner_may_without_a_role_for_it(self, change, vms, maker, order, driven):
        vm = await vms.create(maker, order)
        assert vm.owner_id == maker.subject
        await change(vms, maker, vm.id)

    async def test_of_anothers_machine_the_owner_of_some_learns_nothing(
        self, change, vms, maker, ana, order, driven, work
    ):
        vm, none = await vms.create(ana, order), uuid4()
        with pytest.raises(VmNotFound, match=f"there is no machine {vm.id}"):
            await change(vms, maker, vm.id)
        with pytest.raises(VmNotFound, match=f"there is no machine {none}"):
            await change(vms, maker, none)
        assert [fact.action for fact in work.facts] == ["vm.created"]

    async def test_who_may_read_it_is_told_what_is_lacking(
        self, change, vms, someone, tenant, ana, order, driven
    ):
        reader = someone(tenant, "vm:read", "vm:create")
        vm = await vms.create(ana, order)
        with pytest.raises(Forbidden, match="Insufficient permissions: vm:"):
            await change(vms, reader, vm.id)

    async def test_a_role_over_one_machine_reaches_no_other(
        self, change, vms, someone, tenant, ana, order, driven
    ):
        vm = await vms.create(ana, order)
        other = await vms.create(ana, replace(order, name="other"))
        every = ("vm:read", "vm:update", "vm:delete")
        keeper = someone(tenant, *every, level="object", where=str(vm.id))
        with pytest.raises(VmNotFound):
            await change(vms, keeper, other.id)
        await change(vms, keeper, vm.id)


async def test_one_reads_and_lists_ones_own(vms, maker, ana, order, driven):
    theirs = await vms.create(ana, order)
    mine = await vms.create(maker, replace(order, name="mine"))
    assert (await vms.read(maker, mine.id)).name == "mine"
    with pytest.raises(VmNotFound):
        await vms.read(maker, theirs.id)
    part = await vms.list(maker, Wanted(ask=PageAsk()))
    assert ([vm.name for vm in part.items], part.total) == (["mine"], 1)
