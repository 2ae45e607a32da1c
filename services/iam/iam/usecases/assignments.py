"""Who has which role: giving roles to people and taking them back."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor
from iam.domain.authority import Kind
from iam.domain.errors import RoleNotHeld, TenantNotFound, TooManyRows, UnknownUser, UserNotFound
from iam.domain.roles import Role
from iam.domain.user import Grant, User, Window
from iam.ports import Means, OpenWork, Work
from iam.usecases.facts import SYSTEM as IAM
from iam.usecases.facts import assignment_fact, expiry_fact
from iam.usecases.giving import checked, chosen, found, locked
from iam.usecases.roles import MOST_BARE, role_of

TURNED = 1000  # roles whose time has come or gone, looked at in one transaction


@dataclass(frozen=True, slots=True)
class Assignments:
    """Gives only what the giver holds, to whom they could change anyhow, and never takes a tenant's last admin."""

    work: OpenWork
    means: Means

    async def users(self, caller: Caller, role: str) -> Sequence[UUID]:
        """Return to whom in its tenant (the caller's, for a system role) a role was given."""
        caller.must("role:read")
        async with self.work() as work:
            known = await role_of(work, caller, role)
            return await _holders(work, caller, known)

    async def put_users(self, caller: Caller, role: str, users: Sequence[UUID]) -> Sequence[UUID]:
        """Give a role to exactly these users of its tenant, and take it from all others; all of it or nothing."""
        caller.must("role:assign_users")
        async with self.work() as work:
            home = (await role_of(work, caller, role)).tenant or caller.tenant
            await work.tenants.get(home, lock=True)
            (known,) = await chosen(work, home, [role])
            had = set(await _holders(work, caller, known))
            for user in sorted(set(users) ^ had):
                before = await work.users.get(home, user, lock=True)
                if before is None:
                    raise UnknownUser(f"there is no user {user} in this tenant")
                after = before.without(known) if user in had else self._given(caller, before, known)
                await self._put(work, caller, known, before, after)
            return await _holders(work, caller, known)

    async def of_user(self, caller: Caller, tenant: UUID, user: UUID) -> Sequence[Grant]:
        """Return what was given to a user of a tenant."""
        caller.must("role:read")
        async with self.work() as work:
            return (await self._there(work, caller, tenant, user)).grants

    async def give(
        self, caller: Caller, tenant: UUID, user: UUID, role: str, window: Window
    ) -> None:
        """Give a role to a user of a tenant, for a time if the window says so; again means: with this window."""
        caller.must("role:assign_users")
        async with self.work() as work:
            await self._there(work, caller, tenant, user)
            before = await locked(work, caller, user)
            (known,) = await chosen(work, tenant, [role])
            after = before.given(known, window, self.means.now())
            await self._put(work, caller, known, before, after)

    async def take(self, caller: Caller, tenant: UUID, user: UUID, role: str) -> None:
        """Take a role from a user of a tenant."""
        caller.must("role:assign_users")
        async with self.work() as work:
            await self._there(work, caller, tenant, user)
            before = await locked(work, caller, user)
            (known,) = await chosen(work, tenant, [role])
            if not before.holds(known):
                raise RoleNotHeld("the user does not have this role")
            await self._put(work, caller, known, before, before.without(known))

    async def turn(self) -> int:
        """Tell replicas of roles that have begun or ended by themselves; return how many. A job, not a verb."""
        async with self.work() as work:
            turned = await work.roles.turned(self.means.now(), TURNED)
            for one in turned:
                work.changed(Kind.SUBJECT, str(one.user))
                work.record(expiry_fact(IAM, one))
        return len(turned)

    def _given(self, caller: Caller, before: User, role: Role) -> User:
        return before.given(role, Window(granted_by=caller.subject), self.means.now())

    async def _there(self, work: Work, caller: Caller, tenant: UUID, user: UUID) -> User:
        if tenant != caller.tenant and not caller.platform:
            raise TenantNotFound("there is no such tenant")
        known = await found(work, caller, user)
        if known.tenant != tenant:
            raise UserNotFound("there is no such user")
        return known

    async def _put(self, work: Work, caller: Caller, role: Role, before: User, after: User) -> None:
        after = after.changed(self.means.now())
        await checked(work, caller, before, after)
        await work.users.put(after)
        work.changed(Kind.SUBJECT, str(after.id))
        work.record(assignment_fact(Actor.of(caller), role, before, after))


async def _holders(work: Work, caller: Caller, role: Role) -> Sequence[UUID]:
    holders = await work.roles.holders(role.tenant or caller.tenant, role.id, MOST_BARE + 1)
    if len(holders) > MOST_BARE:
        raise TooManyRows(f"more than {MOST_BARE} users have this role")
    return holders
