"""Where API keys are served: every evaluation door finds out here who asks, and what they may be told.

A desk is made once per key and credential, and made anew when the authority changes (a key revoked, a tenant closed) or
the key expires. A key that this replica knows needs nobody else: neither iam, nor PostgreSQL, nor Redis.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf

from authz import apikeys
from authz.limits import Bucket, Limiter
from authz.replica import ApiKey
from chassis.caller import Caller
from chassis.context import CURRENT
from chassis.denials import Denials
from chassis.edge import asked_by
from chassis.errors import BadRequest, Forbidden, TooMany, Unauthenticated
from chassis.identity import EPOCH, BadKey, Identity, NoAuthority, credentials
from flags.api.rendered import Fields, Rendered
from flags.domain.ruleset import Ruleset
from flags.usecases.rulesets import Held, Rulesets

MOST_DESKS = 20_000
_EPOCH = EPOCH.encode()  # who sends it wants more than what a desk remembers

Headers = Mapping[bytes, bytes]


class KeyNeeded(BadRequest):
    """Evaluation is for API keys: a person's access token belongs to no environment."""

    code = "api_key_needed"


@dataclass(slots=True)
class Desk:
    """Where one API key is served, until `expires` (monotonic seconds) or the authority's next `generation`.

    `answers` are OFREP's; `aged` says how old the state is, if it is old, and holds until `look_again`; `ticket` is
    where its stream of changes is, until `ticket_until`.
    """

    key: str
    digest: str
    generation: int
    expires: float
    client_side: bool
    held: Held
    bucket: Bucket
    answers: Rendered | None = None
    aged: Fields = field(default_factory=Fields)
    look_again: float = 0.0
    ticket: bytes = b""
    ticket_until: float = 0.0

    @property
    def ruleset(self) -> Ruleset:
        """What is in force at the desk's place now."""
        if self.held.ruleset is None:
            raise RuntimeError("a place is opened before it is asked")
        return self.held.ruleset

    def is_over(self, generation: int, now: float) -> bool:
        """Tell whether the key must be looked at again."""
        return self.generation != generation or self.expires <= now

    def take(self) -> int:
        """Count one evaluation against the key's limit and return what is left; TooMany if nothing is."""
        left = self.bucket.take(time.monotonic())
        if left < 0:
            raise TooMany("too many evaluations with this API key", retry_after=1)
        return left


@dataclass(slots=True)
class Desks:
    """All desks of this replica."""

    rulesets: Rulesets
    identity: Identity
    limiter: Limiter
    denials: Denials | None = None
    clock: Callable[[], float] = time.time
    _desks: dict[bytes, Desk] = field(default_factory=dict[bytes, Desk])

    async def of(self, headers: Headers, door: str) -> Desk:
        """Return the desk of whoever sent a request; `door` names it where a refusal is noted.

        Unauthenticated, Forbidden, KeyNeeded, or Unavailable if nobody can tell.
        """
        now = time.monotonic()
        credential = credential_of(headers)
        desk = self._desks.get(credential)
        if desk is None or desk.is_over(self.identity.authority.generation, now):
            return await self._made(headers, credential, door)
        return await self._made(headers, credential, door) if _EPOCH in headers else desk

    async def by_digest(self, digest: str, door: str) -> Desk:
        """Return the desk of a key that is known by its digest only; BadKey if it does not hold (any more).

        NoAuthority if it is not known and iam was not heard lately: it may be a key that is new.
        """
        known = self.identity.authority.state.keys.get(digest)
        if known is None and not self.identity.authority.fresh:
            raise NoAuthority("iam cannot be asked about this API key", retry_after=2)
        if known is None:
            raise BadKey("the API key is unknown or was revoked")
        return await self._seat(self.identity.caller_of(known), known, {}, door)

    def hold(self, desk: Desk) -> bool:
        """Tell whether a desk may still be served, after however long; not if the process stops."""
        generation = self.identity.authority.generation
        if self.rulesets.closing:
            return False
        if not desk.is_over(generation, time.monotonic()):
            return True
        known = self.identity.authority.state.keys.get(desk.digest)
        if known is None or (known.expires is not None and known.expires <= self.identity.clock()):
            return False
        try:
            self.identity.caller_of(known)
        except Unauthenticated:
            return False
        desk.generation = generation
        return True

    def age(self, desk: Desk) -> Fields:
        """Return the header that says how old (seconds) the state is; nothing while it is fresh."""
        now = time.monotonic()
        if now >= desk.look_again:
            desk.look_again, seconds = now + 1.0, self.rulesets.age(desk.held)
            desk.aged = [(b"age", str(int(seconds)).encode())] if seconds else []
        return desk.aged

    async def _made(self, headers: Headers, credential: bytes, door: str) -> Desk:
        text = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()}
        _, key = credentials(text)
        known = self.identity.key(key) if key and EPOCH not in text else None
        caller = self.identity.caller_of(known) if known else await self.identity.of(text)
        if caller.kind not in ("api_key", "service_account"):
            raise KeyNeeded("evaluation is for API keys: send one as X-API-Key")
        desk = await self._seat(caller, known, headers, door)
        if known:
            self._keep(credential, desk)
        else:
            desk.digest = apikeys.digest(key)
        return desk

    async def _seat(
        self, caller: Caller, known: ApiKey | None, headers: Headers, door: str
    ) -> Desk:
        generation, now = self.identity.authority.generation, time.monotonic()
        expires = now + (known.expires - self.identity.clock() if known and known.expires else inf)
        if expires <= now:
            raise BadKey("the API key has expired")
        try:
            held = await self.rulesets.open(caller)
        except Forbidden as refusal:
            await self._note(caller, refusal, headers, door)
            raise
        return Desk(
            key=caller.credential,
            digest=known.hash if known else "",
            generation=generation,
            expires=expires,
            client_side=caller.key_kind == "client",
            held=held,
            bucket=self.limiter.bucket(caller.credential, now),
        )

    async def _note(self, caller: Caller, refusal: Forbidden, headers: Headers, door: str) -> None:
        """Tell the audit log, with the request, of which nothing is known on the warm path."""
        if self.denials is None:
            return
        token = CURRENT.set(asked_by(headers.items()))
        try:
            await self.denials.note(caller, refusal, "POST", door)
        finally:
            CURRENT.reset(token)

    def _keep(self, credential: bytes, desk: Desk) -> None:
        if len(self._desks) >= MOST_DESKS:
            self._desks.clear()
        self._desks[credential] = desk


def credential_of(headers: Headers) -> bytes:
    """Return what a desk goes by. Who sends two credentials has none that is known."""
    key, bearer = headers.get(b"x-api-key"), headers.get(b"authorization")
    if key is None:
        return bearer or b""
    return key if bearer is None else key + b"\n" + bearer
