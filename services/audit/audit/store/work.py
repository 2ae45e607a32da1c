"""One transaction over the audit schema."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from audit.ports import OpenWork, Vault, Work
from audit.store.keeping import SqlKeeping
from audit.store.log import SqlLog
from audit.store.people import SqlPeople
from audit.store.streams import SqlStreams
from audit.store.tables import Lease
from audit.store.trees import SqlTrees
from chassis.db import Sessions, transaction
from chassis.leases import hold


class SqlWork:
    """The work of one use-case."""

    def __init__(self, session: AsyncSession, vault: Vault) -> None:
        self.people = SqlPeople(session)
        self.keeping = SqlKeeping(session)
        self.streams = SqlStreams(session, vault)
        self.trees = SqlTrees(session)
        self.log = SqlLog(session, self.people, vault)


def sql_work(sessions: Sessions, vault: Vault) -> OpenWork:
    """Return the opener of transactions."""

    @asynccontextmanager
    async def work() -> AsyncGenerator[Work]:
        async with transaction(sessions) as session:
            yield SqlWork(session, vault)

    return work


def leases(sessions: Sessions, seconds: float = 10.0) -> Callable[[str], Awaitable[bool]]:
    """Return what takes or renews a lease, and tells whether this process has it."""

    async def alone(name: str) -> bool:
        async with transaction(sessions) as session:
            return await hold(session, Lease, name, seconds) is not None

    return alone
