"""What the experiments service asks of the world."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from chassis.facts import Fact
from chassis.pages import PageAsk, Slice
from experiments.domain.experiment import Experiment, Status
from experiments.domain.metric import Metric, MetricKind
from experiments.ports.assigning import (
    FlagsDoor,
    HoldoutBook,
    LayerBook,
    PhaseBook,
    PlanBook,
    Publications,
)
from experiments.ports.measuring import Intake, Trials
from experiments.ports.reporting import ReportBook

__all__ = ["FlagsDoor"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which experiments of a tenant are wanted. `sort` is created_at, updated_at, key or
    name, with `-` before it for descending.

    `status` is meant as of `now`: a date of a schedule that has passed counts. `owner_id`: of theirs only, and all that
    is in `projects`.
    """

    ask: PageAsk
    now: datetime
    search: str = ""
    status: Status | None = None
    project: str = ""
    environment: str = ""
    owner_id: str | None = None
    projects: tuple[str, ...] = ()
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
    def phases(self) -> PhaseBook:
        """The phases, inside this transaction."""
        ...

    @property
    def plans(self) -> PlanBook:
        """The analysis plans, inside this transaction."""
        ...

    @property
    def publications(self) -> Publications:
        """What flags has to know, inside this transaction."""
        ...

    @property
    def layers(self) -> LayerBook:
        """The layers, inside this transaction."""
        ...

    @property
    def holdouts(self) -> HoldoutBook:
        """The holdouts, inside this transaction."""
        ...

    @property
    def reports(self) -> ReportBook:
        """The reports, inside this transaction."""
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
