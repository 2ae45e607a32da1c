"""What iam asks of the store about who was given a role, and about guests."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from iam.domain.external import Line
from iam.domain.grants import Grant, Where


@dataclass(frozen=True, slots=True)
class Turned:
    """That a role which was given for a time has begun for somebody, or has ended. `kind`: what they are."""

    principal: UUID
    tenant: UUID
    role: str
    ended: bool
    kind: str = "user"
    scope: str = "tenant"


class Bindings(Protocol):
    """What roles were given to principals of any kind: users, groups and accounts."""

    async def of(self, tenant: UUID, principal: UUID) -> Sequence[Grant]:
        """Return what was given to a principal itself in a tenant."""
        ...

    async def put(self, tenant: UUID, principal: UUID, grants: Sequence[Grant]) -> None:
        """Let a principal hold exactly these in a tenant."""
        ...

    async def at(self, tenant: UUID, where: Where) -> Sequence[UUID]:
        """Return to whom anything was given at a project or a thing."""
        ...

    async def clear(self, tenant: UUID, where: Where) -> None:
        """Take everything back that was given at a project or a thing."""
        ...

    async def holders(self, role: str) -> Sequence[UUID]:
        """Return to whom a role was given at all, wherever."""
        ...

    async def reached(self, principals: Collection[UUID]) -> Sequence[UUID]:
        """Return these principals, and who is in them at most ten steps away if they are groups."""
        ...

    async def through(self, group: UUID) -> Sequence[Grant]:
        """Return what being in a group gives: what it and the groups that it is in were given."""
        ...

    async def matter(self, group: UUID) -> bool:
        """Tell whether being in a group, or in what it is in, gives any role."""
        ...

    async def turned(self, now: datetime, limit: int) -> Sequence[Turned]:
        """Note that roles have begun or ended by now, drop the ended; return whose, each once."""
        ...


class External(Protocol):
    """What outside groups mean: which role comes with which value of a claim."""

    async def all(self, tenant: UUID, limit: int, idp: str = "") -> Sequence[Line]:
        """Return the first lines of a tenant, of one identity provider if it is named."""
        ...

    async def get(self, tenant: UUID, line: UUID) -> Line | None:
        """Return one line of a tenant."""
        ...

    async def put(self, line: Line) -> None:
        """Store a line; LineTaken if another says the same."""
        ...

    async def drop(self, line: UUID) -> None:
        """Forget a line."""
        ...

    async def naming(self, role: str) -> int:
        """Return how many lines give a role."""
        ...


class Guests(Protocol):
    """Who may act in a tenant beyond their own."""

    async def add(self, user: UUID, tenant: UUID, by: str, now: datetime) -> None:
        """Make a user a guest of a tenant; AlreadyMember if they are one."""
        ...

    async def remove(self, user: UUID, tenant: UUID) -> None:
        """Make a user no guest any more; what they were given there is gone with it."""
        ...

    async def of(self, tenant: UUID) -> Sequence[UUID]:
        """Return the guests of a tenant, by id."""
        ...
