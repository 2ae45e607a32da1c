"""What usage asks of the store."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from flags.domain.flag import Flag
from flags.domain.place import Environment
from flags.domain.usage import Count, Period, Slot, Used


class UsageBook(Protocol):
    """How often every flag was used, hour by hour."""

    async def count(self, counts: Sequence[tuple[Slot, int]]) -> None:
        """Add to what was counted so far; what belongs to no flag is left out."""
        ...

    async def of_flag(
        self, flag: Flag, environment: Environment, period: Period
    ) -> Sequence[Count]:
        """Return the counts of a flag in a period, oldest first."""
        ...

    async def last(self, flag: Flag, environment: Environment) -> datetime | None:
        """Return the last hour in which a flag was asked for; None if it never was."""
        ...

    async def lately(self, environment: Environment, since: datetime) -> Sequence[Used]:
        """Return the use of every flag that was ever asked for in an environment, with its variants since a moment."""
        ...

    async def begun(self, environment: Environment) -> datetime | None:
        """Return the first hour in which anything was counted in an environment; None if nothing was."""
        ...

    async def forget(self, before: datetime) -> None:
        """Forget what was counted before a moment, and what belongs to nothing any more."""
        ...
