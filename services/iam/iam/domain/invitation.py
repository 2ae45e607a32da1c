"""Invitations: a role waits for whoever shows a token that was sent to an address."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from iam.domain.errors import InvitationClosed

Status = Literal["pending", "accepted", "revoked", "expired"]
LASTS = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """One invitation into a tenant. `role` is the role's id, `hash` the SHA-256 of the token that was shown once."""

    id: UUID
    tenant: UUID
    email: str
    role: str
    hash: bytes
    invited_by: str
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None = None
    accepted_by: UUID | None = None
    revoked_at: datetime | None = None
    version: int = 1

    def status(self, now: datetime) -> Status:
        """Return how the invitation stands."""
        if self.accepted_at:
            return "accepted"
        if self.revoked_at:
            return "revoked"
        return "pending" if now < self.expires_at else "expired"

    def resent(self, hash_: bytes, expires_at: datetime) -> "Invitation":
        """Return the invitation with another token; the one before is worth nothing from now on."""
        return replace(self._open(), hash=hash_, expires_at=expires_at, version=self.version + 1)

    def revoked(self, now: datetime) -> "Invitation":
        """Return the invitation withdrawn."""
        return replace(self._open(), revoked_at=now, version=self.version + 1)

    def accepted(self, user: UUID, now: datetime) -> "Invitation":
        """Return the invitation used up."""
        used = self._open()
        return replace(used, accepted_at=now, accepted_by=user, version=self.version + 1)

    def _open(self) -> "Invitation":
        if self.accepted_at or self.revoked_at:
            raise InvitationClosed("the invitation was accepted or revoked; make a new one")
        return self
