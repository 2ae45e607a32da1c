"""Sessions, the refresh tokens that carry them on, and what an access token says."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from hashlib import sha256
from typing import Any
from uuid import UUID

# Two requests of one client may race with the same refresh token; this long both get the same successor.
REUSE = timedelta(seconds=10)
# How much longer than their lifetime tokens are honoured where clocks differ (chassis.tokens.LEEWAY, rounded up).
LEEWAY = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long an access token lasts, and how long a session does without being refreshed."""

    access: timedelta
    refresh: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One login and everything that was refreshed from it: the family of its tokens."""

    id: UUID
    user: UUID
    tenant: UUID
    amr: tuple[str, ...]
    ip: str
    user_agent: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None

    @property
    def version(self) -> int:
        """What changes with every refresh: when it was seen, in microseconds since 1970."""
        return int(self.seen_at.timestamp()) * 1_000_000 + self.seen_at.microsecond

    def live(self, now: datetime) -> bool:
        """Tell whether the session still holds."""
        return self.ended_at is None and now < self.expires_at

    def ended(self, now: datetime) -> "Session":
        """Return the session, ended."""
        return self if self.ended_at else replace(self, ended_at=now)

    def seen(self, now: datetime, lifetimes: Lifetimes) -> "Session":
        """Return the session after it was refreshed."""
        return replace(self, seen_at=now, expires_at=now + lifetimes.refresh)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshToken:
    """What is kept of a refresh token: its SHA-256, and once it is used, its successor sealed with the token itself."""

    hash: bytes
    session: UUID
    issued_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    successor: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A refresh token that was shown, its session, and whose that is. `open` as an Account is; `name` is for facts."""

    token: RefreshToken
    session: Session
    name: str
    subdomain: str
    open: bool

    @property
    def id(self) -> UUID:
        """Whose session it is."""
        return self.session.user

    @property
    def tenant(self) -> UUID:
        """Where they act."""
        return self.session.tenant

    def goes_on(self, now: datetime) -> bool:
        """Tell whether the session may be carried on by a token that is good for it."""
        return self.open and self.session.live(now)


class Verdict(Enum):
    """What becomes of a refresh token that is shown."""

    ROTATE = auto()
    REPEAT = auto()
    EXPIRED = auto()
    REUSED = auto()


def judged(token: RefreshToken, now: datetime) -> Verdict:
    """Say what becomes of a token. One that is shown again late was stolen, from us or by us: its family ends."""
    if token.used_at is not None:
        return Verdict.REPEAT if now - token.used_at <= REUSE else Verdict.REUSED
    return Verdict.ROTATE if now < token.expires_at else Verdict.EXPIRED


def digest(token: str) -> bytes:
    """Return what is kept of a refresh token."""
    return sha256(token.encode()).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Whose tokens they are, for whom, and for how long."""

    name: str
    audience: str
    lifetimes: Lifetimes

    def claims(self, session: Session, now: datetime, token_id: UUID) -> Mapping[str, Any]:
        """Return what an access token says (RFC 9068): who, where, in which session; never what they may do.

        A token that is narrowed to nothing less has no `scope`: an empty one would be none (RFC 6749, 3.3).
        """
        issued = int(now.timestamp())
        return {
            "iss": self.name,
            "aud": self.audience,
            "sub": str(session.user),
            "client_id": "switchyard",
            "tid": str(session.tenant),
            "sid": str(session.id),
            "iat": issued,
            "exp": issued + int(self.lifetimes.access.total_seconds()),
            "jti": str(token_id),
        }

    def forgotten_after(self, ended: datetime) -> datetime:
        """Return when no token of a session that ended at `ended` can hold any more."""
        return ended + self.lifetimes.access + LEEWAY
