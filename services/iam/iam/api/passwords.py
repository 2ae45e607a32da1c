"""Passwords over REST: one's own, and the token for whoever lost theirs."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Response

from chassis.http import Asking, Body, View, anybody, doors, given, needs, public
from iam.api.fields import Password, Secret
from iam.api.tokens import private
from iam.api.users import UserId
from iam.usecases.passwords import PasswordChanges

router = doors("/api/v1", "passwords")
Uses = Annotated[PasswordChanges, given(PasswordChanges)]
_STRICT: dict[str, Any] = {"x-limit": "strict"}


class PasswordBody(Body):
    """The present password and the one to come."""

    current_password: Password
    new_password: Password


class RedeemBody(Body):
    """A token from an administrator, and the password to come."""

    token: Secret
    password: Password


class ResetView(View):
    """A token that lets a user choose a password once; shown this once. Hand it to them on a way that you trust."""

    user_id: UUID
    token: str
    expires_at: datetime


@router.post("/users/me/password", status_code=204, **anybody(**{"x-errors": [404]}))
async def change(body: PasswordBody, caller: Asking, passwords: Uses) -> None:
    """Choose another password. You stay logged in here and nowhere else."""
    await passwords.change(caller, body.current_password, body.new_password)


@router.post("/users/{user_id}/password-reset", status_code=201, **needs("user:reset_credentials"))
async def issue(user_id: UserId, caller: Asking, passwords: Uses, response: Response) -> ResetView:
    """Make a token with which a user chooses a new password, for an hour; one made before holds no more."""
    reset, token = await passwords.issue(caller, user_id)
    private(response)
    return ResetView(user_id=reset.user, token=token, expires_at=reset.expires_at)


@router.post("/auth/password-reset", status_code=204, **public(**_STRICT))
async def redeem(body: RedeemBody, passwords: Uses) -> None:
    """Choose a password with a token from an administrator. All sessions of the account end."""
    await passwords.redeem(body.token, body.password)
