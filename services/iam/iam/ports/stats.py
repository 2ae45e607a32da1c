"""Where numbers come from."""

from datetime import datetime
from typing import Protocol

from iam.domain.stats import Connected, Counted


class Counts(Protocol):
    """What can be counted in iam's own tables."""

    async def taken(self, now: datetime) -> Counted:
        """Count."""
        ...


class Presence(Protocol):
    """What all replicas say of who is connected to them."""

    async def connected(self) -> Connected | None:
        """Return how many there are together; None while nobody can be asked."""
        ...
