"""The serial console of a machine: who may type is asked when a ticket is given, when it is shown, and all along."""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from compute.domain.console_errors import BadTicket, ConsoleInUse, NoConsole
from compute.domain.ticket import LIFE, Ticket, digest_of
from compute.domain.vm import Vm
from compute.ports import OpenWork, Work
from compute.ports.hypervisor import Console, HostTrouble, Hypervisor
from compute.usecases.vms import allowed, told

NEEDED = "vm:power_manage"


@dataclass(frozen=True, slots=True)
class Consoles:
    """Everything one can do with consoles. One session a machine: QEMU has one place for a client."""

    work: OpenWork
    hypervisor: Hypervisor
    now: Callable[[], datetime]
    _taken: set[UUID] = field(default_factory=set[UUID])

    async def admit(self, caller: Caller, vm_id: UUID) -> tuple[str, datetime]:
        """Return a ticket to a machine's console, and until when it is good."""
        caller.must_for_some(NEEDED)
        shown, until = secrets.token_urlsafe(32), self.now() + LIFE
        async with self.work() as work:
            vm = await self._find(work, caller, vm_id)
            await work.tickets.forget(self.now())
            ticket = self._ticket(caller, vm_id, shown)
            await work.tickets.add(ticket.lasting(until))
            work.record(told(caller, "console_ticket_made", vm, vm))
        return shown, until

    async def check(self, caller: Caller, vm_id: UUID) -> None:
        """Refuse who may no more; while somebody is at a console this is asked again and again."""
        caller.must_for_some(NEEDED)
        async with self.work() as work:
            await self._find(work, caller, vm_id)

    async def redeem(self, caller: Caller, vm_id: UUID, shown: str) -> None:
        """Use up a ticket and leave a fact that somebody goes to the console; BadTicket if there is none such."""
        caller.must_for_some(NEEDED)
        async with self.work() as work:
            vm = await self._find(work, caller, vm_id)
            if not await work.tickets.redeem(self._ticket(caller, vm_id, shown)):
                raise BadTicket("this ticket is not good (any more): ask for another")
            work.record(told(caller, "console_opened", vm, vm))

    @asynccontextmanager
    async def session(self, vm_id: UUID) -> AsyncGenerator[Console]:
        """Be at the console of a machine, alone."""
        if vm_id in self._taken:
            raise ConsoleInUse("somebody is at this console already")
        self._taken.add(vm_id)
        try:
            console = await self._opened(vm_id)
            try:
                yield console
            finally:
                await console.close()
        finally:
            self._taken.discard(vm_id)

    async def _opened(self, vm_id: UUID) -> Console:
        try:
            return await self.hypervisor.console(vm_id)
        except HostTrouble as trouble:
            raise NoConsole(str(trouble)) from trouble

    async def _find(self, work: Work, caller: Caller, vm_id: UUID) -> Vm:
        return allowed(caller, NEEDED, await work.vms.find(caller.tenant, vm_id), vm_id)

    def _ticket(self, caller: Caller, vm_id: UUID, shown: str) -> Ticket:
        return Ticket(
            digest=digest_of(shown),
            tenant=caller.tenant,
            vm_id=vm_id,
            subject=caller.subject,
            until=self.now(),
        )
