"""Guests: users of one tenant who may act in another, with the roles that they are given there."""

from dataclasses import dataclass, replace
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor
from chassis.pages import PageAsk, Slice
from iam.domain.authority import Kind
from iam.domain.errors import TenantNotFound, UserNotFound
from iam.domain.grants import Window
from iam.domain.names import folded
from iam.domain.reach_errors import AlreadyMember, InvitedAnother, PlatformOnly
from iam.domain.roles import DEFAULT, Role
from iam.domain.tenant import Tenant
from iam.domain.user import User, must_hold
from iam.ports import Means, OpenWork, UserQuery, Work
from iam.usecases.dismissing import dismissed
from iam.usecases.facts import guest_fact, invitation_fact
from iam.usecases.giving import chosen, locked_in
from iam.usecases.invitations import opened_by, role_of


@dataclass(frozen=True, slots=True)
class Guests:
    """Everything one can do about being in a tenant that is not one's own. The account belongs to its home."""

    work: OpenWork
    means: Means

    async def list(self, caller: Caller, tenant: UUID, ask: PageAsk) -> Slice[User]:
        """Return a part of the guests of a tenant, as they are there."""
        caller.must("user:read")
        _must_reach(caller, tenant)
        async with self.work() as work:
            if await work.tenants.get(tenant) is None:
                raise TenantNotFound("there is no such tenant")
            return await work.users.list(UserQuery(tenant=tenant, guests=True), ask)

    async def add(self, caller: Caller, tenant: UUID, user: UUID, role: str = DEFAULT) -> User:
        """Make a user of any tenant a guest of another. Only the platform knows both; others invite."""
        caller.must("user:create")
        _must_reach(caller, tenant)
        if not caller.platform:
            raise PlatformOnly("only the platform knows other tenants' users; invite them instead")
        async with self.work() as work:
            await _open(work, tenant)
            known = await work.users.get(None, user, lock=True)
            if known is None:
                raise UserNotFound("there is no such user")
            (given,) = await chosen(work, tenant, [role])
            must_hold(caller, frozenset() if given.id == DEFAULT else given.permissions)
            return await self._enter(work, caller, known, tenant, given)

    async def join(self, caller: Caller, token: str) -> User:
        """Accept an invitation with the account that one is logged in with, which is of the invited address."""
        person = caller.must_be_person()
        async with self.work() as work:
            invitation = await opened_by(work, token, self.means.now(), lock=True)
            known = await work.users.get(None, person, lock=True)
            if known is None or folded(known.email) != folded(invitation.email):
                raise InvitedAnother(
                    "the invitation is for another address; log in with its account"
                )
            await _open(work, invitation.tenant)
            role = await role_of(work, invitation)
            guest = await self._enter(work, caller, known, invitation.tenant, role)
            accepted = invitation.accepted(person, self.means.now())
            await work.invitations.put(accepted)
            work.record(invitation_fact(Actor.of(caller), "accepted", accepted))
            return guest

    async def remove(self, caller: Caller, tenant: UUID, user: UUID) -> None:
        """Let a guest go; everybody may leave. Their account stays as it is."""
        caller.must_be_person_or("user:delete")
        if str(user) != caller.subject:
            caller.must("user:delete")
            _must_reach(caller, tenant)
        async with self.work() as work:
            guest = await locked_in(work, tenant, user)
            if not guest.guest:
                raise UserNotFound("there is no such guest")
            await dismissed(work, caller, guest, self.means.now())

    async def _enter(
        self, work: Work, caller: Caller, user: User, tenant: UUID, role: Role
    ) -> User:
        if user.tenant == tenant:
            raise AlreadyMember("the user is in this organization already")
        await work.guests.add(user.id, tenant, caller.subject, self.means.now())
        there = replace(user, tenants=(*user.tenants, tenant)).within(tenant)
        guest = there.given(role, Window(granted_by=caller.subject), self.means.now())
        await work.users.put(guest)
        work.changed(Kind.SUBJECT, str(user.id))
        work.record(guest_fact(Actor.of(caller), "added", guest))
        return guest


async def _open(work: Work, tenant: UUID) -> Tenant:
    """Return a tenant whose users cannot change meanwhile."""
    found = await work.tenants.get(tenant, lock=True)
    if found is None:
        raise TenantNotFound("there is no such tenant")
    return found


def _must_reach(caller: Caller, tenant: UUID) -> None:
    if tenant != caller.tenant and not caller.platform:
        raise TenantNotFound("there is no such tenant")
