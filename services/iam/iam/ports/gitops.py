"""What the gitops doors ask of the store."""

from collections.abc import Collection as Collections
from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from chassis.pages import PageAsk, Slice
from iam.domain.acl import Acl
from iam.domain.gitops import Collection, Entity, EntityQuery


class Entities(Protocol):
    """What /global keeps, users with it. Deleted things are found by `dump` only."""

    async def get(self, tenant: UUID | None, collection: Collection, id_: UUID) -> Entity | None:
        """Return a thing by its id, of a tenant or of any if None."""
        ...

    async def named(self, tenant: UUID, collection: Collection, key: str) -> Entity | None:
        """Return a thing by its key."""
        ...

    async def last(self, collection: Collection, id_: UUID) -> Entity | None:
        """Return a thing as it is, or as it was when it was deleted."""
        ...

    async def list(self, query: EntityQuery, ask: PageAsk) -> Slice[Entity]:
        """Return a part of a collection, the oldest first, briefly: without annotations and ACLs. It is not counted."""
        ...

    async def put(self, entity: Entity, lent: Acl) -> None:
        """Store a thing (of a user: what is not in `users`); KeyTaken on a clash. `lent` is its parent's list.

        What the thing governs becomes visible to whom its list now says.
        """
        ...

    async def principals(self, tenant: UUID, keys: Sequence[str]) -> Mapping[str, UUID]:
        """Return who is meant by the keys (or ids) of principals; who is not there is missing."""
        ...

    async def keys(self, tenant: UUID, ids: Collections[UUID]) -> Mapping[UUID, str]:
        """Return how live things of a tenant are called."""
        ...

    async def last_keys(self, ids: Collections[UUID]) -> Mapping[UUID, str]:
        """Return how things of any tenant are called, or were when they were deleted."""
        ...

    async def principals_of(self, ids: Collections[UUID]) -> Sequence[Entity]:
        """Return the live users, groups and accounts with these ids, of all tenants."""
        ...

    async def groups(self, principal: UUID, depth: int) -> frozenset[UUID]:
        """Return the live groups that somebody is in, at most so many steps away; circles do no harm."""
        ...

    async def tied(self, to: UUID) -> Sequence[Entity]:
        """Return what is governed by a thing, and the memberships that it has as a principal."""
        ...

    async def holders(self, permission: str) -> Sequence[UUID]:
        """Return the live users who hold a super-permission, the oldest first."""
        ...

    async def pictured(self, avatars: Sequence[str]) -> frozenset[str]:
        """Return those of the avatars that a live thing has."""
        ...

    async def faded(self, limit: int) -> Sequence[str]:
        """Return some avatars of what was deleted."""
        ...

    async def unpicture(self, avatars: Sequence[str]) -> None:
        """Forget avatars of what was deleted."""
        ...

    async def dump(self, collection: Collection, limit: int) -> Sequence[Entity]:
        """Return the first things of a collection in all tenants, the deleted ones with them."""
        ...
