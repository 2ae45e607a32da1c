"""Who may sit at a machine's console: asked when a ticket is given, when it is shown, and all along."""

from dataclasses import replace
from uuid import uuid4

import pytest

from chassis.errors import Forbidden
from compute.domain.console_errors import BadTicket, ConsoleInUse, NoConsole
from compute.domain.errors import VmNotFound


@pytest.fixture
async def vm(vms, ana, order, driven, sweep):
    made = await vms.create(ana, order)
    while await sweep():
        pass
    return made


async def test_a_ticket_is_good_once_for_who_asked_and_for_that_machine(
    consoles, ana, vm, vms, order
):
    ticket, _ = await consoles.admit(ana, vm.id)
    other = await vms.create(ana, replace(order, name="other"))
    with pytest.raises(BadTicket):
        await consoles.redeem(ana, other.id, ticket)
    with pytest.raises(BadTicket):
        await consoles.redeem(replace(ana, subject="anton"), vm.id, ticket)
    await consoles.redeem(ana, vm.id, ticket)
    with pytest.raises(BadTicket):
        await consoles.redeem(ana, vm.id, ticket)


async def test_a_ticket_is_good_for_half_a_minute_and_no_secret_is_kept(
    consoles, ana, vm, clock, work
):
    ticket, until = await consoles.admit(ana, vm.id)
    assert (until - clock()).total_seconds() == 30
    assert ticket not in str(work.tickets.kept)
    clock.forward(seconds=31)
    with pytest.raises(BadTicket):
        await consoles.redeem(ana, vm.id, ticket)
    await consoles.admit(ana, vm.id)
    assert len(work.tickets.kept) == 1, "the old one is forgotten"


async def test_going_to_a_console_leaves_a_fact(consoles, ana, vm, work):
    ticket, _ = await consoles.admit(ana, vm.id)
    await consoles.redeem(ana, vm.id, ticket)
    assert (work.facts[-1].action, work.facts[-1].actor.id) == ("vm.console_opened", "ana")


async def test_who_may_not_switch_it_may_not_type_either(consoles, vera, otto, nora, vm):
    for verb in (consoles.admit, consoles.check):
        for who in (vera, nora):
            with pytest.raises(Forbidden, match="vm:power_manage required"):
                await verb(who, vm.id)
        with pytest.raises(VmNotFound):
            await verb(otto, vm.id)
    with pytest.raises(VmNotFound):
        await consoles.redeem(otto, uuid4(), "x")


async def test_there_is_place_for_one_and_then_for_the_next(consoles, vm):
    async with consoles.session(vm.id) as console:
        await console.write(b"x")
        assert await console.read() == b"x"
        with pytest.raises(ConsoleInUse):
            async with consoles.session(vm.id):
                pass
    async with consoles.session(vm.id):
        pass


async def test_a_machine_that_does_not_run_has_no_console_and_keeps_no_place(consoles, vm, driven):
    driven.die(vm.id)
    for _ in range(2):
        with pytest.raises(NoConsole, match="does not run"):
            async with consoles.session(vm.id):
                pass
