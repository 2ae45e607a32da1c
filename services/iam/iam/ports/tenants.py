"""What iam asks of the store about tenants."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from iam.domain.tenant import Tenant


class Tenants(Protocol):
    """The tenants."""

    async def get(self, tenant: UUID, *, lock: bool = False) -> Tenant | None:
        """Return a tenant; locked until the work ends if asked."""
        ...

    async def named(self, subdomain: str) -> Tenant | None:
        """Return the tenant with this subdomain."""
        ...

    async def all(self, limit: int) -> Sequence[Tenant]:
        """Return the first `limit` tenants by subdomain."""
        ...

    async def put(self, tenant: Tenant) -> None:
        """Store a tenant; TenantTaken if another has its subdomain."""
        ...
