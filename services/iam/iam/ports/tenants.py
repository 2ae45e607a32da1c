"""What iam asks of the store about tenants."""

from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from chassis.pages import PageAsk, Slice
from iam.domain.tenant import Tenant


class Tenants(Protocol):
    """The tenants."""

    async def get(self, tenant: UUID, *, lock: bool = False) -> Tenant | None:
        """Return a tenant; locked until the work ends if asked."""
        ...

    async def named(self, subdomain: str) -> Tenant | None:
        """Return the tenant with this subdomain."""
        ...

    async def list(
        self, among: Collection[UUID] | None, search: str, ask: PageAsk
    ) -> Slice[Tenant]:
        """Return a part of these tenants, or of all if None, by subdomain; `search` looks into it and the names."""
        ...

    async def alike(self, name: str) -> Sequence[Tenant]:
        """Return tenants with names that look like this one, this one among them."""
        ...

    async def put(self, tenant: Tenant) -> None:
        """Store a tenant; TenantTaken if another has its subdomain."""
        ...
