"""Organizations over REST."""

from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import Field, StringConstraints

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
    public,
)
from chassis.pages import PageAsk
from iam.api.fields import Email, Name, Password, Patch, PersonName, Subdomain, Username
from iam.api.tags import shown
from iam.api.tokens import TokensView, private
from iam.api.tokens import view as tokens_view
from iam.api.users import Listing, UserId, UserPatch, UserView
from iam.api.users import view as user_view
from iam.domain.errors import TooManyRows
from iam.domain.tenant import Tenant
from iam.ports import UserQuery
from iam.usecases.members import Members
from iam.usecases.organizations import Founding, Organizations

Uses = Annotated[Organizations, given(Organizations)]
Text = Annotated[str, StringConstraints(max_length=500)]
Phone = Annotated[str, StringConstraints(max_length=40)]
AddressLine = Annotated[str, StringConstraints(max_length=64)]
Address = Annotated[dict[AddressLine, Text], Field(max_length=20)] | Text
Belonging = Annotated[Members, given(Members)]
Search = Annotated[str, Query(max_length=200)]
MOST_BARE = 10_000
OrganizationId = Annotated[UUID, Path(description="The organization's UUID")]


class OrganizationBody(Body):
    """An organization and its first administrator. `address` is a text, or an object of texts."""

    name: Name
    subdomain: Subdomain
    full_name: Text = ""
    address: Address | None = None
    phone: Phone = ""
    organization_email: Annotated[str, StringConstraints(max_length=254)] = ""
    admin_email: Email
    admin_username: Username | None = None
    admin_password: Password
    admin_first_name: PersonName = ""
    admin_last_name: PersonName = ""

    def founding(self) -> Founding:
        """Return what shall be founded."""
        return Founding(
            subdomain=self.subdomain.lower(),
            name=self.name,
            full_name=self.full_name,
            address=_address(self.address),
            phone=self.phone,
            email=self.organization_email,
            admin_email=self.admin_email,
            admin_username=self.admin_username,
            admin_password=self.admin_password,
            admin_first_name=self.admin_first_name,
            admin_last_name=self.admin_last_name,
        )


class OrganizationPatch(Patch):
    """What shall be different about an organization; what is not sent stays. The subdomain is for ever."""

    name: Name | None = None
    full_name: Text | None = None
    address: Address | None = None
    phone: Phone | None = None
    organization_email: Annotated[str, StringConstraints(max_length=254)] | None = None
    is_active: bool | None = None

    def fields(self) -> dict[str, Any]:
        """Return the change by the names of the fields of a tenant."""
        sent: dict[str, Any] = self.model_dump(include=self.model_fields_set)
        renamed = {"organization_email": "email", "is_active": "active"}
        fields = {renamed.get(name, name): value for name, value in sent.items()}
        return fields | ({"address": _address(fields["address"])} if "address" in fields else {})


def _address(sent: dict[str, str] | str | None) -> dict[str, str]:
    if isinstance(sent, str):
        return {"text": sent} if sent else {}
    return sent or {}


class OrganizationView(View):
    """An organization; a tenant is the same thing. `slug` and `subdomain` are two names of one value."""

    id: UUID
    name: str
    slug: str
    subdomain: str
    full_name: str
    address: dict[str, Any]
    phone: str
    organization_email: str
    is_active: bool
    created_at: datetime
    updated_at: datetime
    version: int


class OrganizationPage(Page[OrganizationView]):
    """A part of a list of tenants: numbered (`total`, `page`, `limit`) or by cursor (`has_more`)."""


class MessageView(View):
    """What was done."""

    message: str


class RegisteredView(TokensView):
    """A new organization, its administrator, and the tokens with which they are logged in."""

    organization: OrganizationView
    admin: UserView


def view(tenant: Tenant) -> OrganizationView:
    """Return an organization as its members see it."""
    return OrganizationView(
        id=tenant.id,
        name=tenant.name,
        slug=tenant.subdomain,
        subdomain=tenant.subdomain,
        full_name=tenant.full_name,
        address=dict(tenant.address),
        phone=tenant.phone,
        organization_email=tenant.email,
        is_active=tenant.active,
        created_at=tenant.created_at,
        updated_at=tenant.updated_at,
        version=tenant.version,
    )


async def register(
    body: OrganizationBody, response: Response, organizations: Uses
) -> RegisteredView:
    """Found an organization: with its first administrator, who is logged in at once."""
    tenant, admin, tokens = await organizations.register(body.founding())
    private(response)
    response.headers["location"] = f"/api/v1/organizations/{tenant.id}"
    return RegisteredView(
        **tokens_view(tokens).model_dump(), organization=view(tenant), admin=user_view(admin)
    )


