"""Logging in and out over REST. Paths marked † in the design answer under /api as well as under /api/v1."""

from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError, model_validator

from chassis import strictjson
from chassis.errors import FieldError, Invalid, Unsupported
from chassis.http import Asking, Body, anybody, doors, given, public
from chassis.reading import is_json
from iam.api.fields import LoginName, Password, Secret, Subdomain, Username
from iam.api.tokens import Cookies, TokensView, private, view
from iam.api.users import MeView, me_view
from iam.domain.errors import UnsupportedGrant
from iam.usecases.logins import Login, Logins
from iam.usecases.opening import Tokens
from iam.usecases.registering import Registration

Uses = Annotated[Logins, given(Logins)]
Registering = Annotated[Registration, given(Registration)]
Jar = Annotated[Cookies, given(Cookies)]
FORM = "application/x-www-form-urlencoded"
_STRICT: dict[str, Any] = {"x-limit": "strict", "x-errors": [401]}
_LIMITED: dict[str, Any] = {"x-limit": "strict", "x-errors": [403]}
# A refresh token cannot be guessed, and a whole office refreshes from one address.
_RENEWAL: dict[str, Any] = {**_STRICT, "x-limit": "renewal"}


class LoginBody(Body):
    """A name, under one of the three names that clients have for it, and a password."""

    user: LoginName | None = None
    username: LoginName | None = None
    email: LoginName | None = None
    password: Password
    tenant_subdomain: Subdomain | None = None

    @model_validator(mode="after")
    def _one_name(self) -> "LoginBody":
        if len({name for name in (self.user, self.username, self.email) if name}) != 1:
            raise ValueError("send exactly one of user, username and email")
        return self

    def login(self) -> Login:
        """Return what was typed."""
        name = self.user or self.username or self.email or ""
        subdomain = self.tenant_subdomain and self.tenant_subdomain.lower()
        return Login(name=name, password=self.password, subdomain=subdomain)


class RegisterBody(Body):
    """A name of one's own choice, under one of the two names that clients have for it, and a password."""

    user: Username | None = None
    username: Username | None = None
    password: Password
    tenant_subdomain: Subdomain | None = None

    @model_validator(mode="after")
    def _one_name(self) -> "RegisterBody":
        if len({name for name in (self.user, self.username) if name}) != 1:
            raise ValueError("send exactly one of user and username")
        return self


class TokenBody(LoginBody):
    """What the token endpoint takes, as a form or as JSON (RFC 6749, 4.3 and 6)."""

    grant_type: Literal["password"] = "password"
    scope: Secret | None = None
    client_id: Secret | None = None


class RefreshBody(Body):
    """A refresh token."""

    refresh_token: Secret


class RefreshGrant(RefreshBody):
    """A refresh token at the token endpoint."""

    grant_type: Literal["refresh_token"]
    scope: Secret | None = None
    client_id: Secret | None = None


class LogoutBody(Body):
    """A refresh token whose session ends too."""

    refresh_token: Secret | None = None


class LogoutView(Body):
    """That it is done."""

    message: str


def _content() -> dict[str, Any]:
    schema = {"anyOf": [_schema(TokenBody), _schema(RefreshGrant)]}
    kinds = ("application/json", FORM)
    return {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}


def _schema(body: type[Body]) -> dict[str, Any]:
    return body.model_json_schema()


async def _granted(request: Request) -> TokenBody | RefreshGrant:
    said = await _sent(request)
    if not isinstance(said, dict):
        raise Invalid("the body is an object or a form")
    sent = cast("dict[str, Any]", said)
    grant = sent.get("grant_type", "password")
    if grant not in ("password", "refresh_token"):
        raise UnsupportedGrant("grant_type is password or refresh_token")
    body = RefreshGrant if grant == "refresh_token" else TokenBody
    try:
        return body.model_validate(sent)
    except ValidationError as error:
        raise _invalid(error) from None


async def _sent(request: Request) -> Any:  # noqa: ANN401 - JSON is anything
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if is_json(kind):
        return strictjson.loads(await request.body())
    if kind != FORM:
        refusal = Unsupported if await request.body() else Invalid
        raise refusal(f"send the grant as a form (content-type: {FORM}) or as JSON")
    sent = (await request.form(max_fields=16)).multi_items()
    if len({name for name, _ in sent}) < len(sent):  # RFC 6749, 3.2
        raise Invalid("the form has a field twice; send it once")
    said = {name: value for name, value in sent if value != ""}
    strictjson.check_text(said)
    return said


def _invalid(error: ValidationError) -> Invalid:
    found = tuple(
        FieldError(
            "".join(f"/{part}" for part in e["loc"]),
            e["msg"].removeprefix("Value error, "),
            e["type"],
        )
        for e in error.errors(include_input=False, include_url=False)
    )
    return Invalid(f"{found[0].pointer or 'the body'}: {found[0].message}", errors=found)


async def login(body: LoginBody, response: Response, logins: Uses, jar: Jar) -> TokensView:
    """Log in with a name and a password."""
    tokens = await logins.login(body.login())
    jar.give(response, tokens)
    private(response)
    return view(tokens)


async def register(
    body: RegisterBody, response: Response, registration: Registering, jar: Jar
) -> TokensView:
    """Make an account of your own and log in: where the platform has a tenant for that, else 403.

    If the answer is lost, log in: the account was made with your password, or it was not made at all.
    """
    name, subdomain = body.user or body.username or "", body.tenant_subdomain
    tokens = await registration.register(name, body.password, subdomain and subdomain.lower())
    jar.give(response, tokens)
    private(response)
    response.headers["location"] = "/api/v1/users/me"
    return view(tokens)


async def token(request: Request, response: Response, logins: Uses) -> TokensView:
    """Get tokens for a password or for a refresh token."""
    private(response)
    return view(await _tokens(await _granted(request), logins))


async def _tokens(body: TokenBody | RefreshGrant, logins: Logins) -> Tokens:
    if isinstance(body, RefreshGrant):
        return await logins.refresh(body.refresh_token)
    return await logins.login(body.login())


async def refresh(body: RefreshBody, response: Response, logins: Uses, jar: Jar) -> TokensView:
    """Go on with a session: get new tokens for a refresh token, which is used up by that."""
    tokens = await logins.refresh(body.refresh_token)
    jar.give(response, tokens)
    private(response)
    return view(tokens)


async def logout(
    caller: Asking, response: Response, logins: Uses, jar: Jar, body: LogoutBody | None = None
) -> LogoutView:
    """End this session everywhere."""
    await logins.logout(caller, body.refresh_token if body else None)
    jar.take(response)
    return LogoutView(message="Logged out")


async def me(caller: Asking, logins: Uses) -> MeView:
    """Return who is logged in, with what they may do."""
    return me_view(*await logins.me(caller))


def _auth(prefix: str) -> APIRouter:
    router = doors(prefix, "auth")
    for path in ("/login", "/auth/login"):
        router.post(path, **public(**_STRICT))(login)
    for path in ("/register", "/auth/register"):
        router.post(path, status_code=201, **public(**_LIMITED))(register)
    router.post("/auth/refresh", **public(**_RENEWAL))(refresh)
    router.post("/auth/logout", **anybody())(logout)
    router.get("/auth/me", **anybody())(me)
    return router


_token = doors("/api/v1", "auth")
_token.post("/auth/token", **public(**_STRICT, requestBody=_content()))(token)
routers = (_token, _auth("/api/v1"), _auth("/api"))
