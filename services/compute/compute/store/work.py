"""One transaction over the compute schema."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import outbox
from chassis.db import Sessions, after_commit, transaction
from chassis.facts import Fact
from compute.ports import OpenWork, Work
from compute.store.agents import SqlAgentBook
from compute.store.happenings import SqlLog, SqlOperationBook
from compute.store.images import SqlImageBook
from compute.store.leases import SqlLeases
from compute.store.metering import SqlMeterBook
from compute.store.quotas import SqlQuotaBook
from compute.store.snapshots import SqlSnapshotBook
from compute.store.tables import Outbox
from compute.store.templates import SqlTemplateBook
from compute.store.tickets import SqlTickets
from compute.store.usage import SqlLedger
from compute.store.vms import SqlVmBook

Wake = Callable[[], None]


class SqlWork:
    """The work of one use-case."""

    def __init__(self, session: AsyncSession, wake: Wake, stir: Wake) -> None:
        self._session = session
        self._wake = wake
        self._stir = stir
        self.vms = SqlVmBook(session)
        self.templates = SqlTemplateBook(session)
        self.quotas = SqlQuotaBook(session)
        self.operations = SqlOperationBook(session)
        self.log = SqlLog(session)
        self.leases = SqlLeases(session)
        self.tickets = SqlTickets(session)
        self.agents = SqlAgentBook(session)
        self.ledger = SqlLedger(session)
        self.meter = SqlMeterBook(session)
        self.images = SqlImageBook(session)
        self.snapshots = SqlSnapshotBook(session)

    def record(self, fact: Fact) -> None:
        """Leave a fact for the audit log, kept together with the change."""
        outbox.record(self._session, Outbox, fact, self._wake)

    def stir(self) -> None:
        """Tell whoever makes wishes come true, once this is committed."""
        after_commit(self._session, self._stir)


def sql_work(sessions: Sessions, wake: Wake, stir: Wake = lambda: None) -> OpenWork:
    """Return the opener of transactions; a commit with a fact wakes the relay, one with a wish the worker."""

    @asynccontextmanager
    async def work() -> AsyncGenerator[Work]:
        async with transaction(sessions) as session:
            yield SqlWork(session, wake, stir)

    return work
