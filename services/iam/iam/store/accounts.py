"""Whoever logs in, in PostgreSQL: one statement for each question, because every login asks them all."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from iam.domain.account import Account
from iam.domain.names import folded
from iam.domain.tenant import PLATFORM
from iam.store.role_tables import GuestRow
from iam.store.tables import TenantRow, UserRow, table_of

USER, _GUEST = table_of(UserRow), table_of(GuestRow)
# The tenant that somebody acts in, and the one that their account belongs to: two where they are a guest.
THERE, HOME = table_of(TenantRow).alias("there"), table_of(TenantRow).alias("home")
NAME: ColumnElement[str] = func.coalesce(USER.c.username, USER.c.email)
OPEN: ColumnElement[bool] = and_(USER.c.active, THERE.c.active, HOME.c.active)
_guest = select(_GUEST.c.user).where(_GUEST.c.user == USER.c.id, _GUEST.c.tenant == THERE.c.id)
MEMBER: ColumnElement[bool] = or_(USER.c.tenant == THERE.c.id, _guest.exists())
_FOUND = (USER.c.id, THERE.c.id, NAME, USER.c.password, THERE.c.subdomain, OPEN)


class SqlAccounts:
    """The accounts over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def named(self, login: str, subdomain: str | None, limit: int) -> Sequence[Account]:
        """Return who may be meant by a name or an address, the platform's own and the oldest first."""
        key = folded(login)
        named = or_(USER.c.email_key == key, USER.c.username_key == key)
        if subdomain is None:
            first, where = THERE.c.subdomain == PLATFORM, USER.c.tenant == THERE.c.id
        else:
            first, where = USER.c.tenant == THERE.c.id, and_(THERE.c.subdomain == subdomain, MEMBER)
        query = _accounts(where).where(named).order_by(first.desc(), USER.c.id)
        return [_account(*row) for row in await self._session.execute(query.limit(limit))]

    async def get(self, tenant: UUID, user: UUID) -> Account | None:
        """Return an account as it is used in a tenant, locked until the work ends."""
        query = _accounts(and_(THERE.c.id == tenant, MEMBER)).where(USER.c.id == user)
        locked = query.with_for_update(of=USER, key_share=True)
        row = (await self._session.execute(locked)).one_or_none()
        return _account(*row) if row else None

    async def logged_in(self, user: UUID, at: datetime, rehashed: str | None) -> None:
        """Note a login, and a better hash of the same password if there is one."""
        better = {} if rehashed is None else {"password": rehashed}
        noted = update(USER).where(USER.c.id == user).values(last_login_at=at, **better)
        await self._session.execute(noted)


def _accounts(where: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    query = (
        select(*_FOUND).select_from(USER).join(HOME, HOME.c.id == USER.c.tenant).join(THERE, where)
    )
    return query.where(USER.c.deleted_at.is_(None))


def _account(
    id_: UUID, tenant: UUID, name: str, password: str, subdomain: str, open_: bool
) -> Account:
    return Account(
        id=id_, tenant=tenant, name=name, password=password, subdomain=subdomain, open=open_
    )
