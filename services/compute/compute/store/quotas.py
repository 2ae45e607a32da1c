"""Quotas in PostgreSQL. Taking is one statement, so that no two takers can have the same last piece."""

from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from compute.domain.errors import QuotaExceeded
from compute.domain.quota import RESOURCES, Amount, Limits, Quota
from compute.store.tables import UsedRow


class SqlQuotaBook:
    """The quotas over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, tenant: UUID, limit: Amount) -> Quota:
        """Return what a tenant may have and has."""
        query = select(UsedRow).where(UsedRow.tenant == tenant)
        row = await self._session.scalar(query.execution_options(populate_existing=True))
        return _quota_of(row, limit) if row else Quota(limit)

    async def lock(self, tenant: UUID, limit: Amount) -> Quota:
        """Return the same; nobody takes, gives back or sets until the work ends."""
        await self._begin(tenant)
        query = select(UsedRow).where(UsedRow.tenant == tenant).with_for_update()
        row = await self._session.scalar(query.execution_options(populate_existing=True))
        assert row is not None
        return _quota_of(row, limit)

    async def put(self, tenant: UUID, quota: Quota) -> None:
        """Keep the limits of a quota that was locked before."""
        said = {f"max_{name}": getattr(quota.limits, name) for name in RESOURCES}
        change = update(UsedRow).where(UsedRow.tenant == tenant)
        await self._session.execute(change.values(**said, version=quota.version))

    async def take(self, tenant: UUID, limit: Amount, more: Amount) -> int:
        """Take from a quota; return the number of the machine, if one is in it, else of the last. QuotaExceeded."""
        await self._begin(tenant)
        columns = {name: getattr(UsedRow, name) for name in RESOURCES}
        fits = [
            column + getattr(more, name)
            <= func.coalesce(getattr(UsedRow, f"max_{name}"), getattr(limit, name))
            for name, column in columns.items()
            if getattr(more, name)
        ]
        after = {name: column + getattr(more, name) for name, column in columns.items()}
        taking = (
            update(UsedRow)
            .where(UsedRow.tenant == tenant, *fits)
            .values(**after, last_number=UsedRow.last_number + more.vms)
            .returning(UsedRow.last_number)
        )
        if (number := await self._session.scalar(taking)) is not None:
            return number
        (await self.find(tenant, limit)).taken(more)  # says what there is not enough of
        raise QuotaExceeded("the quota was used up a moment ago; try again")

    async def _begin(self, tenant: UUID) -> None:
        row = insert(UsedRow).values(tenant=tenant).on_conflict_do_nothing()
        await self._session.execute(row)

    async def give_back(self, tenant: UUID, less: Amount) -> None:
        """Give back to a quota."""
        after = {name: getattr(UsedRow, name) - getattr(less, name) for name in RESOURCES}
        await self._session.execute(update(UsedRow).where(UsedRow.tenant == tenant).values(**after))


def _quota_of(row: UsedRow, default: Amount) -> Quota:
    used = Amount(**{name: getattr(row, name) for name in RESOURCES})
    limits = Limits(**{name: getattr(row, f"max_{name}") for name in RESOURCES})
    return Quota(limits.over(default), used, limits, row.version)
