"""Over REST: which role whom was given, and where; from a role's side, from a user's, and from any principal's.

`scope` says where: `tenant` (what is meant without it), `platform`, `project:<slug>` or `object:<kind>:<id>`. The paths
of a user are for who assigns roles in all of the tenant; those of a principal also for who does so in one project.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query
from pydantic import Field

from chassis.caller import Caller
from chassis.http import Asking, Body, Id, Instant, View, anybody, doors, given, needs
from iam.api.fields import Note, RoleName
from iam.api.roles import RoleId
from iam.domain.grants import TENANT, Grant, Where, Window
from iam.usecases.assignments import Assignments, To

router = doors("/api/v1", "roles")
Uses = Annotated[Assignments, given(Assignments)]
TenantId = Annotated[UUID, Path(description="The tenant's UUID")]
UserId = Annotated[UUID, Path(description="The user's UUID")]
PrincipalId = Annotated[
    str,
    Path(
        pattern=r"^[^\x00-\x1f\x7f/]{1,254}$",
        description="A user, group or account, by UUID or by key: u_ann, g_ops, sa_ci",
    ),
]
ScopeText = Annotated[
    str | None,
    Query(
        max_length=200,
        description="tenant, platform, project:<slug> or object:<kind>:<id>",
    ),
]


async def _where(scope: ScopeText = None) -> Where | None:
    return None if scope is None else Where.of(scope)


At = Annotated[Where | None, Depends(_where)]


async def _to_user(tenant_id: TenantId, user_id: UserId, where: At) -> To:
    return To(tenant_id, str(user_id), where)


async def _to_principal(tenant_id: TenantId, principal_id: PrincipalId, where: At) -> To:
    return To(tenant_id, principal_id, where)


ToUser = Annotated[To, Depends(_to_user)]
ToPrincipal = Annotated[To, Depends(_to_principal)]


class UserIds(Body):
    """All users who shall have a role."""

    user_ids: Annotated[list[Id], Field(max_length=10_000)]


class UserIdsView(View):
    """All users who have a role."""

    user_ids: list[UUID]


class WindowBody(Body):
    """From when until when, and why. Without a time the role is given now and for good."""

    not_before: Instant | None = None
    expires_at: Instant | None = None
    reason: Note = ""

    def window(self, caller: Caller) -> Window:
        """Return the window in which a caller gives a role."""
        return Window(
            not_before=self.not_before,
            expires_at=self.expires_at,
            granted_by=caller.subject,
            reason=self.reason,
        )


class GivenBody(WindowBody):
    """A role, by id or name, and perhaps from when until when."""

    role_id: RoleName


class GrantView(View):
    """One role that somebody was given; `is_active` tells whether it holds now.

    `source` names the identity provider that it came with, `through` the group that holds it.
    """

    role_id: str
    role: str
    scope: str
    source: str
    through: UUID | None
    is_active: bool
    not_before: datetime | None
    expires_at: datetime | None
    granted_by: str
    reason: str


def view(grant: Grant) -> GrantView:
    """Return a grant as clients see it."""
    return GrantView(
        role_id=grant.role,
        role=next((role.label for role in grant.given), grant.role),
        scope=str(grant.at),
        source=grant.source,
        through=grant.through,
        is_active=bool(grant.held),
        not_before=grant.not_before,
        expires_at=grant.expires_at,
        granted_by=grant.granted_by,
        reason=grant.reason,
    )


@router.get("/roles/{role_id}/users", **needs("role:read"))
async def list_users(role_id: RoleId, where: At, caller: Asking, assignments: Uses) -> UserIdsView:
    """List the users of your tenant who were given a role; at one project or thing if `scope` names it."""
    found = await assignments.users(caller, role_id, where or TENANT)
    return UserIdsView(user_ids=list(found))


@router.put("/roles/{role_id}/users", **needs("role:assign_users"))
async def put_users(
    role_id: RoleId, where: At, body: UserIds, caller: Asking, assignments: Uses
) -> UserIdsView:
    """Give a role to exactly these users, and take it from all others; at one project or thing if named."""
    found = await assignments.put_users(caller, role_id, body.user_ids, where)
    return UserIdsView(user_ids=list(found))


async def list_of_user(to: ToUser, caller: Asking, assignments: Uses) -> list[GrantView]:
    """List what roles a user was given, where, and for how long; also through groups."""
    return [view(grant) for grant in await assignments.of(caller, to)]


async def give_user(to: ToUser, body: GivenBody, caller: Asking, assignments: Uses) -> None:
    """Give a user a role, in all of the tenant or at one project or thing, perhaps only for a time."""
    await assignments.give(caller, to, body.role_id, body.window(caller))


async def put_user(
    to: ToUser,
    role_id: RoleId,
    caller: Asking,
    assignments: Uses,
    body: WindowBody | None = None,
) -> None:
    """Give a user a role; again means: with this window from now on."""
    await assignments.give(caller, to, role_id, (body or WindowBody()).window(caller))


async def take_user(to: ToUser, role_id: RoleId, caller: Asking, assignments: Uses) -> None:
    """Take a role from a user."""
    await assignments.take(caller, to, role_id)


async def list_of(to: ToPrincipal, caller: Asking, assignments: Uses) -> list[GrantView]:
    """List what roles a user, a group or an account was given, where, and for how long."""
    return [view(grant) for grant in await assignments.of(caller, to)]


async def give(to: ToPrincipal, body: GivenBody, caller: Asking, assignments: Uses) -> None:
    """Give a user, a group or an account a role; all members of a group hold it, those of groups in it too."""
    await assignments.give(caller, to, body.role_id, body.window(caller))


async def put(
    to: ToPrincipal,
    role_id: RoleId,
    caller: Asking,
    assignments: Uses,
    body: WindowBody | None = None,
) -> None:
    """Give a user, a group or an account a role; again means: with this window from now on."""
    await assignments.give(caller, to, role_id, (body or WindowBody()).window(caller))


async def take(to: ToPrincipal, role_id: RoleId, caller: Asking, assignments: Uses) -> None:
    """Take a role from a user, a group or an account."""
    await assignments.take(caller, to, role_id)


_USER = "/tenants/{tenant_id}/users/{user_id}/roles"
_ANY = "/tenants/{tenant_id}/principals/{principal_id}/roles"
router.get(_USER, **needs("role:read"))(list_of_user)
router.post(_USER, status_code=204, **needs("role:assign_users"))(give_user)
router.put(_USER + "/{role_id}", status_code=204, **needs("role:assign_users"))(put_user)
router.delete(_USER + "/{role_id}", status_code=204, **needs("role:assign_users"))(take_user)
router.get(_ANY, **anybody())(list_of)
router.post(_ANY, status_code=204, **anybody())(give)
router.put(_ANY + "/{role_id}", status_code=204, **anybody())(put)
router.delete(_ANY + "/{role_id}", status_code=204, **anybody())(take)
