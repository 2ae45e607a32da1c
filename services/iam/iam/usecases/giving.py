"""What every use-case does that gives or takes roles: find whom and what, keep both still, and check the change."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from chassis.errors import Forbidden
from iam.domain.authority import Kind
from iam.domain.errors import LastAdmin, MoreThanYouHold, TenantNotFound, UserNotFound, UserStale
from iam.domain.gitops import C
from iam.domain.grant_errors import UnknownRole
from iam.domain.grants import PLATFORM, Grant, Where
from iam.domain.reach_errors import PlatformOnly, ProjectUnknown
from iam.domain.roles import SYSTEM, Role
from iam.domain.user import User, check_change, must_hold
from iam.ports import Work
from iam.usecases.gitops_asker import recognised

Place = tuple[UUID, Where]  # a tenant, and a scope in it


async def found(work: Work, caller: Caller, user: UUID, *, lock: bool = False) -> User:
    """Return a user as they are in the caller's tenant; at home to whoever reaches the whole platform."""
    known = await work.users.get(caller.tenant, user, lock=lock)
    if known is None and caller.platform:
        known = await work.users.get(None, user, lock=lock)
    if known is None:
        raise UserNotFound("there is no such user")
    return known


async def locked(work: Work, caller: Caller, user: UUID, expected: int | None = None) -> User:
    """Return a user who cannot change meanwhile, in a tenant whose administrators and roles cannot either."""
    known = await found(work, caller, user)
    return await locked_in(work, known.tenant, user, expected)


async def locked_in(work: Work, tenant: UUID, user: UUID, expected: int | None = None) -> User:
    """Return the same of a user as they are in a tenant that is known."""
    await work.tenants.get(tenant, lock=True)
    known = await work.users.get(tenant, user, lock=True)
    if known is None:
        raise UserNotFound("there is no such user")
    if expected is not None and expected != known.version:
        raise UserStale(f"the user is at version {known.version}; read it again")
    return known


async def checked(work: Work, caller: Caller, before: User, after: User) -> None:
    """Refuse a change of a user that must not be."""
    others = await work.users.administrators(before.tenant, without=before.id)
    check_change(caller, before, after, others)


@asynccontextmanager
async def administered(work: Work, tenant: UUID) -> AsyncGenerator[None]:
    """Refuse what is done within if it leaves a tenant without the administrators that it had."""
    had = await work.users.administrators(tenant, None)
    yield
    if had and not await work.users.administrators(tenant, None):
        raise LastAdmin("the tenant would have no administrator; name another one first")


async def must_there(
    work: Work, caller: Caller, permission: str, place: Place, now: datetime
) -> None:
    """Refuse who lacks a permission at a scope, and in all of its tenant; then, a tenant that is not theirs."""
    tenant, where = place
    if not caller.may(permission):
        asker = await recognised(work, caller, now)
        if where.wide or not asker.holds([permission], tenant, where):
            raise Forbidden(f"Insufficient permissions: {permission} required")
    if tenant != caller.tenant and not caller.platform:
        raise TenantNotFound("there is no such tenant")
    if where == PLATFORM and not caller.platform:
        raise PlatformOnly("what you hold, you hold in your tenant only")


async def must_hold_there(
    work: Work, caller: Caller, tenant: UUID, grants: Iterable[Grant], now: datetime
) -> None:
    """Refuse unless the caller holds, wherever these grants hold, everything that they give now or later."""
    asker = await recognised(work, caller, now)
    for grant in grants:
        for role in grant.given:
            if grant.at.wide:
                must_hold(caller, role.permissions)
            elif not asker.holds(grant.gives(role), tenant, grant.at):
                raise MoreThanYouHold(f"you do not hold all of {role.label} at {grant.at} yourself")


async def must_exist(work: Work, tenant: UUID, where: Where) -> None:
    """Refuse a project that is not there. Things belong to other services: any id may be one."""
    if where.scope != "project":
        return
    if await work.entities.named(tenant, C.PROJECTS, where.id) is None:
        raise ProjectUnknown(f"there is no project {where.id!r} in this tenant")


async def told(work: Work, *principals: UUID) -> None:
    """Let replicas hear of these, and of everybody who is in them if they are groups."""
    for id_ in await work.bindings.reached(principals):
        work.changed(Kind.SUBJECT, str(id_))


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
