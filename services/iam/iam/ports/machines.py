"""What iam asks of the store about service and pipeline accounts that act."""

from typing import Protocol
from uuid import UUID

from iam.domain.machine import Machine


class Machines(Protocol):
    """The accounts of all tenants. Deleted ones are not found by anything here."""

    async def get(self, tenant: UUID, id_: UUID) -> Machine | None:
        """Return an account of a tenant with what it holds now, also through groups."""
        ...
