"""Users over REST."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Path, Query, Request, Response
from pydantic import Field

from chassis.caller import Caller
from chassis.http import (
    TAGGED,
    Asking,
    Body,
    Expected,
    Page,
    Paging,
    View,
    anybody,
    doors,
    etag,
    given,
    needs,
)
from iam.api.fields import Email, Password, Patch, PersonName, RoleName, Username
from iam.api.tags import shown
from iam.domain.roles import DEFAULT
from iam.domain.tenant import Tenant
from iam.domain.user import User
from iam.ports import UserQuery
from iam.usecases.logins import Logins
from iam.usecases.users import NewUser, UserChange, Users

router = doors("/api/v1/users", "users")
Uses = Annotated[Users, given(Users)]
Entering = Annotated[Logins, given(Logins)]
UserId = Annotated[UUID, Path(description="The user's UUID")]
Sort = Literal["created_at", "-created_at", "updated_at", "-updated_at", "email", "-email"]


@dataclass(frozen=True, slots=True)
class Which:
    """Which users are wanted, and in which order."""

    search: str
    sort: Sort


async def _which(
    search: Annotated[str, Query(max_length=200)] = "", sort: Sort = "created_at"
) -> Which:
    return Which(search, sort)


Listing = Annotated[Which, Depends(_which)]
Whose = Annotated[UUID | Literal["all"] | None, Query(description="A tenant's UUID, or all")]


def tenant_of(caller: Caller, whose: UUID | Literal["all"] | None) -> UUID | None:
    """Return the tenant that is meant, the caller's if none is named; None for all."""
    return None if whose == "all" else whose or caller.tenant


RoleNames = Annotated[list[RoleName], Field(min_length=1, max_length=20)]


class UserBody(Body):
    """A new user. Without `roles` they have the role `user`."""

    email: Email
    password: Password
    first_name: PersonName = ""
    last_name: PersonName = ""
    username: Username | None = None
    is_active: bool = True
    roles: RoleNames = Field(default_factory=lambda: [DEFAULT])


class UserPatch(Patch):
    """What shall be different about a user; what is not sent stays."""

    nullable = frozenset({"username"})

    email: Email | None = None
    username: Username | None = None
    first_name: PersonName | None = None
    last_name: PersonName | None = None
    is_active: bool | None = None
    roles: RoleNames | None = None

    def change(self, expected: int | None) -> UserChange:
        """Return the change that is asked for."""
        fields: dict[str, Any] = self.model_dump(include=self.model_fields_set - {"roles"})
        if "is_active" in fields:
            fields["active"] = fields.pop("is_active")
        return UserChange(fields=fields, roles=self.roles, expected=expected)


class UserView(View):
    """A user, as they are in the tenant. `role` is the mightiest of `roles`; a guest's account is another tenant's."""

    id: UUID
    email: str
    username: str | None
    first_name: str
    last_name: str
    is_active: bool
    is_guest: bool
    is_superuser: bool
    role: str
    roles: list[str]
    tenant_id: UUID
    created_at: datetime
    updated_at: datetime
    last_login_at: datetime | None
    version: int


class OwnPatch(Patch):
    """What shall be different about yourself. Your address, role and organization are others' to change."""

    nullable = frozenset({"username"})

    username: Username | None = None
    first_name: PersonName | None = None
    last_name: PersonName | None = None


class BriefView(View):
    """A user as colleagues see them who may not read users."""

    id: UUID
    username: str | None
    first_name: str
    last_name: str


class BriefPage(Page[BriefView]):
    """A part of a list of colleagues: numbered (`total`, `page`, `limit`) or by cursor (`has_more`)."""


class UserPage(Page[UserView]):
    """A part of a list of users: numbered (`total`, `page`, `limit`) or by cursor (`has_more`)."""


class MeView(UserView):
    """The one who is logged in, where, and with which permissions."""

    permissions: list[str]
    organization_id: UUID
    organization_name: str
    organization_subdomain: str


def view(user: User) -> UserView:
    """Return a user as clients see them."""
    return UserView(**_fields(user))


