"""Invitations over REST."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Query, Request, Response

from chassis.http import (
    TAGGED,
    Asking,
    Body,
    Instant,
    Paging,
    View,
    doors,
    etag,
    given,
    needs,
    public,
)
from iam.api.fields import Email, Password, PersonName, RoleName, Secret, Username
from iam.api.tags import shown
from iam.api.tokens import Cookies, TokensView, private
from iam.api.tokens import view as tokens_view
from iam.api.users import UserView
from iam.api.users import view as user_view
from iam.usecases.invitations import Acceptance, Invitations, Invited

router = doors("/api/v1/invitations", "invitations")
Uses = Annotated[Invitations, given(Invitations)]
Jar = Annotated[Cookies, given(Cookies)]
InvitationId = Annotated[UUID, Path(description="The invitation's UUID")]
_STRICT: dict[str, Any] = {"x-limit": "strict", "x-errors": [404]}


class InvitationBody(Body):
    """Whom to invite, and the role (by id or name) that they will have. Without `expires_at` it holds for a week."""

    email: Email
    role_id: RoleName
    expires_at: Instant | None = None


class TokenBody(Body):
    """The token of an invitation."""

    token: Secret


class AcceptBody(Body):
    """Who accepts an invitation, and with which password they will log in."""

    token: Secret
    password: Password
    first_name: PersonName = ""
    last_name: PersonName = ""
    username: Username | None = None


class InvitationView(View):
    """An invitation, without its token. `status` is pending, accepted, revoked or expired."""

    id: UUID
    email: str
    role_id: str
    role: str
    status: str
    tenant_id: UUID
    invited_by: str
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    revoked_at: datetime | None
    version: int


class SecretView(InvitationView):
    """An invitation with its token, which is shown this one time."""

    token: str


class VerifiedView(View):
    """What the holder of an invitation's token is told."""

    valid: bool
    email: str
    role: str
    expires_at: datetime
    organization_id: UUID
    organization_name: str
    organization_subdomain: str


class AcceptedView(TokensView):
    """The new user, and the tokens with which they are logged in."""

    user: UserView


def view(invited: Invited) -> InvitationView:
    """Return an invitation as its tenant sees it."""
    return InvitationView(**_fields(invited))


def _fields(invited: Invited) -> dict[str, Any]:
    of = invited.invitation
    return {
        "id": of.id,
        "email": of.email,
        "role_id": of.role,
        "role": invited.role,
        "status": invited.status,
        "tenant_id": of.tenant,
        "invited_by": of.invited_by,
        "created_at": of.created_at,
        "expires_at": of.expires_at,
        "accepted_at": of.accepted_at,
        "revoked_at": of.revoked_at,
        "version": of.version,
    }


def _secret(made: tuple[Invited, str], response: Response) -> SecretView:
    invited, token = made
    private(response)
    response.headers["etag"] = etag(invited.invitation.version)
    return SecretView(**_fields(invited), token=token)


def _verified(invited: Invited) -> VerifiedView:
    return VerifiedView(
        valid=True,
        email=invited.invitation.email,
        role=invited.role,
        expires_at=invited.invitation.expires_at,
        organization_id=invited.tenant.id,
        organization_name=invited.tenant.name,
        organization_subdomain=invited.tenant.subdomain,
    )


@router.get("", **needs("invitation:read"))
async def list_invitations(caller: Asking, invitations: Uses, pager: Paging) -> dict[str, Any]:
    """List the invitations of your tenant, newest first."""
    return pager.render(await invitations.list(caller, pager.ask), view)


@router.post("", status_code=201, **needs("invitation:create"))
async def create(
    body: InvitationBody, caller: Asking, invitations: Uses, response: Response
) -> SecretView:
    """Invite somebody with a role that you could fill. The token is shown once: send it to them."""
    made = await invitations.create(caller, body.email, body.role_id, body.expires_at)
    response.headers["location"] = f"/api/v1/invitations/{made[0].invitation.id}"
    return _secret(made, response)


@router.post("/verify", **public(**_STRICT))
async def verify(body: TokenBody, response: Response, invitations: Uses) -> VerifiedView:
    """Tell the holder of a token what it opens; 404 for every token that opens nothing."""
    private(response)
    return _verified(await invitations.verify(body.token))


@router.get("/verify", **public(**_STRICT))
async def verify_link(
    token: Annotated[str, Query(min_length=1, max_length=512)],
    response: Response,
    invitations: Uses,
) -> VerifiedView:
    """Tell the same to whoever follows a link; prefer POST, which leaves the token out of histories and logs."""
    private(response)
    return _verified(await invitations.verify(token))


@router.post("/accept", status_code=201, **public(**_STRICT))
async def accept(body: AcceptBody, response: Response, invitations: Uses, jar: Jar) -> AcceptedView:
    """Accept an invitation: become a user with its role, logged in at once."""
    by = Acceptance(
        token=body.token,
        password=body.password,
        first_name=body.first_name,
        last_name=body.last_name,
        username=body.username,
    )
    user, tokens = await invitations.accept(by)
    jar.give(response, tokens)
    private(response)
    response.headers["location"] = f"/api/v1/users/{user.id}"
    return AcceptedView(**tokens_view(tokens).model_dump(), user=user_view(user))


@router.get(
    "/{invitation_id}",
    response_model=InvitationView,
    responses=TAGGED,
    **needs("invitation:read"),
)
async def get(
    invitation_id: InvitationId,
    caller: Asking,
    invitations: Uses,
    request: Request,
    response: Response,
) -> InvitationView | Response:
    """Return one invitation, without its token. One that has expired is the same version and is answered whole."""
    invited = await invitations.get(caller, invitation_id)
    version, told = invited.invitation.version, view(invited)
    if invited.status == "expired":
        response.headers["etag"] = etag(version)
        return told
    return shown(request, response, version, told)


@router.post("/{invitation_id}/resend", **needs("invitation:update"))
async def resend(
    invitation_id: InvitationId, caller: Asking, invitations: Uses, response: Response
) -> SecretView:
    """Give an open invitation another token and another week; the token before holds no more."""
    return _secret(await invitations.resend(caller, invitation_id), response)


@router.post("/{invitation_id}/revoke", **needs("invitation:delete"))
async def revoke(invitation_id: InvitationId, caller: Asking, invitations: Uses) -> InvitationView:
    """Withdraw an open invitation."""
    return view(await invitations.revoke(caller, invitation_id))


@router.delete("/{invitation_id}", status_code=204, **needs("invitation:delete"))
async def delete(invitation_id: InvitationId, caller: Asking, invitations: Uses) -> None:
    """Withdraw an open invitation."""
    await invitations.revoke(caller, invitation_id)
