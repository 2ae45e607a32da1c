"""Users and their grants in PostgreSQL."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import BadRequest
from chassis.pages import PageAsk, Position, Slice, cut
from iam.domain.errors import EmailTaken, UsernameTaken
from iam.domain.names import folded
from iam.domain.roles import ADMINISTRATORS, Role
from iam.domain.tenant import PLATFORM
from iam.domain.user import Grant, Scope, User
from iam.ports import UserQuery
from iam.store.clash import flushed
from iam.store.roles import roles_named
from iam.store.tables import RoleBindingRow, TenantRow, UserRow

_SORTS: dict[str, ColumnElement[Any]] = {
    "created_at": cast("ColumnElement[Any]", UserRow.created_at),
    "updated_at": cast("ColumnElement[Any]", UserRow.updated_at),
    "email": cast("ColumnElement[Any]", UserRow.email_key),
}
_HERE = UserRow.deleted_at.is_(None)
_NOW = func.clock_timestamp()
_IN_FORCE = and_(
    or_(RoleBindingRow.not_before.is_(None), RoleBindingRow.not_before <= _NOW),
    or_(RoleBindingRow.expires_at.is_(None), RoleBindingRow.expires_at > _NOW),
)


class SqlUsers:
    """The users over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, tenant: UUID | None, user: UUID, *, lock: bool = False) -> User | None:
        """Return a user of a tenant, or of any if None."""
        query = select(UserRow).where(UserRow.id == user, _HERE)
        if tenant is not None:
            query = query.where(UserRow.tenant == tenant)
        found = await self.read(query.with_for_update() if lock else query)
        return found[0] if found else None

    async def named(self, login: str, subdomain: str | None, limit: int) -> Sequence[User]:
        """Return who may be meant by a name or an address, the platform's own and the oldest first."""
        key = folded(login)
        query = (
            select(UserRow)
            .join(TenantRow, TenantRow.id == UserRow.tenant)
            .where(or_(UserRow.email_key == key, UserRow.username_key == key), _HERE)
            .order_by((TenantRow.subdomain == PLATFORM).desc(), UserRow.id)
            .limit(limit)
        )
        if subdomain is not None:
            query = query.where(TenantRow.subdomain == subdomain)
        return await self.read(query)

    async def list(self, query: UserQuery, ask: PageAsk) -> Slice[User]:
        """Return a part of a tenant's users."""
        conditions = _wanted(query)
        total = await self._session.scalar(
            select(func.count()).select_from(UserRow).where(*conditions)
        )
        name = query.sort.removeprefix("-")
        ordered = _ordered(select(UserRow).where(*conditions), query.sort, ask)
        users = await self.read(ordered.offset(ask.offset).limit(ask.limit + 1))
        items, following = cut(users, ask.limit, lambda user: _position(user, name))
        return Slice(items=items, next=following, total=total or 0)

    async def administrators(self, tenant: UUID, without: UUID) -> int:
        """Return how many active administrators, for good, a tenant has beside one user."""
        query = (
            select(func.count(UserRow.id.distinct()))
            .join(RoleBindingRow, RoleBindingRow.principal == UserRow.id)
            .where(UserRow.tenant == tenant, UserRow.id != without, UserRow.active, _HERE)
            .where(RoleBindingRow.role.in_(ADMINISTRATORS))
            .where(RoleBindingRow.expires_at.is_(None), _IN_FORCE)
        )
        return await self._session.scalar(query) or 0

    async def counts(self, tenant: UUID) -> Mapping[str, int]:
        """Return to how many users of a tenant each role, by its id, was given."""
        query = (
            select(RoleBindingRow.role, func.count(UserRow.id.distinct()))
            .join(UserRow, RoleBindingRow.principal == UserRow.id)
            .where(UserRow.tenant == tenant, _HERE)
            .group_by(RoleBindingRow.role)
        )
        return {role: count for role, count in await self._session.execute(query)}

    async def put(self, user: User) -> None:
        """Store a user with their grants; EmailTaken or UsernameTaken on a clash."""
        values: dict[str, Any] = {f.name: getattr(user, f.name) for f in fields(user)}
        grants: tuple[Grant, ...] = values.pop("grants")
        username_key = None if user.username is None else folded(user.username)
        await self._session.merge(
            UserRow(**values, email_key=folded(user.email), username_key=username_key)
        )
        await flushed(self._session, _clashes(user))
        await self._bind(user.id, grants)

    async def logged_in(self, user: UUID, at: datetime, rehashed: str | None) -> None:
        """Note a login, and a better hash of the same password if there is one."""
        better = {} if rehashed is None else {"password": rehashed}
        await self._session.execute(
            update(UserRow).where(UserRow.id == user).values(last_login_at=at, **better)
        )

    async def _bind(self, user: UUID, grants: Sequence[Grant]) -> None:
        mine = RoleBindingRow.principal == user
        await self._session.execute(delete(RoleBindingRow).where(mine))
        self._session.add_all(_to_binding(user, grant) for grant in grants)
        await self._session.flush()

    async def read(self, query: Select[UserRow]) -> Sequence[User]:
        """Return the users that a query finds, with their grants."""
        rows = (await self._session.scalars(query)).all()
        grants = await self._grants([row.id for row in rows])
        return [_to_user(row, grants[row.id]) for row in rows]

    async def _grants(self, users: Sequence[UUID]) -> Mapping[UUID, Sequence[Grant]]:
        wanted = select(RoleBindingRow, _IN_FORCE).where(RoleBindingRow.principal.in_(users))
        fresh = wanted.execution_options(populate_existing=True)
        found = (await self._session.execute(fresh)).all()
        own = await roles_named(self._session, {row.role for row, _ in found})
        grants: dict[UUID, list[Grant]] = defaultdict(list)
        for row, in_force in found:
            grants[row.principal].append(_to_grant(row, own.get(row.role), in_force=in_force))
        return grants


