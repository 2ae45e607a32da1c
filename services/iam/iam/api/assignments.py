"""Over REST: which role whom was given, from a role's side and from a user's."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Path
from pydantic import Field

from chassis.caller import Caller
from chassis.http import Asking, Body, Id, Instant, View, doors, given, needs
from iam.api.fields import Note, RoleName
from iam.api.roles import RoleId
from iam.domain.user import Grant, Window
from iam.usecases.assignments import Assignments

router = doors("/api/v1", "roles")
Uses = Annotated[Assignments, given(Assignments)]
TenantId = Annotated[UUID, Path(description="The tenant's UUID")]
UserId = Annotated[UUID, Path(description="The user's UUID")]


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
    """One role that a user was given; `is_active` tells whether it holds now."""

    role_id: str
    role: str
    scope: str
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
        scope=grant.scope,
        is_active=bool(grant.held),
        not_before=grant.not_before,
        expires_at=grant.expires_at,
        granted_by=grant.granted_by,
        reason=grant.reason,
    )


@router.get("/roles/{role_id}/users", **needs("role:read"))
async def list_users(role_id: RoleId, caller: Asking, assignments: Uses) -> UserIdsView:
    """List the users of your tenant who were given a role."""
    return UserIdsView(user_ids=list(await assignments.users(caller, role_id)))


@router.put("/roles/{role_id}/users", **needs("role:assign_users"))
async def put_users(
    role_id: RoleId, body: UserIds, caller: Asking, assignments: Uses
) -> UserIdsView:
    """Give a role to exactly these users, and take it from all others."""
    return UserIdsView(user_ids=list(await assignments.put_users(caller, role_id, body.user_ids)))


@router.get("/tenants/{tenant_id}/users/{user_id}/roles", **needs("role:read"))
async def list_roles(
    tenant_id: TenantId, user_id: UserId, caller: Asking, assignments: Uses
) -> list[GrantView]:
    """List what roles a user was given, and for how long."""
    return [view(grant) for grant in await assignments.of_user(caller, tenant_id, user_id)]


@router.post(
    "/tenants/{tenant_id}/users/{user_id}/roles", status_code=204, **needs("role:assign_users")
)
async def give(
    tenant_id: TenantId, user_id: UserId, body: GivenBody, caller: Asking, assignments: Uses
) -> None:
    """Give a user a role, perhaps only for a time."""
    await assignments.give(caller, tenant_id, user_id, body.role_id, body.window(caller))


@router.put(
    "/tenants/{tenant_id}/users/{user_id}/roles/{role_id}",
    status_code=204,
    **needs("role:assign_users"),
)
async def put(
    tenant_id: TenantId,
    user_id: UserId,
    role_id: RoleId,
    caller: Asking,
    assignments: Uses,
    body: WindowBody | None = None,
) -> None:
    """Give a user a role; again means: with this window from now on."""
    window = (body or WindowBody()).window(caller)
    await assignments.give(caller, tenant_id, user_id, role_id, window)


@router.delete(
    "/tenants/{tenant_id}/users/{user_id}/roles/{role_id}",
    status_code=204,
    **needs("role:assign_users"),
)
async def take(
    tenant_id: TenantId, user_id: UserId, role_id: RoleId, caller: Asking, assignments: Uses
) -> None:
    """Take a role from a user."""
    await assignments.take(caller, tenant_id, user_id, role_id)