async def list_tenants(
    caller: Asking, organizations: Uses, pager: Paging, request: Request, search: Search = ""
) -> list[OrganizationView] | dict[str, Any]:
    """List the tenants that you can reach: yours, and those that you are a guest of; the platform's people all.

    A bare list without `page`, `limit` and `cursor`; `search` looks into subdomains and names.
    """
    if {"page", "limit", "cursor"} & set(request.query_params):
        return pager.render(await organizations.within_reach(caller, search, pager.ask), view)
    found = await organizations.within_reach(caller, search, PageAsk(limit=MOST_BARE))
    if found.next is not None:
        raise TooManyRows(f"there are more than {MOST_BARE} tenants; ask with limit and cursor")
    return [view(tenant) for tenant in found.items]


async def get_tenant(
    tenant_id: OrganizationId,
    caller: Asking,
    organizations: Uses,
    request: Request,
    response: Response,
) -> OrganizationView | Response:
    """Return a tenant that you can reach."""
    return _shown(await organizations.tenant(caller, tenant_id), request, response)


async def update_tenant(
    tenant_id: OrganizationId,
    body: OrganizationPatch,
    caller: Asking,
    organizations: Uses,
    expected: Expected,
    response: Response,
) -> OrganizationView:
    """Change a tenant; `is_active` switches all of it off and on, which only the platform's people can."""
    return await update(tenant_id, body, caller, organizations, expected, response)


async def get(
    organization_id: OrganizationId,
    caller: Asking,
    organizations: Uses,
    request: Request,
    response: Response,
) -> OrganizationView | Response:
    """Return your organization."""
    return _shown(await organizations.get(caller, organization_id), request, response)


def _shown(tenant: Tenant, request: Request, response: Response) -> OrganizationView | Response:
    return shown(request, response, tenant.version, view(tenant))


async def update(
    organization_id: OrganizationId,
    body: OrganizationPatch,
    caller: Asking,
    organizations: Uses,
    expected: Expected,
    response: Response,
) -> OrganizationView:
    """Change your organization."""
    tenant = await organizations.update(caller, organization_id, body.fields(), expected)
    response.headers["etag"] = etag(tenant.version)
    return view(tenant)


async def list_members(
    organization_id: OrganizationId,
    caller: Asking,
    members: Belonging,
    pager: Paging,
    listing: Listing,
) -> dict[str, Any]:
    """List the users of your organization; `search` looks into their names and addresses."""
    query = UserQuery(tenant=organization_id, search=listing.search, sort=listing.sort)
    return pager.render(await members.list(caller, query, pager.ask), user_view)


async def list_tenant_users(
    tenant_id: OrganizationId,
    caller: Asking,
    members: Belonging,
    pager: Paging,
    listing: Listing,
) -> dict[str, Any]:
    """List the users of a tenant within your reach."""
    query = UserQuery(tenant=tenant_id, search=listing.search, sort=listing.sort)
    return pager.render(await members.within_tenant(caller, query, pager.ask), user_view)


class Membership(NamedTuple):
    """Which user of which organization is meant, and the version of them that the client has read."""

    organization: UUID
    user: UUID
    expected: int | None


async def _membership(
    organization_id: OrganizationId, user_id: UserId, expected: Expected
) -> Membership:
    return Membership(organization_id, user_id, expected)


Meant = Annotated[Membership, Depends(_membership)]


async def update_member(
    meant: Meant, body: UserPatch, caller: Asking, members: Belonging, response: Response
) -> UserView:
    """Change a user of your organization, their roles, or whether they may log in."""
    change = body.change(meant.expected)
    user = await members.update(caller, meant.organization, meant.user, change)
    response.headers["etag"] = etag(user.version)
    return user_view(user)


async def deactivate_member(
    organization_id: OrganizationId, user_id: UserId, caller: Asking, members: Belonging
) -> MessageView:
    """Keep a user of your organization from logging in; their sessions end at once."""
    user = await members.deactivate(caller, organization_id, user_id)
    return MessageView(message=f"User {user.name} was deactivated")


def _organizations(prefix: str) -> APIRouter:
    router = doors(prefix, "organizations")
    strict = public(**{"x-limit": "strict"})
    one = "/organizations/{organization_id}"
    router.post("/organizations/register", status_code=201, **strict)(register)
    router.get(one, response_model=OrganizationView, responses=TAGGED, **anybody())(get)
    router.patch(one, **needs("tenant:update"))(update)
    router.get(f"{one}/users", **needs("user:read"))(list_members)
    router.patch(f"{one}/users/{{user_id}}", **needs("user:update"))(update_member)
    router.delete(f"{one}/users/{{user_id}}", **needs("user:delete"))(deactivate_member)
    return router


_tenants = doors("/api/v1", "organizations")
_tenants.get("/tenants", response_model=list[OrganizationView] | OrganizationPage, **anybody())(
    list_tenants
)
_tenant = _tenants.get(
    "/tenants/{tenant_id}", response_model=OrganizationView, responses=TAGGED, **anybody()
)
_tenant(get_tenant)
_tenants.patch("/tenants/{tenant_id}", **needs("tenant:update"))(update_tenant)
_tenants.get("/tenants/{tenant_id}/users", **needs("user:read"))(list_tenant_users)
routers = (_tenants, _organizations("/api/v1"), _organizations("/api"))
