"""Guests over REST: users of one tenant who may act in another."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Response

from chassis.http import Asking, Body, Id, Paging, anybody, doors, given, needs
from iam.api.fields import RoleName, Secret
from iam.api.users import UserPage, UserView, view
from iam.domain.roles import DEFAULT
from iam.usecases.guests import Guests

router = doors("/api/v1", "guests")
Uses = Annotated[Guests, given(Guests)]
TenantId = Annotated[UUID, Path(description="The tenant's UUID")]
UserId = Annotated[UUID, Path(description="The user's UUID")]
_SHAPE: dict[str, Any] = {"response_model": UserPage, "response_model_exclude_unset": True}


class GuestBody(Body):
    """A user of any tenant, and the role that they get here."""

    user_id: Id
    role_id: RoleName = DEFAULT


class JoinBody(Body):
    """An invitation's token."""

    token: Secret


@router.get("/tenants/{tenant_id}/guests", **_SHAPE, **needs("user:read"))
async def list_guests(
    tenant_id: TenantId, caller: Asking, guests: Uses, pager: Paging
) -> dict[str, Any]:
    """List the guests of a tenant, with the roles that they have there."""
    return pager.render(await guests.list(caller, tenant_id, pager.ask), view)


@router.post("/tenants/{tenant_id}/guests", status_code=201, **needs("user:create"))
async def add(
    tenant_id: TenantId, body: GuestBody, caller: Asking, guests: Uses, response: Response
) -> UserView:
    """Make a user of another tenant a guest of this one; for the platform's people, others invite."""
    user = await guests.add(caller, tenant_id, body.user_id, body.role_id)
    response.headers["location"] = f"/api/v1/tenants/{tenant_id}/guests/{user.id}"
    return view(user)


@router.delete("/tenants/{tenant_id}/guests/{user_id}", status_code=204, **anybody())
async def remove(tenant_id: TenantId, user_id: UserId, caller: Asking, guests: Uses) -> None:
    """Let a guest go, or leave yourself: their sessions here end at once, their account stays."""
    await guests.remove(caller, tenant_id, user_id)


@router.post("/invitations/join", status_code=201, **anybody(**{"x-errors": [404]}))
async def join(body: JoinBody, caller: Asking, guests: Uses, response: Response) -> UserView:
    """Accept an invitation with the account that you are logged in with; log in with its subdomain to act there."""
    user = await guests.join(caller, body.token)
    response.headers["location"] = f"/api/v1/tenants/{user.tenant}/guests/{user.id}"
    return view(user)
