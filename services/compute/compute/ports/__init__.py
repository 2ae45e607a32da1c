"""What the compute service asks of the world.

catalogue   agents
hypervisor  what runs machines
ledger      usage, and the metering of machines
images      images that are being had
snapshots   snapshots of machines' disks
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from chassis.facts import Fact
from chassis.pages import PageAsk, Slice
from compute.domain.happening import Happening
from compute.domain.operation import Operation
from compute.domain.order import Template
from compute.domain.quota import Amount, Quota
from compute.domain.ticket import Ticket
from compute.domain.vm import Status, Vm
from compute.ports.catalogue import AgentBook
from compute.ports.images import ImageBook
from compute.ports.ledger import Ledger, MeterBook
from compute.ports.snapshots import SnapshotBook


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which machines or templates are wanted. `sort`: a column of the list, with `-` for descending."""

    ask: PageAsk
    search: str = ""
    status: Status | None = None
    owner_id: str | None = None
    sort: str = "-created_at"


class VmBook(Protocol):
    """The machines of every tenant."""

    async def find(self, tenant: UUID, vm_id: UUID) -> Vm | None:
        """Return the machine; None if there is none."""
        ...

    async def take(self, tenant: UUID, vm_id: UUID) -> Vm | None:
        """Return the machine, locked until the work ends; None if there is none."""
        ...

    async def take_any(self, vm_id: UUID) -> Vm | None:
        """Return the machine of whichever tenant, locked until the work ends; None if there is none."""
        ...

    async def on_host(self, host: str) -> Sequence[Vm]:
        """Return the machines of all tenants that are on a host, and those that are on none yet."""
        ...

    async def known(self, vms: Sequence[UUID]) -> Collection[UUID]:
        """Return which of these machines there are, in whichever tenant and on whichever host."""
        ...

    async def list(self, tenant: UUID, wanted: Wanted) -> Slice[Vm]:
        """Return a part of a tenant's machines."""
        ...

    async def add(self, vm: Vm) -> None:
        """Keep a new machine."""
        ...

    async def put(self, before: Vm, after: Vm) -> None:
        """Keep a machine as it is now; ChangedMeanwhile if it is no longer as it was before."""
        ...

    async def remove(self, vm: Vm) -> None:
        """Forget a machine."""
        ...


class TemplateBook(Protocol):
    """The templates of every tenant, and those for all."""

    async def find(self, tenant: UUID, template_id: UUID) -> Template | None:
        """Return a template that the tenant may use; None if there is none."""
        ...

    async def list(self, tenant: UUID, wanted: Wanted) -> Slice[Template]:
        """Return a part of the templates that the tenant may use."""
        ...

    async def put(self, template: Template) -> bool:
        """Keep a template, or change it; tell whether that made a difference."""
        ...

    async def use(self, tenant: UUID, template_id: UUID) -> Template | None:
        """Return what `find` returns; nobody deletes it until the work ends."""
        ...

    async def take(self, tenant: UUID, template_id: UUID) -> Template | None:
        """Return what `find` returns, locked until the work ends."""
        ...

    async def owned(self, template_id: UUID) -> Template | None:
        """Return a template of whichever tenant; None if there is none."""
        ...

    async def known(self) -> frozenset[UUID]:
        """Return every template that there is, and every one that a machine was made from."""
        ...

    async def count(self, tenant: UUID) -> int:
        """Return how many templates a tenant has of its own."""
        ...

    async def used(self, template_id: UUID) -> int:
        """Return how many machines there are that were made from a template."""
        ...

    async def add(self, template: Template) -> None:
        """Keep a new template."""
        ...

    async def remove(self, template: Template) -> None:
        """Forget a template and its image."""
        ...


class QuotaBook(Protocol):
    """What each tenant has."""

    async def find(self, tenant: UUID, limit: Amount) -> Quota:
        """Return what a tenant may have and has. `limit` is what holds where nothing was said for this tenant."""
        ...

    async def lock(self, tenant: UUID, limit: Amount) -> Quota:
        """Return the same; nobody takes, gives back or sets until the work ends."""
        ...

    async def put(self, tenant: UUID, quota: Quota) -> None:
        """Keep the limits of a quota that was locked before."""
        ...

    async def take(self, tenant: UUID, limit: Amount, more: Amount) -> int:
        """Take from a quota; return the number of the machine, if one is in it, else of the last. QuotaExceeded."""
        ...

    async def give_back(self, tenant: UUID, less: Amount) -> None:
        """Give back to a quota."""
        ...


