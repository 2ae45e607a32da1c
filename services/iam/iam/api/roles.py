"""Roles and permissions over REST."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response
from pydantic import Field, StringConstraints

from authz.permissions import Permission, catalogue
from chassis.http import (
    TAGGED,
    Asking,
    Body,
    Expected,
    View,
    doors,
    etag,
    given,
    needs,
)
from iam.api.fields import Note, Patch, PermissionName
from iam.api.tags import shown
from iam.domain.roles import Role
from iam.usecases.roles import NewRole, RoleChange, Roles

router = doors("/api/v1", "roles")
Uses = Annotated[Roles, given(Roles)]
RoleId = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="A system role's slug, or the UUID of your own role",
    ),
]
PermissionId = Annotated[str, Path(pattern=r"^[a-z_]{1,40}(:[a-z_]{1,40})?$")]
OwnName = Annotated[
    str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,100}$", strip_whitespace=True)
]
PermissionIds = Annotated[list[PermissionName], Field(max_length=200)]
_VERSIONS = 10**9


def _tag(role: Role, count: int) -> int:
    """Return the number of an ETag: an answer says how many have the role, which changes without a version."""
    return count * _VERSIONS + role.version


async def _version(expected: Expected) -> int | None:
    return None if expected is None else expected % _VERSIONS


ExpectedVersion = Annotated[int | None, Depends(_version)]


class RoleBody(Body):
    """A role of your own; it can hold only what you hold yourself."""

    name: OwnName
    description: Note = ""
    permission_ids: PermissionIds = Field(default_factory=list[str])


class RolePatch(Patch):
    """What shall be different about a role; what is not sent stays."""

    name: OwnName | None = None
    description: Note | None = None
    permission_ids: PermissionIds | None = None


class PermissionsBody(Body):
    """Permissions, by their ids."""

    permission_ids: Annotated[list[PermissionName], Field(min_length=1, max_length=200)]


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
    created_at: datetime | None
    updated_at: datetime | None
    version: int


def permission_view(permission: Permission) -> PermissionView:
    """Return a permission as clients see it."""
    return PermissionView(id=permission.id, name=permission.id, module=permission.module)


def permission_views(role: Role) -> list[PermissionView]:
    """Return what a role holds, in the order of the catalogue."""
    return [permission_view(p) for p in catalogue() if p.id in role.permissions]


def view(role: Role, count: int) -> RoleView:
    """Return a role as clients see it."""
    return RoleView(
        id=role.id,
        name=role.label,
        display_name=role.name,
        description=role.description,
        permissions=permission_views(role),
        is_system_role=role.system,
        user_count=count,
        created_at=role.created_at,
        updated_at=role.updated_at,
        version=role.version,
    )


@router.get("/permissions", **needs("role:read"))
async def list_permissions(caller: Asking, roles: Uses) -> list[PermissionView]:
    """List every permission that there is."""
    return [permission_view(p) for p in roles.permissions(caller)]


@router.get("/roles", **needs("role:read"))
async def list_roles(
    caller: Asking,
    roles: Uses,
    tenant: Annotated[UUID | None, Query(description="A tenant's UUID")] = None,
) -> list[RoleView]:
    """List the roles that users of your tenant can have: the system's and its own; the platform's people, of any."""
    return [view(role, count) for role, count in await roles.list(caller, tenant)]


@router.post("/roles", status_code=201, **needs("role:create"))
async def create(body: RoleBody, caller: Asking, roles: Uses, response: Response) -> RoleView:
    """Make a role of your tenant. It can hold only permissions that you hold."""
    new = NewRole(name=body.name, description=body.description, permissions=body.permission_ids)
    role = await roles.create(caller, new)
    response.headers["location"] = f"/api/v1/roles/{role.id}"
    response.headers["etag"] = etag(role.version)
    return view(role, 0)


@router.get("/roles/{role_id}", response_model=RoleView, responses=TAGGED, **needs("role:read"))
async def get(
    role_id: RoleId, caller: Asking, roles: Uses, request: Request, response: Response
) -> RoleView | Response:
    """Return one role with its permissions."""
    role, count = await roles.get(caller, role_id)
    return shown(request, response, _tag(role, count), view(role, count))


@router.patch("/roles/{role_id}", **needs("role:update"))
async def update(
    role_id: RoleId,
    body: RolePatch,
    caller: Asking,
    roles: Uses,
    expected: ExpectedVersion,
    response: Response,
) -> RoleView:
    """Change a role of your tenant: at once for everybody who has it."""
    change = RoleChange(
        name=body.name,
        description=body.description,
        permissions=body.permission_ids,
        expected=expected,
    )
    role, count = await roles.update(caller, role_id, change)
    response.headers["etag"] = etag(_tag(role, count))
    return view(role, count)


@router.delete("/roles/{role_id}", status_code=204, **needs("role:delete"))
async def delete(role_id: RoleId, caller: Asking, roles: Uses, expected: ExpectedVersion) -> None:
    """Delete a role of your tenant that nobody has."""
    await roles.delete(caller, role_id, expected)


@router.get("/roles/{role_id}/permissions", **needs("role:read"))
async def list_role_permissions(
    role_id: RoleId, caller: Asking, roles: Uses
) -> list[PermissionView]:
    """List the permissions of a role."""
    role, _ = await roles.get(caller, role_id)
    return permission_views(role)


@router.put("/roles/{role_id}/permissions", status_code=204, **needs("role:update"))
async def put_permissions(
    role_id: RoleId, body: PermissionsBody, caller: Asking, roles: Uses, expected: ExpectedVersion
) -> None:
    """Let a role hold exactly these permissions."""
    change = RoleChange(permissions=body.permission_ids, expected=expected)
    await roles.update(caller, role_id, change)


@router.post("/roles/{role_id}/permissions", status_code=204, **needs("role:update"))
async def add_permissions(
    role_id: RoleId, body: PermissionsBody, caller: Asking, roles: Uses
) -> None:
    """Put permissions into a role."""
    await roles.add(caller, role_id, body.permission_ids)


@router.put("/roles/{role_id}/permissions/{permission_id}", status_code=204, **needs("role:update"))
async def add_permission(
    role_id: RoleId, permission_id: PermissionId, caller: Asking, roles: Uses
) -> None:
    """Put one permission into a role."""
    await roles.add(caller, role_id, [permission_id])


@router.delete(
    "/roles/{role_id}/permissions/{permission_id}", status_code=204, **needs("role:update")
)
async def remove_permission(
    role_id: RoleId, permission_id: PermissionId, caller: Asking, roles: Uses
) -> None:
    """Take one permission out of a role."""
    await roles.remove(caller, role_id, [permission_id])
