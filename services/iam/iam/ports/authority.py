"""What iam asks of the store about the log of changes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from iam.domain.authority import Change, Kind, Thing


class AuthorityLog(Protocol):
    """The authority as replicas see it, and the log of its changes."""

    async def epoch(self) -> int:
        """Return the position of the newest change."""
        ...

    async def oldest(self) -> int:
        """Return the position from which on all changes are known."""
        ...

    async def changes(self, after: int, limit: int) -> Sequence[Change]:
        """Return changes after a position, in order."""
        ...

    async def things(self, kind: Kind, ids: Sequence[str], now: datetime) -> Mapping[str, Thing]:
        """Return how things stand now; what is no more is missing."""
        ...

    async def page(
        self, kind: Kind, after: str, limit: int, now: datetime
    ) -> Sequence[tuple[str, Thing]]:
        """Return the first things of a kind after an id, with their ids, in the order of ids."""
        ...

    async def trim(self, before: datetime) -> int:
        """Forget changes from before that; return how many."""
        ...