def _to_binding(user: UUID, grant: Grant) -> RoleBindingRow:
    return RoleBindingRow(
        principal=user,
        role=grant.role,
        scope=grant.scope,
        not_before=grant.not_before,
        expires_at=grant.expires_at,
        granted_by=grant.granted_by,
        reason=grant.reason,
        begun=grant.in_force,
    )


def _to_grant(row: RoleBindingRow, custom: Role | None, *, in_force: bool) -> Grant:
    return Grant(
        role=row.role,
        scope=cast("Scope", row.scope),
        not_before=row.not_before,
        expires_at=row.expires_at,
        granted_by=row.granted_by,
        reason=row.reason,
        custom=custom,
        in_force=in_force,
    )


def _clashes(user: User) -> dict[str, EmailTaken | UsernameTaken]:
    return {
        "user_email_key": EmailTaken(f"a user with the address {user.email!r} exists"),
        "user_username_key": UsernameTaken(f"a user with the name {user.username!r} exists"),
    }


def _wanted(query: UserQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [UserRow.tenant == query.tenant, _HERE]
    texts = [UserRow.username, UserRow.first_name, UserRow.last_name]
    if query.brief:
        conditions.append(UserRow.active.is_(True))
    else:
        texts.append(UserRow.email)
    if query.search:
        conditions.append(or_(*(t.icontains(query.search, autoescape=True) for t in texts)))
    return conditions


def _ordered(query: Select[UserRow], sort: str, ask: PageAsk) -> Select[UserRow]:
    name, down = sort.removeprefix("-"), sort.startswith("-")
    column = _SORTS[name]
    if ask.after is not None:
        position, row = _opened(ask.after, name), tuple_(column, UserRow.id)
        query = query.where(row < position if down else row > position)
    order = (column.desc(), UserRow.id.desc()) if down else (column, UserRow.id)
    return query.order_by(*order)


def _position(user: User, name: str) -> Position:
    value = folded(user.email) if name == "email" else getattr(user, name).isoformat()
    return value, str(user.id)


def _opened(position: Position, name: str) -> Any:  # noqa: ANN401 - a row of two columns
    try:
        value, id_ = position
        return tuple_(value if name == "email" else datetime.fromisoformat(value), UUID(id_))
    except ValueError:
        raise BadRequest("this cursor belongs to another order", code="bad_cursor") from None


def _to_user(row: UserRow, grants: Sequence[Grant]) -> User:
    return User(
        id=row.id,
        tenant=row.tenant,
        email=row.email,
        username=row.username,
        first_name=row.first_name,
        last_name=row.last_name,
        password=row.password,
        active=row.active,
        grants=tuple(sorted(grants)),
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_login_at=row.last_login_at,
        deleted_at=row.deleted_at,
        version=row.version,
    )
