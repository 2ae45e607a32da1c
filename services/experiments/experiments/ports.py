"""What the experiments service asks of the world."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from chassis.facts import Fact
from chassis.pages import PageAsk, Slice
from experiments.domain.experiment import Experiment, Status
from experiments.domain.intake import SeenEvent, SeenExposure
from experiments.domain.metric import Metric, MetricKind
from experiments.domain.trial import Cell, Frozen, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which experiments of a tenant are wanted. `sort` is created_at, updated_at, key or
    name, with `-` before it for descending.

    `status` is meant as of `now`: a date of a schedule that has passed counts.
    """

    ask: PageAsk
    now: datetime
    search: str = ""
    status: Status | None = None
    owner_id: str | None = None
    sort: str = "-created_at"


class ExperimentBook(Protocol):
    """The experiments of every tenant, as they were last written down."""

    async def find(self, tenant: UUID, name: str) -> Experiment | None:
        """Return the experiment with this id or key; None if there is none."""
        ...

    async def take(self, tenant: UUID, name: str) -> Experiment | None:
        """Return the experiment with this id or key, locked until the work ends; None if there is none."""
        ...

    async def list(self, tenant: UUID, wanted: Wanted) -> Slice[Experiment]:
        """Return a part of a tenant's experiments."""
        ...

    async def add(self, experiment: Experiment) -> None:
        """Keep a new experiment; KeyTaken if the tenant has one with its key."""
        ...

    async def put(self, before: Experiment, after: Experiment) -> None:
        """Keep an experiment as it is now; ChangedMeanwhile if it is no longer as it was before."""
        ...

    async def remove(self, experiment: Experiment) -> None:
        """Forget an experiment."""
        ...

    async def take_due(self, now: datetime, tenant: UUID | None) -> Experiment | None:
        """Return an experiment that the clock has moved, locked, passing over what others have locked."""
        ...

    async def next_due(self) -> datetime | None:
        """Return when the clock will next move an experiment, of whichever tenant."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedMetrics:
    """Which metrics of a tenant are wanted. `sort` as for experiments."""

    ask: PageAsk
    search: str = ""
    kind: MetricKind | None = None
    owner_id: str | None = None
    sort: str = "-created_at"


class MetricBook(Protocol):
    """The metrics of every tenant. One that was deleted is found no more, and its key is free."""

    async def find(self, tenant: UUID, name: str) -> Metric | None:
        """Return the metric with this id or key; None if there is none."""
        ...

    async def take(self, tenant: UUID, name: str) -> Metric | None:
        """Return the metric with this id or key, locked until the work ends; None if there is none."""
        ...

    async def list(self, tenant: UUID, wanted: WantedMetrics) -> Slice[Metric]:
        """Return a part of a tenant's metrics."""
        ...

    async def add(self, metric: Metric) -> None:
        """Keep a new metric; MetricKeyTaken if the tenant has one with its key."""
        ...

    async def put(self, metric: Metric) -> None:
        """Keep a locked metric as it is now."""
        ...

    async def remove(self, metric: Metric) -> None:
        """Forget a locked metric."""
        ...

    async def running_with(self, metric: Metric) -> Sequence[str]:
        """Return the keys of the experiments that are ACTIVE or PAUSED and measure this metric."""
        ...


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
        """Keep the metrics of an experiment as they are now."""
        ...

    async def absorb(self) -> Absorbed:
        """Make what was laid out part of the state."""
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


class Work(Protocol):
    """One transaction: everything in it is kept, or nothing is."""

    @property
    def experiments(self) -> ExperimentBook:
        """The experiments, inside this transaction."""
        ...

    @property
    def metrics(self) -> MetricBook:
        """The metrics, inside this transaction."""
        ...

    @property
    def intake(self) -> Intake:
        """The state of exposures and events, inside this transaction."""
        ...

    @property
    def trials(self) -> Trials:
        """Experiments as their data see them, inside this transaction."""
        ...

    async def lead(self, seconds: float) -> bool:
        """Take the scheduler's lease, or renew it; tell whether it is ours."""
        ...

    def record(self, fact: Fact) -> None:
        """Leave a fact for the audit log, kept together with the change."""
        ...


OpenWork = Callable[[], AbstractAsyncContextManager[Work]]
