"""What iam asks of the store about invitations."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from chassis.pages import PageAsk, Slice
from iam.domain.invitation import Invitation


class Invitations(Protocol):
    """The invitations of all tenants."""

    async def get(self, tenant: UUID, invitation: UUID, *, lock: bool = False) -> Invitation | None:
        """Return an invitation of a tenant."""
        ...

    async def shown(self, hash_: bytes, *, lock: bool = False) -> Invitation | None:
        """Return the invitation whose token has this SHA-256."""
        ...

    async def open(self, tenant: UUID, email: str) -> Invitation | None:
        """Return the invitation of an address that was neither accepted nor revoked; locked."""
        ...

    async def list(self, tenant: UUID, ask: PageAsk) -> Slice[Invitation]:
        """Return a part of a tenant's invitations, newest first."""
        ...

    async def waiting(self, tenant: UUID, role: str, now: datetime) -> int:
        """Return how many invitations with a role can still be accepted."""
        ...

    async def put(self, invitation: Invitation) -> None:
        """Store an invitation; InvitationPending if its address has another open one."""
        ...