def brief(user: User) -> BriefView:
    """Return a user as their colleagues see them."""
    return BriefView.model_validate(user)


def me_view(user: User, tenant: Tenant) -> MeView:
    """Return a user as they see themselves."""
    return MeView(
        **_fields(user),
        permissions=sorted(user.permissions),
        organization_id=tenant.id,
        organization_name=tenant.name,
        organization_subdomain=tenant.subdomain,
    )


def _fields(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "is_active": user.active,
        "is_guest": user.guest,
        "is_superuser": user.platform and "super_admin" in user.roles,
        "role": next(iter(user.roles), ""),
        "roles": list(user.roles),
        "tenant_id": user.tenant,
        "created_at": user.created_at,
        "updated_at": user.updated_at,
        "last_login_at": user.last_login_at,
        "version": user.version,
    }


@router.get("/me", **anybody())
async def me(caller: Asking, logins: Entering, response: Response) -> MeView:
    """Return who is logged in, with what they may do.

    The ETag is for `If-Match`; the answer is always whole, as what you may do can change without your account.
    """
    user, tenant = await logins.me(caller)
    response.headers["etag"] = etag(user.version)
    return me_view(user, tenant)


@router.patch("/me", **anybody())
async def update_me(
    body: OwnPatch,
    caller: Asking,
    users: Uses,
    logins: Entering,
    expected: Expected,
    response: Response,
) -> MeView:
    """Change your own names."""
    fields = body.model_dump(include=body.model_fields_set)
    user = await users.update_own(caller, fields, expected)
    response.headers["etag"] = etag(user.version)
    return me_view(*await logins.me(caller))


@router.get("", response_model=UserPage | BriefPage, response_model_exclude_unset=True, **anybody())
async def list_users(
    caller: Asking, users: Uses, pager: Paging, listing: Listing, tenant: Whose = None
) -> UserPage | BriefPage:
    """List the users of your tenant, its guests too; `search` looks into their names and addresses.

    Without `user:read` you see the names of those who are active. The platform's people choose a `tenant`, or all.
    """
    whose = tenant_of(caller, tenant)
    query = UserQuery(tenant=whose, search=listing.search, sort=listing.sort)
    if not caller.may("user:read"):
        shown = pager.render(await users.directory(caller, query, pager.ask), brief)
        return BriefPage.model_validate(shown)
    return UserPage.model_validate(pager.render(await users.list(caller, query, pager.ask), view))


@router.post("", status_code=201, **needs("user:create"))
async def create(body: UserBody, caller: Asking, users: Uses, response: Response) -> UserView:
    """Make a user in your tenant. You can give only roles whose permissions you hold."""
    new = NewUser(
        email=body.email,
        password=body.password,
        first_name=body.first_name,
        last_name=body.last_name,
        username=body.username,
        active=body.is_active,
        roles=body.roles,
    )
    user = await users.create(caller, new)
    response.headers["location"] = f"/api/v1/users/{user.id}"
    response.headers["etag"] = etag(user.version)
    return view(user)


@router.get("/{user_id}", response_model=UserView | BriefView, responses=TAGGED, **anybody())
async def get(
    user_id: UserId, caller: Asking, users: Uses, request: Request, response: Response
) -> UserView | BriefView | Response:
    """Return one user; without `user:read`, the name of one who is active."""
    whole = caller.may("user:read")
    user = await (users.get(caller, user_id) if whole else users.colleague(caller, user_id))
    return shown(request, response, user.version, view(user) if whole else brief(user))


@router.patch("/{user_id}", **needs("user:update"))
async def update(
    user_id: UserId,
    body: UserPatch,
    caller: Asking,
    users: Uses,
    expected: Expected,
    response: Response,
) -> UserView:
    """Change a user, their roles, or whether they may log in."""
    user = await users.update(caller, user_id, body.change(expected))
    response.headers["etag"] = etag(user.version)
    return view(user)


@router.delete("/{user_id}", status_code=204, **needs("user:delete"))
async def delete(user_id: UserId, caller: Asking, users: Uses, expected: Expected) -> None:
    """Delete a user: their sessions end at once, and what they made stays."""
    await users.delete(caller, user_id, expected)
