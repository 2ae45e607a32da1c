"""One transaction over the experiments schema."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import leases, outbox
from chassis.db import Sessions, transaction
from chassis.facts import Fact
from experiments.ports import OpenWork, Work
from experiments.store.experiments import SqlExperimentBook
from experiments.store.intake import SqlIntake
from experiments.store.layers import SqlHoldouts, SqlLayers
from experiments.store.metrics import SqlMetricBook
from experiments.store.phases import SqlPhases, SqlPlans, SqlPublications
from experiments.store.reports import SqlReports
from experiments.store.tables import Lease, Outbox
from experiments.store.trials import SqlTrials


class SqlWork:
    """The work of one use-case. `holder` is who takes leases, this process unless said otherwise."""

    def __init__(self, session: AsyncSession, wake: Callable[[], None], holder: str) -> None:
        self._session = session
        self._wake = wake
        self._holder = holder
        self.experiments = SqlExperimentBook(session)
        self.metrics = SqlMetricBook(session)
        self.phases = SqlPhases(session)
        self.plans = SqlPlans(session)
        self.publications = SqlPublications(session)
        self.layers = SqlLayers(session)
        self.holdouts = SqlHoldouts(session)
        self.reports = SqlReports(session)
        self.intake = SqlIntake(session)
        self.trials = SqlTrials(session)

    async def lead(self, seconds: float) -> bool:
        """Take the scheduler's lease, or renew it; tell whether it is ours."""
        held = await leases.hold(self._session, Lease, "scheduler", seconds, self._holder)
        return held is not None

    def record(self, fact: Fact) -> None:
        """Leave a fact for the audit log, kept together with the change."""
        outbox.record(self._session, Outbox, fact, self._wake)


def sql_work(sessions: Sessions, wake: Callable[[], None], holder: str = leases.HOLDER) -> OpenWork:
    """Return the opener of transactions; each commit that leaves a fact wakes whoever waits for one."""

    @asynccontextmanager
    async def work() -> AsyncGenerator[Work]:
        async with transaction(sessions) as session:
            yield SqlWork(session, wake, holder)

    return work
