"""A ticket to a machine's serial console: for one person, one machine, once, and for half a minute."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

LIFE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """What is kept of a ticket; of what the person shows, only a digest."""

    digest: bytes
    tenant: UUID
    vm_id: UUID
    subject: str
    until: datetime

    def lasting(self, until: datetime) -> "Ticket":
        """Return the ticket, good until then."""
        return replace(self, until=until)


def digest_of(shown: str) -> bytes:
    """Return under which a ticket is kept."""
    return sha256(shown.encode()).digest()
