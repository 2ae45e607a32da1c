"""What iam asks of the store about users."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from chassis.pages import PageAsk, Slice
from iam.domain.user import User


@dataclass(frozen=True, slots=True, kw_only=True)
class UserQuery:
    """Which users are wanted: of a tenant, its guests too, or of all if None.

    `sort` is created_at, updated_at or email, with - for descending. `brief`: only active ones, found by their names
    and not by their addresses. `guests`: only these.
    """

    tenant: UUID | None
    search: str = ""
    sort: str = "created_at"
    brief: bool = False
    guests: bool = False


class Users(Protocol):
    """The users of all tenants. Deleted ones are not found by anything here."""

    async def get(self, tenant: UUID | None, user: UUID, *, lock: bool = False) -> User | None:
        """Return a user as they are in a tenant of theirs; in their own one if None."""
        ...

    async def list(self, query: UserQuery, ask: PageAsk) -> Slice[User]:
        """Return a part of a tenant's users, each as they are there."""
        ...

    async def administrators(self, tenant: UUID, without: UUID | None) -> int:
        """Return how many active administrators, for good, a tenant has beside one user; guests and groups count."""
        ...

    async def counts(self, tenant: UUID) -> Mapping[str, int]:
        """Return to how many users of a tenant each role, by its id, was given in all of it."""
        ...

    async def put(self, user: User) -> None:
        """Store a user with their grants, of a guest these only; EmailTaken or UsernameTaken on a clash."""
        ...
