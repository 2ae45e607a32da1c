"""From a credential to a caller: the second, strict check that every service makes for itself.

The gateway let the request through; no header that it (or anybody) set is believed here, only the credential itself: an
access token or an API key. Decisions come from the replica of iam's authority; iam is asked only about a key that the
replica has not heard of, and if it cannot answer, the request is not refused as wrong but as undecidable (503).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

import grpc
from grpc import aio

from authz import apikeys
from chassis.authority import ApiKey, Authority, Subject, key_of
from chassis.caller import Caller
from chassis.errors import BadRequest, Unauthenticated, Unavailable
from chassis.tokens import BadToken, Claims, Verifier
from switchyard.iam.v1 import iam_pb2 as pb
from switchyard.iam.v1 import iam_pb2_grpc

MOST_CACHED = 20_000
UNKNOWN_FOR = 10.0  # seconds for which iam is not asked again about a key that it does not know


class NoCredential(Unauthenticated):
    """The request names nobody: it needs an access token or an API key."""

    code = "no_credential"


class BadKey(Unauthenticated):
    """The API key is unknown, expired or revoked."""

    code = "bad_api_key"


class NoAuthority(Unavailable):
    """iam has not been heard for too long to decide anything."""

    code = "authority_unavailable"


class TwoCredentials(BadRequest):
    """The request carries an access token and an API key: which one counts?"""

    code = "two_credentials"


@dataclass(slots=True)
class Identity:
    """Tells who is behind a request."""

    authority: Authority
    verifier: Verifier
    iam: "iam_pb2_grpc.IamAsyncStub"
    clock: Callable[[], float] = time.time
    # Ids of keys that were used since this was last looked at (chassis.usage).
    used: set[str] = field(default_factory=set[str])
    _unknown: dict[str, float] = field(default_factory=dict[str, float])
    _verified: dict[bytes, tuple[int, Claims]] = field(
        default_factory=dict[bytes, tuple[int, Claims]]
    )

    async def of(self, headers: Mapping[str, str]) -> Caller:
        """Return the caller; Unauthenticated when there is none to be found."""
        bearer, key = credentials(headers)
        if not self.authority.usable:
            raise NoAuthority("iam cannot be reached, so nobody can be recognised", retry_after=2)
        return await self._by_key(key) if key else await self._by_token(bearer)

    async def _by_key(self, key: str) -> Caller:
        known = self.key(key) or await self._resolve(key)
        if known.expires is not None and known.expires <= self.clock():
            raise BadKey("the API key has expired")
        if known.kind == "management" and known.subject not in self.authority.state.subjects:
            await self.authority.until(lambda s: known.subject in s.subjects)  # on its way to us
        return self.caller_of(known)

    def key(self, key: str) -> ApiKey | None:
        """Return what the replica knows of a key; None if nothing."""
        return self.authority.state.keys.get(apikeys.digest(key))

    async def _resolve(self, key: str) -> ApiKey:
        """Ask iam about a key that may be younger than the replica's news."""
        if not apikeys.well_formed(key):
            raise BadKey("this is not an API key: was a character lost in copying?")
        name = apikeys.digest(key)
        if self._unknown.get(name, 0.0) > self.clock():
            raise BadKey("the API key is unknown or was revoked")
        try:
            return key_of(await self.iam.ResolveKey(pb.ResolveKeyRequest(hash=name), timeout=1.0))
        except aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                if len(self._unknown) >= MOST_CACHED:
                    self._unknown.clear()
                self._unknown[name] = self.clock() + UNKNOWN_FOR
                raise BadKey("the API key is unknown or was revoked") from None
            raise NoAuthority("iam cannot be asked about this API key", retry_after=2) from error

    def caller_of(self, key: ApiKey) -> Caller:
        """Return the caller behind a key. A management key may do what its subject may, within its scopes."""
        permissions = key.scopes
        if key.kind == "management":
            subject = self.authority.state.subjects.get(key.subject)
            if subject is None or not subject.active:
                raise BadKey("the account behind the API key is gone or disabled")
            permissions = key.scopes & subject.permissions if key.scopes else subject.permissions
        self._open_tenant(key.tenant)
        self.used.add(key.id)
        return Caller(
            subject=key.id,
            tenant=UUID(key.tenant),
            permissions=permissions,
            kind="api_key",
            name=key.name,
            credential=key.id,
            key_kind=key.kind,
            environment=key.environment,
            project=key.project,
            account=key.subject if key.kind == "management" else "",
            scope=key.scopes if key.scopes or key.kind != "management" else None,
        )

    async def _by_token(self, token: str) -> Caller:
        claims = await self._claims(token)
        if claims.session in self.authority.state.ended:
            raise BadToken("the session was ended; log in again")
        subject = await self._subject(claims.subject)
        if not subject.active or claims.tenant != subject.tenant:
            raise BadToken("the account is disabled or no longer in this tenant")
        self._open_tenant(claims.tenant)
        permissions = subject.permissions
        if claims.scope:
            permissions = permissions & claims.scope
        return Caller(
            subject=subject.id,
            tenant=UUID(subject.tenant),
            permissions=permissions,
            name=subject.name,
            roles=subject.roles,
            credential=claims.session,
            platform=subject.platform,
            account=subject.id,
            scope=claims.scope or None,
        )

    async def _claims(self, token: str) -> Claims:
        """Verify a token, or remember that this very token was verified with the keys of today."""
        name = sha256(token.encode()).digest()
        generation = self.authority.signing_generation
        cached = self._verified.get(name)
        if cached and cached[0] == generation and cached[1].expires > self.clock():
            return cached[1]
        keys = self.authority.state.signing_keys
        claims = self.verifier.verify(token, keys, self.clock())
        if len(self._verified) >= MOST_CACHED:
            self._verified.clear()
        self._verified[name] = (generation, claims)
        return claims

    async def _subject(self, subject_id: str) -> Subject:
        """Return a subject; one who was created a moment ago may still be on the way to us."""
        state = self.authority.state
        if subject_id not in state.subjects:
            await self.authority.until(lambda s: subject_id in s.subjects)
        if subject := self.authority.state.subjects.get(subject_id):
            return subject
        if not self.authority.fresh:
            raise NoAuthority("iam cannot be asked about this account", retry_after=2)
        raise BadToken("the account behind the token is gone")

    def _open_tenant(self, tenant_id: str) -> None:
        tenant = self.authority.state.tenants.get(tenant_id)
        if tenant is not None and not tenant.active:
            raise BadToken("the organization is disabled")


def credentials(headers: Mapping[str, str]) -> tuple[str, str]:
    """Return (access token, API key), of which exactly one is not empty."""
    key = headers.get("x-api-key", "")
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    bearer = bearer.strip() if scheme.lower() == "bearer" else ""
    if bearer.startswith("sy_"):
        key, bearer = key or bearer, ""
    if key and bearer:
        raise TwoCredentials("send either an access token or an API key, not both")
    if not key and not bearer:
        raise NoCredential("an access token or an API key is needed")
    return bearer, key
