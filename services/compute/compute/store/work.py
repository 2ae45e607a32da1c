"""One transaction over the compute schema."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.db import Sessions, transaction
from chassis.facts import Fact
from compute.ports import OpenWork, Work
from compute.store.agents import SqlAgentBook
from compute.store.metering import SqlMeterBook
from compute.store.quotas import SqlQuotaBook
from compute.store.tables import Outbox
from compute.store.templates import SqlTemplateBook
from compute.store.usage import SqlLedger
from compute.store.vms import SqlVmBook


class SqlWork:
    """The work of one use-case."""

    def __init__(self, session: AsyncSession, wake: Callable[[], None]) -> None:
        self._session = session
        self._wake = wake
        self.vms = SqlVmBook(session)
        self.templates = SqlTemplateBook(session)
        self.quotas = SqlQuotaBook(session)
        self.agents = SqlAgentBook(session)
        self.ledger = SqlLedger(session)
        self.meter = SqlMeterBook(session)

    def record(self, fact: Fact) -> None:
        """Leave a fact for the audit log, kept together with the change."""
        outbox.record(self._session, Outbox, fact, self._wake)


def sql_work(sessions: Sessions, wake: Callable[[], None]) -> OpenWork:
    """Return the opener of transactions; each commit that leaves a fact wakes the relay."""

    @asynccontextmanager
    async def work() -> AsyncGenerator[Work]:
        async with transaction(sessions) as session:
            yield SqlWork(session, wake)

    return work
