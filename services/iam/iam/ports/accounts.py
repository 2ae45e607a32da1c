"""What iam asks of the store about whoever logs in."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from iam.domain.account import Account


class Accounts(Protocol):
    """The accounts of all users who are not deleted."""

    async def named(self, login: str, subdomain: str | None, limit: int) -> Sequence[Account]:
        """Return who may be meant by a name or an address, the platform's own and the oldest first.

        With a subdomain: who is in that tenant, its own before its guests.
        """
        ...

    async def get(self, tenant: UUID, user: UUID) -> Account | None:
        """Return an account as it is used in a tenant, locked until the work ends."""
        ...

    async def logged_in(self, user: UUID, at: datetime, rehashed: str | None) -> None:
        """Note a login, and a better hash of the same password if there is one."""
        ...
