"""API keys: what they may do, and their versions. Only the SHA-256 of a key is ever known here."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from authz import permissions
from iam.domain.errors import BadExpiry, BadScope

Kind = Literal["server", "client", "management"]
SMALLEST = frozenset({"flag:evaluate"})
# A key in a browser is public; one on a server may also read what it needs to evaluate by itself.
_INGEST = SMALLEST | {"exposure:create", "event:create"}
_READS = {"flag:read", "segment:read", "experiment:read", "metric:read"}
WITHIN: dict[Kind, frozenset[str]] = {
    "client": _INGEST,
    "server": _INGEST | _READS,
    "management": permissions.ALL,
}
LIVE_VERSIONS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One text that the key may have. `prefix` is its public part, by which people tell keys apart."""

    hash: str
    prefix: str
    created_at: datetime
    expires_at: datetime | None = None

    def live(self, now: datetime) -> bool:
        """Tell whether this text still opens anything."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key of a tenant that acts for `owner`, a user or an account. Versions are in the order of their making.

    `maker` is the user who answers for it: who made it, or whose key did.
    """

    id: UUID
    tenant: UUID
    owner: UUID
    maker: UUID
    name: str
    kind: Kind
    environment: str
    project: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None
    versions: tuple[Version, ...]
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    version: int = 1

    def live(self, now: datetime) -> bool:
        """Tell whether the key can still be used."""
        over = self.revoked_at or (self.expires_at and self.expires_at <= now)
        return not over and any(version.live(now) for version in self.versions)

    def rotated(self, newest: Version, overlap: timedelta) -> "ApiKey":
        """Return the key with one more version: the one before it holds for `overlap` yet, all older ones no more."""
        now = newest.created_at
        *older, latest = self.versions
        until = now + overlap
        kept = replace(latest, expires_at=min(until, latest.expires_at or until))
        ended = [replace(v, expires_at=min(now, v.expires_at or now)) for v in older]
        return replace(self, versions=(*ended, kept, newest), version=self.version + 1)

    def revoked(self, now: datetime) -> "ApiKey":
        """Return the key, worth nothing any more."""
        return replace(self, revoked_at=now, version=self.version + 1)


def scopes_for(kind: Kind, asked: Sequence[str] | None, held: frozenset[str]) -> frozenset[str]:
    """Return the scopes of a new key; BadScope for what is no permission or beyond the kind.

    Nothing said means the least that is of use: evaluation; for a management key, what its maker holds today.
    """
    least = held if kind == "management" else SMALLEST
    found = least if asked is None else frozenset(_scope(kind, name) for name in asked)
    if not found:
        raise BadScope("a key without any scope opens nothing; name one that you hold")
    return found


def _scope(kind: Kind, name: str) -> str:
    permission = permissions.named(name)
    if permission is None:
        raise BadScope(f"{name[:64]!r} is not a permission; GET /api/v1/permissions lists them")
    if permission not in WITHIN[kind]:
        allowed = ", ".join(sorted(WITHIN[kind]))
        raise BadScope(f"a {kind} key cannot have {permission}; it can have {allowed}")
    return permission


def check_expiry(expires_at: datetime | None, now: datetime) -> None:
    """Refuse a key that would be born dead."""
    if expires_at is not None and expires_at <= now:
        raise BadExpiry("expires_at lies in the past")
