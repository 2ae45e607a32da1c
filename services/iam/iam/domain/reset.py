"""A password reset: one token that an administrator hands to a user who has lost their password."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

HOLDS = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordReset:
    """What is kept of a reset: the SHA-256 of its token. A user has one at most; a newer one takes its place."""

    user: UUID
    hash: bytes
    created_at: datetime
    expires_at: datetime

    def open(self, now: datetime) -> bool:
        """Tell whether its token can still be used."""
        return now < self.expires_at
