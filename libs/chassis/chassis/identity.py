"""From a credential to a caller: the second, strict check that every service makes for itself.

The gateway let the request through; no header that it (or anybody) set is believed here, only the credential itself: an
access token or an API key. Decisions come from the replica of iam's authority; iam is asked only about a key that the
replica has not heard of, and if it cannot answer, the request is not refused as wrong but as undecidable (503).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from uuid import UUID

import grpc
from grpc import aio

from authz import apikeys
from authz.replica import ApiKey, Replica, Subject
from authz.told import enter, key_of
from authz.usage import Usage
from chassis.authority import Authority
from chassis.caller import Caller
from chassis.errors import BadRequest, Unauthenticated, Unavailable
from chassis.tokens import BadToken, Claims, Verifier
from switchyard.iam.v1 import iam_pb2 as pb
from switchyard.iam.v1 import iam_pb2_grpc

MOST_CACHED = 20_000
EPOCH = "x-authz-epoch"
PATIENCE = 1.0  # seconds that iam has for an answer
ON_ITS_WAY, WAITED_FOR = 15.0, 5.0  # seconds in which we hear of a new account; that requests wait
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


class NotThatFresh(Unavailable):
    """The change of authority that the request wants to be known (X-Authz-Epoch) is not known here yet."""

    code = "authority_behind"


class BadEpoch(BadRequest):
    """X-Authz-Epoch is not a number that an answer of ours carried."""

    code = "bad_epoch"


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
    used: Usage = field(default_factory=Usage)
    _unknown: dict[str, float] = field(default_factory=dict[str, float])
    _verified: dict[bytes, tuple[int, Claims]] = field(
        default_factory=dict[bytes, tuple[int, Claims]]
    )

    async def of(self, headers: Mapping[str, str]) -> Caller:
        """Return the caller; Unauthenticated when there is none to be found."""
        bearer, key = credentials(headers)
        if not self.authority.usable:
            raise NoAuthority("iam cannot be reached, so nobody can be recognised", retry_after=2)
        epoch = headers.get(EPOCH)
        caller = await (self._by_key(key, epoch) if key else self._by_token(bearer, epoch))
        if self.authority.fresh:
            return caller
        return replace(caller, confirm=lambda: self._confirmed(caller))

    async def as_fresh_as(self, epoch: str | None, who: str) -> None:
        """Wait until we know what was known at a position in iam's change log, if one is named."""
        if epoch is None:
            return
        if not (epoch.isascii() and epoch.isdecimal() and len(epoch) < 19):
            raise BadEpoch("X-Authz-Epoch: send one number as an answer gave it, or none")
        if not await self.authority.reach(int(epoch), who):
            raise NotThatFresh("that change of authority is not known here yet", retry_after=1)

    async def _confirmed(self, caller: Caller) -> Caller:
        """Return the caller with what iam itself says now: the replica is too old to change anything by it."""
        try:
            told = await self.iam.Check(pb.CheckRequest(with_authority=True), timeout=PATIENCE)
        except aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                raise BadToken(error.details() or "the credential does not hold") from None
            raise NoAuthority("iam cannot be asked; nothing was changed", retry_after=2) from error
        now = Replica()
        for event in told.authority:
            enter(now, event)
        subject = now.subjects.get(caller.account)
        caller = replace(caller, confirm=None)
        return self._standing(caller, subject, now) if subject else caller

    async def _by_key(self, key: str, epoch: str | None) -> Caller:
        known = self.key(key) or await self._resolve(key)
        if epoch is not None:
            await self.as_fresh_as(epoch, known.id)
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
        self._open_tenant(key.tenant)
        self.used.seen.add(key.id)
        mine = Caller(
            subject=key.id,
            tenant=UUID(key.tenant),
            permissions=key.scopes,
            kind="api_key",
            name=key.name,
            credential=key.id,
            key_kind=key.kind,
            environment=key.environment,
            project=key.project,
            scope=key.scopes if key.scopes or key.kind != "management" else None,
        )
        if key.kind != "management":
            return mine
        subject = self.authority.state.subjects.get(key.subject)
        if subject is None or not subject.active or not subject.acts_in(key.tenant):
            raise BadKey("the account behind the API key is gone or disabled")
        self._open_tenant(subject.tenant)
        if subject.kind:  # an account acts in its own name
            mine = replace(mine, kind="service_account", subject=subject.id, name=subject.name)
        return self._standing(mine, subject, self.authority.state)

    async def _by_token(self, token: str, epoch: str | None) -> Caller:
        claims = await self._claims(token)
        await self.as_fresh_as(epoch, claims.session)
        if claims.session in self.authority.state.ended:
            raise BadToken("the session was ended; log in again")
        subject = await self._subject(claims)
        if not subject.active or not subject.acts_in(claims.tenant):
            raise BadToken("the account is disabled or no longer in this tenant")
        self._open_tenant(claims.tenant, subject.tenant)
        mine = Caller(
            subject=subject.id,
            tenant=UUID(claims.tenant),
            name=subject.name,
            roles=subject.roles_in(claims.tenant, self.clock()),
            credential=claims.session,
            platform=subject.platform,
            scope=claims.scope or None,
        )
        return self._standing(mine, subject, self.authority.state)

    def _standing(self, caller: Caller, subject: Subject, known: Replica) -> Caller:
        """Return a caller behind whom a subject stands, with what that may do in the caller's tenant."""
        standing = known.standing(subject, str(caller.tenant), caller.scope, self.clock())
        return replace(
            caller, account=subject.id, standing=standing, permissions=standing.permissions
        )

    async def _claims(self, token: str) -> Claims:
        """Verify a token, or remember that this very token was verified with the keys of today."""
        name, generation = sha256(token.encode()).digest(), self.authority.signing_generation
        cached = self._verified.get(name)
        if cached and cached[0] == generation and cached[1].expires > self.clock():
            return cached[1]
        keys = self.authority.state.signing_keys
        claims = self.verifier.verify(token, keys, self.clock())
        if len(self._verified) >= MOST_CACHED:
            self._verified.clear()
        self._verified[name] = (generation, claims)
        return claims

    async def _subject(self, claims: Claims) -> Subject:
        """Return a subject; one who was created a moment ago may still be on the way to us."""
        young = claims.issued + ON_ITS_WAY > self.clock()
        if young and claims.subject not in self.authority.state.subjects:
            await self.authority.until(lambda s: claims.subject in s.subjects, WAITED_FOR)
        if subject := self.authority.state.subjects.get(claims.subject):
            return subject
        if young or not self.authority.fresh:
            raise NoAuthority("this account is not known here yet: try again", retry_after=1)
        raise BadToken("the account behind the token is gone")

    def _open_tenant(self, *ids: str) -> None:
        if any(t and not t.active for t in map(self.authority.state.tenants.get, ids)):
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
