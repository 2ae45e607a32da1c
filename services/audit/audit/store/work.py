"""One transaction over the audit schema."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from audit.ports import OpenWork, Vault, Work
from audit.store.log import SqlLog
from audit.store.people import SqlPeople
from chassis.db import Sessions, transaction


class SqlWork:
    """The work of one use-case."""

    def __init__(self, session: AsyncSession, vault: Vault) -> None:
        self.people = SqlPeople(session)
        self.log = SqlLog(session, self.people, vault)


def sql_work(sessions: Sessions, vault: Vault) -> OpenWork:
    """Return the opener of transactions."""

    @asynccontextmanager
    async def work() -> AsyncGenerator[Work]:
        async with transaction(sessions) as session:
            yield SqlWork(session, vault)

    return work
