"""What can be counted in iam's own tables, in one query."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from iam.domain.stats import Counted
from iam.store.happenings import HappeningRow
from iam.store.tables import ApiKeyRow, SessionRow, TenantRow, UserRow

DAY = timedelta(days=1)


class SqlCounts:
    """Counts over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def taken(self, now: datetime) -> Counted:
        """Count."""
        here = UserRow.deleted_at.is_(None)
        wanted: dict[str, tuple[ColumnElement[bool], ...]] = {
            "tenants": (TenantRow.id.is_not(None),),
            "tenants_active": (TenantRow.active.is_(True),),
            "users": (here,),
            "users_active": (here, UserRow.active.is_(True)),
            "sessions": (SessionRow.ended_at.is_(None), SessionRow.expires_at > now),
            "api_keys": (
                ApiKeyRow.revoked_at.is_(None),
                or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > now),
            ),
            "logins_24h": (SessionRow.created_at > now - DAY,),
            "users_seen_24h": (here, UserRow.last_login_at > now - DAY),
            "changes_24h": (HappeningRow.at > now - DAY,),
        }
        columns = [
            select(func.count()).where(*which).scalar_subquery().label(name)
            for name, which in wanted.items()
        ]
        row = (await self._session.execute(select(*columns))).mappings().one()
        return Counted(**{name: int(value) for name, value in row.items()})
