"""What every use-case does that gives or takes roles: find whom and what, keep both still, and check the change."""

from collections.abc import Iterable
from uuid import UUID

from chassis.caller import Caller
from iam.domain.errors import UnknownRole, UserNotFound, UserStale
from iam.domain.roles import SYSTEM, Role
from iam.domain.user import User, check_change
from iam.ports import Work


async def found(work: Work, caller: Caller, user: UUID, *, lock: bool = False) -> User:
    """Return a user of the caller's tenant; of any tenant to whoever reaches the whole platform."""
    reach = None if caller.platform else caller.tenant
    if known := await work.users.get(reach, user, lock=lock):
        return known
    raise UserNotFound("there is no such user")


async def locked(work: Work, caller: Caller, user: UUID, expected: int | None = None) -> User:
    """Return a user who cannot change meanwhile, in a tenant whose administrators and roles cannot either."""
    known = await found(work, caller, user)
    await work.tenants.get(known.tenant, lock=True)
    known = await found(work, caller, user, lock=True)
    if expected is not None and expected != known.version:
        raise UserStale(f"the user is at version {known.version}; read it again")
    return known


async def checked(work: Work, caller: Caller, before: User, after: User) -> None:
    """Refuse a change of a user that must not be."""
    others = await work.users.administrators(before.tenant, without=before.id)
    check_change(caller, before, after, others)


async def chosen(work: Work, tenant: UUID, names: Iterable[str]) -> list[Role]:
    """Return the roles meant by names or ids, kept from being deleted until the work ends; UnknownRole otherwise."""
    return [await _meant(work, tenant, name) for name in dict.fromkeys(names)]


async def _meant(work: Work, tenant: UUID, name: str) -> Role:
    if role := SYSTEM.get(name) or await own_role(work, tenant, name, keep=True):
        return role
    role = await work.roles.named(tenant, name, keep=True)
    if role is None:
        raise UnknownRole(f"there is no role {name!r}; GET /api/v1/roles lists them")
    return role


async def own_role(
    work: Work, tenant: UUID | None, id_: str, *, lock: bool = False, keep: bool = False
) -> Role | None:
    """Return the role of a tenant (of any if None) with this id, if it is the id of one."""
    try:
        role = UUID(id_)
    except ValueError:
        return None
    return await work.roles.get(tenant, role, lock=lock, keep=keep)
