"""Organizations over REST."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import Field, StringConstraints

from chassis.http import Asking, Body, View, anybody, doors, given, public
from iam.api.fields import Email, Name, Password, PersonName, Subdomain, Username
from iam.api.tokens import TokensView, private
from iam.api.tokens import view as tokens_view
from iam.api.users import UserView
from iam.api.users import view as user_view
from iam.domain.tenant import Tenant
from iam.usecases.organizations import Founding, Organizations

Uses = Annotated[Organizations, given(Organizations)]
Text = Annotated[str, StringConstraints(max_length=500)]
Phone = Annotated[str, StringConstraints(max_length=40)]
AddressLine = Annotated[str, StringConstraints(max_length=64)]


class OrganizationBody(Body):
    """An organization and its first administrator. `address` is a text, or an object of texts."""

    name: Name
    subdomain: Subdomain
    full_name: Text = ""
    address: Annotated[dict[AddressLine, Text], Field(max_length=20)] | Text | None = None
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


async def list_tenants(caller: Asking, organizations: Uses) -> list[OrganizationView]:
    """List the tenants that you can reach."""
    return [view(tenant) for tenant in await organizations.within_reach(caller)]


def _organizations(prefix: str) -> APIRouter:
    router = doors(prefix, "organizations")
    strict = public(**{"x-limit": "strict"})
    router.post("/organizations/register", status_code=201, **strict)(register)
    return router


_tenants = doors("/api/v1", "organizations")
_tenants.get("/tenants", **anybody())(list_tenants)
routers = (_tenants, _organizations("/api/v1"), _organizations("/api"))
