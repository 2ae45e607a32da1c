"""What a login answers: one document for the clients of five older systems."""

from dataclasses import dataclass

from fastapi import Response

from chassis.http import View
from iam.usecases.opening import Tokens

COOKIE = "token"


class TokensView(View):
    """Tokens, under every name that clients know them by. `expires_in` in seconds."""

    access_token: str
    refresh_token: str
    token_type: str = "bearer"  # noqa: S105
    expires_in: int
    token: str
    organization_subdomain: str


@dataclass(frozen=True, slots=True)
class Cookies:
    """How cookies are set; `secure` where the platform is reached over https."""

    secure: bool

    def give(self, response: Response, tokens: Tokens) -> None:
        """Put the access token into a cookie that scripts cannot read and other sites cannot send."""
        response.set_cookie(
            COOKIE,
            tokens.access,
            max_age=tokens.expires_in,
            httponly=True,
            secure=self.secure,
            samesite="strict",
        )

    def take(self, response: Response) -> None:
        """Remove the cookie."""
        response.delete_cookie(COOKIE, httponly=True, secure=self.secure, samesite="strict")


def view(tokens: Tokens) -> TokensView:
    """Return the answer to a login."""
    return TokensView(
        access_token=tokens.access,
        refresh_token=tokens.refresh,
        expires_in=tokens.expires_in,
        token=tokens.access,
        organization_subdomain=tokens.subdomain,
    )


def private(response: Response) -> None:
    """Keep an answer with secrets out of every cache (RFC 6749, 5.1)."""
    response.headers["cache-control"] = "no-store"
