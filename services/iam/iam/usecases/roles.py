"""Roles and the permissions in them: the system's, and those that a tenant makes for itself."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from authz import permissions
from authz.permissions import Permission
from chassis.caller import Caller
from chassis.facts import Actor
from iam.domain.errors import TooManyRows
from iam.domain.grant_errors import RoleAssigned, RoleNotFound, RoleStale, SystemRole
from iam.domain.reach_errors import PlatformOnly
from iam.domain.roles import SYSTEM, Role, check_name, known_permissions
from iam.domain.user import must_hold
from iam.ports import Means, OpenWork, Work
from iam.usecases.facts import role_fact
from iam.usecases.giving import own_role, told

MOST_BARE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRole:
    """What role shall be made."""

    name: str
    description: str = ""
    permissions: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleChange:
    """What shall be different about a role; None: as it is."""

    name: str | None = None
    description: str | None = None
    permissions: Collection[str] | None = None
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class Roles:
    """What can be given to people. Nobody makes or changes a role that holds more than they do."""

    work: OpenWork
    means: Means

    async def list(self, caller: Caller, tenant: UUID | None = None) -> Sequence[tuple[Role, int]]:
        """Return every role of a tenant, the caller's unless they reach another, with how many of its users have it."""
        caller.must("role:read")
        home = tenant or caller.tenant
        if home != caller.tenant and not caller.platform:
            raise PlatformOnly("you reach your own tenant only")
        async with self.work() as work:
            counts = await work.users.counts(home)
            own = await work.roles.all(home, MOST_BARE + 1)
        if len(own) > MOST_BARE:
            raise TooManyRows(f"there are more than {MOST_BARE} roles")
        return [(role, counts.get(role.id, 0)) for role in (*SYSTEM.values(), *own)]

    def permissions(self, caller: Caller) -> Sequence[Permission]:
        """Return the whole catalogue of permissions."""
        caller.must("role:read")
        return permissions.catalogue()

    async def get(self, caller: Caller, role: str) -> tuple[Role, int]:
        """Return a role, with how many users of its tenant (of the caller's, for a system role) have it."""
        caller.must("role:read")
        async with self.work() as work:
            found = await role_of(work, caller, role)
            counts = await work.users.counts(found.tenant or caller.tenant)
        return found, counts.get(found.id, 0)

    async def create(self, caller: Caller, new: NewRole) -> Role:
        """Make a role of the caller's tenant."""
        caller.must("role:create")
        held, now = known_permissions(new.permissions), self.means.now()
        must_hold(caller, held)
        role = Role(
            id=str(self.means.new_id()),
            name=check_name(new.name),
            description=new.description,
            permissions=held,
            tenant=caller.tenant,
            created_at=now,
            updated_at=now,
        )
        async with self.work() as work:
            await work.roles.put(role)
            work.record(role_fact(Actor.of(caller), "created", None, role))
        return role

    async def update(self, caller: Caller, role: str, change: RoleChange) -> tuple[Role, int]:
        """Change a role; whoever has it holds at once what it holds now."""
        caller.must("role:update")
        sent = change.permissions
        held = None if sent is None else known_permissions(sent)
        async with self.work() as work:
            before = await self._own(work, caller, role, change.expected)
            after = before.changed(
                self.means.now(),
                name=before.name if change.name is None else check_name(change.name),
                description=before.description
                if change.description is None
                else change.description,
                permissions=before.permissions if held is None else held,
            )
            await self._put(work, caller, before, after)
            counts = await work.users.counts(_home(after))
        return after, counts.get(after.id, 0)

    async def add(self, caller: Caller, role: str, names: Iterable[str]) -> Role:
        """Put permissions into a role."""
        caller.must("role:update")
        return await self._turn(caller, role, add=known_permissions(names))

    async def remove(self, caller: Caller, role: str, names: Iterable[str]) -> Role:
        """Take permissions out of a role."""
        caller.must("role:update")
        return await self._turn(caller, role, remove=known_permissions(names))

    async def delete(self, caller: Caller, role: str, expected: int | None) -> None:
        """Delete a role that nobody has."""
        caller.must("role:delete")
        async with self.work() as work:
            before = await self._own(work, caller, role, expected)
            must_hold(caller, before.permissions)
            if await work.external.naming(before.id):
                raise RoleAssigned("an outside group gives this role; drop that line first")
            if await work.bindings.holders(before.id):
                raise RoleAssigned("somebody has this role; take it from them first")
            if await work.invitations.waiting(_home(before), before.id, self.means.now()):
                raise RoleAssigned("somebody was invited with this role; revoke the invitation")
            await work.roles.drop(UUID(before.id))
            work.record(role_fact(Actor.of(caller), "deleted", before, None))

    async def _turn(
        self,
        caller: Caller,
        role: str,
        *,
        add: frozenset[str] = frozenset(),
        remove: frozenset[str] = frozenset(),
    ) -> Role:
        async with self.work() as work:
            before = await self._own(work, caller, role, None)
            held = (before.permissions | add) - remove
            if held == before.permissions:
                return before
            after = before.changed(self.means.now(), permissions=held)
            await self._put(work, caller, before, after)
        return after

    async def _put(self, work: Work, caller: Caller, before: Role, after: Role) -> None:
        must_hold(caller, before.permissions | after.permissions)
        await work.roles.put(after)
        if before.permissions != after.permissions or before.name != after.name:
            await told(work, *await work.bindings.holders(after.id))
        work.record(role_fact(Actor.of(caller), "updated", before, after))

    async def _own(self, work: Work, caller: Caller, role: str, expected: int | None) -> Role:
        """Return a tenant's own role that cannot change, or be given to anybody, meanwhile."""
        found = await role_of(work, caller, role, lock=True)
        if found.system:
            raise SystemRole(f"{role!r} is a system role; make a role of your own instead")
        if expected is not None and expected != found.version:
            raise RoleStale(f"the role is at version {found.version}; read it again")
        return found


async def role_of(work: Work, caller: Caller, role: str, *, lock: bool = False) -> Role:
    """Return a system role, or one of the caller's tenant's own; of any tenant's to whoever reaches the platform."""
    reach = None if caller.platform else caller.tenant
    if known := SYSTEM.get(role) or await own_role(work, reach, role, lock=lock):
        return known
    raise RoleNotFound("there is no such role")


def _home(role: Role) -> UUID:
    assert role.tenant is not None
    return role.tenant
