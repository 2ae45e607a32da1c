"""Roles and permissions over REST."""

from typing import Annotated

from chassis.http import Asking, View, doors, given, needs
from iam.domain.permissions import Permission
from iam.domain.roles import Role
from iam.usecases.roles import Roles

router = doors("/api/v1", "roles")
Uses = Annotated[Roles, given(Roles)]


class PermissionView(View):
    """One permission; `module` is the kind of thing that it is about."""

    id: str
    name: str
    module: str


class RoleView(View):
    """A role. System roles cannot be changed; `user_count` counts your tenant's users."""

    id: str
    name: str
    display_name: str
    description: str
    permissions: list[PermissionView]
    is_system_role: bool
    user_count: int


def permission_view(permission: Permission) -> PermissionView:
    """Return a permission as clients see it."""
    return PermissionView(id=permission.id, name=permission.id, module=permission.module)


def view(role: Role, count: int) -> RoleView:
    """Return a role as clients see it."""
    return RoleView(
        id=role.id,
        name=role.id,
        display_name=role.name,
        description=role.description,
        permissions=[permission_view(Permission(p)) for p in sorted(role.permissions)],
        is_system_role=True,
        user_count=count,
    )


@router.get("/permissions", **needs("role:read"))
async def list_permissions(caller: Asking, roles: Uses) -> list[PermissionView]:
    """List every permission that there is."""
    return [permission_view(p) for p in roles.permissions(caller)]


@router.get("/roles", **needs("role:read"))
async def list_roles(caller: Asking, roles: Uses) -> list[RoleView]:
    """List the roles that users of your tenant can have."""
    return [view(role, count) for role, count in await roles.list(caller)]
