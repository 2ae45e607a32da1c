"""What iam asks of the store about roles."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from iam.domain.grants import TENANT, Where
from iam.domain.roles import Role


class Roles(Protocol):
    """The tenants' own roles. System roles are code (`domain.roles`)."""

    async def get(
        self, tenant: UUID | None, role: UUID, *, lock: bool = False, keep: bool = False
    ) -> Role | None:
        """Return a role of a tenant, or of any if None; locked, or (`keep`) only kept from changing meanwhile."""
        ...

    async def named(self, tenant: UUID, name: str, *, keep: bool = False) -> Role | None:
        """Return the role of a tenant with this name, however it is spelled."""
        ...

    async def all(self, tenant: UUID, limit: int) -> Sequence[Role]:
        """Return the first `limit` roles of a tenant by name."""
        ...

    async def holders(
        self, tenant: UUID, role: str, limit: int, where: Where = TENANT
    ) -> Sequence[UUID]:
        """Return the first `limit` users of a tenant to whom a role was given at a scope of it, by id."""
        ...

    async def put(self, role: Role) -> None:
        """Store a role; RoleNameTaken if another of its tenant has its name."""
        ...

    async def drop(self, role: UUID) -> None:
        """Forget a role that nobody holds."""
        ...
