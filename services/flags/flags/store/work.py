"""One transaction over the flags schema."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Sessions, transaction
from chassis.facts import Fact
from chassis.outbox import record
from flags.ports import OpenWork, Work
from flags.ports.serving import News
from flags.store.allocations import SqlAllocationBook
from flags.store.flags import SqlFlagBook
from flags.store.plans import SqlRollouts, SqlSchedules
from flags.store.projects import SqlProjectBook
from flags.store.requests import SqlRequests
from flags.store.revisions import SqlRevisionBook
from flags.store.segments import SqlSegmentBook
from flags.store.tables import Outbox
from flags.store.usage import SqlUsage
from flags.store.uses import SqlUses


class SqlWork:
    """The work of one use-case."""

    def __init__(self, session: AsyncSession, wake: Callable[[], None], news: News) -> None:
        self._session = session
        self._wake = wake
        self.projects = SqlProjectBook(session, news)
        self.flags = SqlFlagBook(session)
        self.segments = SqlSegmentBook(session)
        self.history = SqlRevisionBook(session)
        self.uses = SqlUses(session)
        self.usage = SqlUsage(session)
        self.schedules = SqlSchedules(session)
        self.rollouts = SqlRollouts(session)
        self.allocations = SqlAllocationBook(session)
        self.requests = SqlRequests(session)

    def record(self, fact: Fact) -> None:
        """Leave a fact for the audit log, kept together with the change."""
        record(self._session, Outbox, fact, self._wake)


def sql_work(sessions: Sessions, wake: Callable[[], None], news: News) -> OpenWork:
    """Return the opener of transactions. A commit wakes the relay and announces changed places."""

    @asynccontextmanager
    async def work() -> AsyncGenerator[Work]:
        async with transaction(sessions) as session:
            yield SqlWork(session, wake, news)

    return work
