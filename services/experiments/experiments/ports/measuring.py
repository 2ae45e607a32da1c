"""What is asked of the world about data: how they come in, where they wait, what they become."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from experiments.domain.intake import SeenEvent, SeenExposure
from experiments.domain.trial import Cell, Frozen, Trial


@dataclass(frozen=True, slots=True)
class Parcel:
    """Exposures or events of one shard, packed: `n` items in `body`. `mark` is what a stream knows it by."""

    kind: str
    shard: int
    n: int
    body: bytes
    mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Absorbed:
    """What became of a batch: events that were new, units that were new or changed, groups that moved cells."""

    events: int
    exposures: int
    cells: int


class Stream(Protocol):
    """Where parcels wait, outside the database. Unavailable where it cannot be trusted to keep them."""

    async def put(self, parcels: Sequence[Parcel]) -> None:
        """Hand parcels over; Unavailable if that is not certain."""
        ...

    async def read(self, shard: int, most: int) -> Sequence[Parcel]:
        """Return parcels of a shard, the oldest first, of about `most` items together; they stay."""
        ...

    async def drop(self, shard: int, parcels: Sequence[Parcel]) -> None:
        """Forget parcels that have been absorbed."""
        ...

    async def shards_waiting(self) -> set[int]:
        """Return the shards for which something waits."""
        ...


class Pack(Protocol):
    """How items become parcels, one a shard."""

    def events(self, events: Sequence[SeenEvent]) -> Sequence[Parcel]:
        """Pack events."""
        ...

    def exposures(self, exposures: Sequence[SeenExposure]) -> Sequence[Parcel]:
        """Pack exposures."""
        ...


class Intake(Protocol):
    """The state that exposures and events become. Hold a shard before anything is absorbed into it."""

    async def hold(self, shard: int) -> bool:
        """Lock a shard until the work ends; False if another worker has it."""
        ...

    async def leave(self, parcels: Sequence[Parcel]) -> None:
        """Keep parcels until a worker takes them: once committed they cannot be lost."""
        ...

    async def take(self, shard: int, most: int) -> Sequence[Parcel]:
        """Take parcels of a shard off the inbox, the oldest first, of about `most` items together."""
        ...

    async def shards_waiting(self) -> set[int]:
        """Return the shards with something in the inbox."""
        ...

    async def lay_out(self, parcels: Sequence[Parcel]) -> Sequence[UUID]:
        """Lay parcels out to be absorbed; return the experiments of whose metrics nothing is frozen yet."""
        ...

    async def freeze(self, experiment: UUID, metrics: Sequence[Frozen]) -> None:
        """Keep the metrics of an experiment as they are now; drop what was laid out for one that is gone."""
        ...

    async def close(self, experiment: UUID, closes: datetime | None, since: datetime) -> None:
        """Let what units do from `closes` on not count (None: all counts).

        What was counted otherwise since `since` is put right as the shards are absorbed into next.
        """
        ...

    async def forget(self, experiment: UUID) -> None:
        """Measure an experiment no more, and forget its cells."""
        ...

    async def absorb(self) -> Absorbed:
        """Make what was laid out part of the state."""
        ...

    async def join(self, unit: bytes, same_as: bytes) -> bool:
        """Make a unit another one with all it has seen and done; False if they are one already."""
        ...


class Trials(Protocol):
    """Experiments as their data see them, each as the clock has it at `now`."""

    async def named(self, tenant: UUID, names: Collection[str], now: datetime) -> dict[str, Trial]:
        """Return the experiments of a tenant with these ids or keys, under the names they were asked by."""
        ...

    async def definitions(self, experiment: UUID) -> Sequence[Frozen]:
        """Return the metrics that an experiment names, as they are now, numbered from 1; those that exist."""
        ...

    async def frozen(self, experiment: UUID) -> Sequence[Frozen]:
        """Return the metrics that an experiment began with; nothing before its first data."""
        ...

    async def cells(self, experiment: UUID, dimension: str) -> Sequence[Cell]:
        """Return the cells of all units (an empty dimension), or those of every value of one."""
        ...

    async def dimensions(self, experiment: UUID) -> Sequence[str]:
        """Return what was recorded of units, besides the day."""
        ...

    async def guarded(self, now: datetime) -> Sequence[Trial]:
        """Return the ACTIVE experiments of all tenants that are to pause when a guardrail is harmed."""
        ...
