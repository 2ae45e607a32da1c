"""The people of an organization, as its administrators see them: what `Users` does, with the organization named."""

from dataclasses import dataclass
from uuid import UUID

from chassis.caller import Caller
from chassis.pages import PageAsk, Slice
from iam.domain.errors import TenantNotFound, UserNotFound
from iam.domain.user import User
from iam.ports import OpenWork, UserQuery
from iam.usecases.organizations import must_be_own
from iam.usecases.users import UserChange, Users


@dataclass(frozen=True, slots=True)
class Members:
    """What one can do to the users of an organization."""

    work: OpenWork
    users: Users

    async def list(self, caller: Caller, query: UserQuery, ask: PageAsk) -> Slice[User]:
        """Return a part of the users of the caller's organization; of any to whoever reaches the platform."""
        caller.must("user:read")
        must_be_own(caller, query.tenant)
        return await self._listed(query, ask)

    async def within_tenant(self, caller: Caller, query: UserQuery, ask: PageAsk) -> Slice[User]:
        """Return the same, but of a tenant that is not there for whoever cannot reach it."""
        caller.must("user:read")
        if query.tenant != caller.tenant and not caller.platform:
            raise TenantNotFound("there is no such organization")
        return await self._listed(query, ask)

    async def update(
        self, caller: Caller, organization: UUID, user: UUID, change: UserChange
    ) -> User:
        """Change a user of an organization."""
        caller.must("user:update")
        must_be_own(caller, organization)
        await self._member(organization, user)
        return await self.users.update(caller, user, change)

    async def deactivate(self, caller: Caller, organization: UUID, user: UUID) -> User:
        """Keep a user of an organization from logging in; what they made stays theirs. A guest is removed from it."""
        caller.must("user:delete")
        must_be_own(caller, organization)
        member = await self._member(organization, user)
        if member.guest:
            await self.users.delete(caller, user, None)
            return member
        return await self.users.update(caller, user, UserChange(fields={"active": False}))

    async def _listed(self, query: UserQuery, ask: PageAsk) -> Slice[User]:
        async with self.work() as work:
            if query.tenant and await work.tenants.get(query.tenant) is None:
                raise TenantNotFound("there is no such organization")
            return await work.users.list(query, ask)

    async def _member(self, organization: UUID, user: UUID) -> User:
        async with self.work() as work:
            found = await work.users.get(organization, user)
        if found is None:
            raise UserNotFound("there is no such user")
        return found
