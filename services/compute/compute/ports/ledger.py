"""What is asked of the world about usage and metering."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from chassis.pages import PageAsk, Slice
from compute.domain.metering import Interval
from compute.domain.usage import DIMENSIONS, Dimension, Kind, Line, Period, Record, Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageWanted:
    """Which usage is wanted: what occurred from `since` to `until` (exclusive), of one kind, agent or machine."""

    ask: PageAsk
    since: datetime
    until: datetime
    kind: Kind | None = None
    agent_id: UUID | None = None
    vm_id: UUID | None = None
    by: Sequence[Dimension] = DIMENSIONS
    period: Period = "day"


class Ledger(Protocol):
    """The records of usage of every tenant. They are appended and read, never changed."""

    async def enter(self, records: Sequence[Record]) -> Sequence[Record]:
        """Append what is not there yet; return for each, in order, the record that the ledger has under its key."""
        ...

    async def take(self, tenant: UUID, ids: Collection[UUID]) -> Sequence[Record]:
        """Return these records with all their corrections; nobody else corrects them until the work ends."""
        ...

    async def list(self, tenant: UUID, wanted: UsageWanted) -> Slice[Record]:
        """Return a part of the records, the newest first."""
        ...

    async def summary(self, tenant: UUID, wanted: UsageWanted) -> tuple[Slice[Line], Totals]:
        """Return a part of the lines of a summary, and the totals of all of them, as of one moment."""
        ...


class MeterBook(Protocol):
    """The machines that run, and since when."""

    async def take(self, vm_id: UUID) -> Interval | None:
        """Return the open interval of a machine, locked until the work ends; None if it is not running."""
        ...

    async def open_of(self, vm_ids: Collection[UUID]) -> frozenset[UUID]:
        """Return which of these machines have an open interval."""
        ...

    async def put(self, interval: Interval) -> None:
        """Keep an open interval, new or seen again."""
        ...

    async def drop(self, vm_id: UUID) -> None:
        """Forget an open interval: what it was is in the ledger."""
        ...

    async def beat(self, vm_ids: Collection[UUID], at: datetime) -> None:
        """Note that these machines, as far as they have an interval, were seen running."""
        ...

    async def due(self, most: int) -> Sequence[Interval]:
        """Return intervals with a full hour to cut off, locked; those that others have locked are left out."""
        ...
