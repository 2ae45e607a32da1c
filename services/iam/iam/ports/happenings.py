"""The log of what happened under /global."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from iam.domain.happening import Happening


class Happenings(Protocol):
    """What happened, in the order of the commits. Notes are written with the facts (`Work.record`)."""

    async def newest(self) -> int:
        """Return the position of the newest; 0 if nothing ever happened."""
        ...

    async def oldest(self) -> int:
        """Return the position of the oldest that is still known; 0 if there is none."""
        ...

    async def after(self, position: int, limit: int) -> Sequence[Happening]:
        """Return what happened after a position, in order."""
        ...

    async def trim(self, before: datetime) -> int:
        """Forget what happened before that, but never the newest; return how many."""
        ...
