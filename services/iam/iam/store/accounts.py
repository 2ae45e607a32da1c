"""Whoever logs in, in PostgreSQL: one statement for each question, because every login asks them all."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from iam.domain.account import Account
from iam.domain.names import folded
from iam.domain.tenant import PLATFORM
from iam.store.role_tables import GuestRow
from iam.store.tables import TenantRow, UserRow

# The tenant that somebody acts in, and the one that their account belongs to: two where they are a guest.
THERE, HOME = aliased(TenantRow, name="there"), aliased(TenantRow, name="home")
NAME: ColumnElement[str] = func.coalesce(UserRow.username, UserRow.email)
OPEN: ColumnElement[bool] = and_(UserRow.active, THERE.active, HOME.active)
_guest = select(GuestRow.user).where(GuestRow.user == UserRow.id, GuestRow.tenant == THERE.id)
MEMBER: ColumnElement[bool] = or_(UserRow.tenant == THERE.id, _guest.exists())
_FOUND = (UserRow.id, THERE.id, NAME, UserRow.password, THERE.subdomain, OPEN)


class SqlAccounts:
    """The accounts over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def named(self, login: str, subdomain: str | None, limit: int) -> Sequence[Account]:
        """Return who may be meant by a name or an address, the platform's own and the oldest first."""
        key = folded(login)
        named = or_(UserRow.email_key == key, UserRow.username_key == key)
        if subdomain is None:
            first, where = THERE.subdomain == PLATFORM, UserRow.tenant == THERE.id
        else:
            first, where = UserRow.tenant == THERE.id, and_(THERE.subdomain == subdomain, MEMBER)
        query = _accounts(where).where(named).order_by(first.desc(), UserRow.id)
        return [_account(*row) for row in await self._session.execute(query.limit(limit))]

    async def get(self, tenant: UUID, user: UUID) -> Account | None:
        """Return an account as it is used in a tenant, locked until the work ends."""
        query = _accounts(and_(THERE.id == tenant, MEMBER)).where(UserRow.id == user)
        locked = query.with_for_update(of=UserRow, key_share=True)
        row = (await self._session.execute(locked)).one_or_none()
        return _account(*row) if row else None

    async def logged_in(self, user: UUID, at: datetime, rehashed: str | None) -> None:
        """Note a login, and a better hash of the same password if there is one."""
        better = {} if rehashed is None else {"password": rehashed}
        noted = update(UserRow).where(UserRow.id == user).values(last_login_at=at, **better)
        await self._session.execute(noted.execution_options(synchronize_session=False))


def _accounts(where: ColumnElement[bool]) -> Select[tuple[UUID, UUID, str, str, str, bool]]:
    query = select(*_FOUND).join(HOME, HOME.id == UserRow.tenant).join(THERE, where)
    return query.where(UserRow.deleted_at.is_(None))


def _account(
    id_: UUID, tenant: UUID, name: str, password: str, subdomain: str, open_: bool
) -> Account:
    return Account(
        id=id_, tenant=tenant, name=name, password=password, subdomain=subdomain, open=open_
    )