class OperationBook(Protocol):
    """What was asked of machines."""

    async def find(self, tenant: UUID, operation_id: UUID) -> Operation | None:
        """Return the operation; None if there is none."""
        ...

    async def open_of(self, vm_id: UUID) -> Sequence[Operation]:
        """Return what was asked of a machine and has not ended."""
        ...

    async def add(self, operation: Operation) -> None:
        """Keep a new operation."""
        ...

    async def put(self, operation: Operation) -> None:
        """Keep an operation as it is now."""
        ...

    async def forget(self, before: datetime) -> None:
        """Forget operations that ended before, some thousand at most."""
        ...


class Log(Protocol):
    """What happened to machines."""

    async def add(self, vm_id: UUID, happening: Happening) -> None:
        """Keep something that happened to a machine."""
        ...

    async def last(self, vm_id: UUID, limit: int) -> Sequence[Happening]:
        """Return what happened last, the oldest of it first."""
        ...

    async def forget(self, vm_id: UUID) -> None:
        """Forget what happened to a machine that is gone."""
        ...

    async def trim(self, lines: int) -> None:
        """Forget all but the last so many lines of each machine, of a hundred machines at most."""
        ...


class Leases(Protocol):
    """Which worker may touch which machine."""

    async def hold(self, vm_id: UUID) -> int | None:
        """Take or renew the lease on a machine; return its fence, or None while another holds it."""
        ...

    async def renew(self, vm_id: UUID, fence: int) -> bool:
        """Hold a machine longer, and keep it from being taken until the work ends; False if another has taken it."""
        ...

    async def drop(self, vm_id: UUID) -> None:
        """Forget the lease of a machine that is gone."""
        ...


class Tickets(Protocol):
    """The tickets to consoles."""

    async def add(self, ticket: Ticket) -> None:
        """Keep a ticket."""
        ...

    async def redeem(self, wanted: Ticket) -> bool:
        """Use up a ticket; tell whether there was such a one, for this person and machine, still good at `until`."""
        ...

    async def forget(self, before: datetime) -> None:
        """Forget the tickets that nobody used in time."""
        ...


class Work(Protocol):
    """One transaction: everything in it is kept, or nothing is."""

    @property
    def vms(self) -> VmBook:
        """The machines, inside this transaction."""
        ...

    @property
    def templates(self) -> TemplateBook:
        """The templates, inside this transaction."""
        ...

    @property
    def quotas(self) -> QuotaBook:
        """The quotas, inside this transaction."""
        ...

    @property
    def operations(self) -> OperationBook:
        """The operations, inside this transaction."""
        ...

    @property
    def log(self) -> Log:
        """What happened to machines, inside this transaction."""
        ...

    @property
    def leases(self) -> Leases:
        """The leases on machines, inside this transaction."""
        ...

    @property
    def tickets(self) -> Tickets:
        """The tickets to consoles, inside this transaction."""
        ...

    def stir(self) -> None:
        """Tell whoever makes wishes come true, once this is committed."""
        ...

    @property
    def agents(self) -> AgentBook:
        """The agents, inside this transaction."""
        ...

    @property
    def ledger(self) -> Ledger:
        """The ledger of usage, inside this transaction."""
        ...

    @property
    def images(self) -> ImageBook:
        """The images that are wanted, inside this transaction."""
        ...

    @property
    def snapshots(self) -> SnapshotBook:
        """The snapshots of machines, inside this transaction."""
        ...

    @property
    def meter(self) -> MeterBook:
        """The machines that run, inside this transaction."""
        ...

    def record(self, fact: Fact) -> None:
        """Leave a fact for the audit log, kept together with the change."""
        ...


OpenWork = Callable[[], AbstractAsyncContextManager[Work]]
