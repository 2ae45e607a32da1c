"""One transaction over the audit schema."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from audit.ports import OpenWork, Work
from audit.store.log import SqlLog
from chassis.db import Sessions, transaction


class SqlWork:
    """The work of one use-case."""

    def __init__(self, session: AsyncSession) -> None:
        self.log = SqlLog(session)


def sql_work(sessions: Sessions) -> OpenWork:
    """Return the opener of transactions."""

    @asynccontextmanager
    async def work() -> AsyncGenerator[Work]:
        async with transaction(sessions) as session:
            yield SqlWork(session)

    return work
