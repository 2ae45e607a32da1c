"""Quotas in PostgreSQL. Taking is one statement, so that no two takers can have the same last piece."""

from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from compute.domain.errors import QuotaExceeded
from compute.domain.quota import RESOURCES, Amount, Quota
from compute.store.tables import UsedRow


class SqlQuotaBook:
    """The quotas over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, tenant: UUID, limit: Amount) -> Quota:
        """Return what a tenant may have and has."""
        query = select(UsedRow).where(UsedRow.tenant == tenant)
        row = await self._session.scalar(query.execution_options(populate_existing=True))
        used = Amount(**{name: getattr(row, name) for name in RESOURCES}) if row else Amount()
        return Quota(limit, used)

    async def take(self, tenant: UUID, limit: Amount, more: Amount) -> int:
        """Take from a quota and return the number of the tenant's next machine; QuotaExceeded if it is too much."""
        row = insert(UsedRow).values(tenant=tenant).on_conflict_do_nothing()
        await self._session.execute(row)
        columns = {name: getattr(UsedRow, name) for name in RESOURCES}
        fits = [col + getattr(more, name) <= getattr(limit, name) for name, col in columns.items()]
        after = {name: column + getattr(more, name) for name, column in columns.items()}
        taking = (
            update(UsedRow)
            .where(UsedRow.tenant == tenant, *fits)
            .values(**after, last_number=UsedRow.last_number + 1)
            .returning(UsedRow.last_number)
        )
        if (number := await self._session.scalar(taking)) is not None:
            return number
        (await self.find(tenant, limit)).taken(more)  # says what there is not enough of
        raise QuotaExceeded("the quota was used up a moment ago; try again")

    async def give_back(self, tenant: UUID, less: Amount) -> None:
        """Give back to a quota."""
        after = {name: getattr(UsedRow, name) - getattr(less, name) for name in RESOURCES}
        await self._session.execute(update(UsedRow).where(UsedRow.tenant == tenant).values(**after))
