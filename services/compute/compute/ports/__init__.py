"""What the compute service asks of the world.

catalogue   agents
ledger      usage, and the metering of machines
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from chassis.facts import Fact
from chassis.pages import PageAsk, Slice
from compute.domain.host import Probe
from compute.domain.order import Template
from compute.domain.quota import Amount, Quota
from compute.domain.vm import Status, Vm
from compute.ports.catalogue import AgentBook
from compute.ports.ledger import Ledger, MeterBook


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which machines or templates are wanted. `sort`: created_at, name or number, with `-` for descending."""

    ask: PageAsk
    search: str = ""
    status: Status | None = None
    owner_id: str | None = None
    sort: str = "-created_at"


class Hypervisor(Protocol):
    """What runs machines."""

    async def probe(self) -> Probe:
        """Look whether machines can be run here; what was found may be a few seconds old."""
        ...


class VmBook(Protocol):
    """The machines of every tenant."""

    async def find(self, tenant: UUID, vm_id: UUID) -> Vm | None:
        """Return the machine; None if there is none."""
        ...

    async def take(self, tenant: UUID, vm_id: UUID) -> Vm | None:
        """Return the machine, locked until the work ends; None if there is none."""
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


class QuotaBook(Protocol):
    """What each tenant has."""

    async def find(self, tenant: UUID, limit: Amount) -> Quota:
        """Return what a tenant may have and has."""
        ...

    async def take(self, tenant: UUID, limit: Amount, more: Amount) -> int:
        """Take from a quota and return the number of the tenant's next machine; QuotaExceeded if it is too much."""
        ...

    async def give_back(self, tenant: UUID, less: Amount) -> None:
        """Give back to a quota."""
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
    def agents(self) -> AgentBook:
        """The agents, inside this transaction."""
        ...

    @property
    def ledger(self) -> Ledger:
        """The ledger of usage, inside this transaction."""
        ...

    @property
    def meter(self) -> MeterBook:
        """The machines that run, inside this transaction."""
        ...

    def record(self, fact: Fact) -> None:
        """Leave a fact for the audit log, kept together with the change."""
        ...


OpenWork = Callable[[], AbstractAsyncContextManager[Work]]
