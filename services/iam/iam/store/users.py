"""Users and their grants in PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, Uuid, func, or_, select, text, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.errors import BadRequest
from chassis.pages import PageAsk, Position, Slice, cut
from iam.domain.errors import EmailTaken, UsernameTaken
from iam.domain.grants import TENANT, Grant
from iam.domain.names import folded
from iam.domain.roles import ADMINISTRATORS
from iam.domain.user import User
from iam.ports import UserQuery
from iam.store.bindings import SqlGuests, rebound
from iam.store.clash import flushed
from iam.store.held import DEPTH, held_by
from iam.store.role_tables import GuestRow, RoleBindingRow
from iam.store.roles import given_in
from iam.store.tables import UserRow

_SORTS: dict[str, ColumnElement[Any]] = {
    "created_at": cast("ColumnElement[Any]", UserRow.created_at),
    "updated_at": cast("ColumnElement[Any]", UserRow.updated_at),
    "email": cast("ColumnElement[Any]", UserRow.email_key),
}
Conditions = list[ColumnElement[bool]]
_HERE = UserRow.deleted_at.is_(None)
# The columns of a user, with the tenants that they are a guest of.
_SEEN = (
    *("id", "tenant", "email", "username", "first_name", "last_name", "password", "active"),
    *("created_at", "updated_at", "last_login_at", "deleted_at", "version"),
)
_guest = select(GuestRow.tenant).where(GuestRow.user == UserRow.id).order_by(GuestRow.tenant)
_TENANTS = func.array(_guest.scalar_subquery(), type_=ARRAY(Uuid))
_COLUMNS = (*(getattr(UserRow, name) for name in _SEEN), _TENANTS.label("tenants"))
# Who can put a tenant in order, for good: to whom a role that does was given, or to a group that they are in.
_ADMINISTRATORS = text(
    """
    WITH RECURSIVE holders(id, steps) AS (
        SELECT principal, 0 FROM iam.role_binding
        WHERE role = ANY(CAST(:roles AS text[])) AND expires_at IS NULL
            AND (not_before IS NULL OR not_before <= clock_timestamp())
            AND (scope = 'platform' OR (scope = 'tenant' AND tenant = :tenant))
        UNION
        SELECT m.principal, h.steps + 1 FROM holders h JOIN iam.entity m ON m.parent = h.id
        WHERE m.collection = 'memberships' AND m.deleted_at IS NULL AND h.steps < :depth
    )
    SELECT count(DISTINCT u.id) FROM holders h JOIN iam."user" u ON u.id = h.id
    WHERE u.active AND u.deleted_at IS NULL AND u.id IS DISTINCT FROM CAST(:without AS uuid) AND (
        u.tenant = :tenant
        OR EXISTS (SELECT FROM iam.guest g WHERE g."user" = u.id AND g.tenant = :tenant)
    )
    """
)


class SqlUsers:
    """The users over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, tenant: UUID | None, user: UUID, *, lock: bool = False) -> User | None:
        """Return a user as they are in a tenant of theirs; in their own one if None."""
        query = select(UserRow).where(UserRow.id == user, _HERE)
        found = await self.read(query.with_for_update() if lock else query)
        return found[0] and _seen(found[0], tenant) if found else None

    async def list(self, query: UserQuery, ask: PageAsk) -> Slice[User]:
        """Return a part of a tenant's users, each as they are there; of all tenants, each at home, if None."""
        conditions = await self._wanted(query)
        total = await self._session.scalar(
            select(func.count()).select_from(UserRow).where(*conditions)
        )
        name = query.sort.removeprefix("-")
        ordered = _ordered(select(UserRow).where(*conditions), query.sort, ask)
        found = await self.read(ordered.offset(ask.offset).limit(ask.limit + 1))
        users = [seen for user in found if (seen := _seen(user, query.tenant))]
        items, following = cut(users, ask.limit, lambda user: _position(user, name))
        return Slice(items=items, next=following, total=total or 0)

    async def administrators(self, tenant: UUID, without: UUID | None) -> int:
        """Return how many active administrators, for good, a tenant has beside one user."""
        asked = {
            "tenant": tenant,
            "without": without,
            "roles": sorted(ADMINISTRATORS),
            "depth": DEPTH,
        }
        return await self._session.scalar(_ADMINISTRATORS, asked) or 0

    async def counts(self, tenant: UUID) -> Mapping[str, int]:
        """Return to how many users of a tenant each role, by its id, was given in all of it."""
        query = (
            select(RoleBindingRow.role, func.count(UserRow.id.distinct()))
            .join(UserRow, RoleBindingRow.principal == UserRow.id)
            .where(given_in(tenant, TENANT), _HERE)
            .group_by(RoleBindingRow.role)
        )
        return {role: count for role, count in await self._session.execute(query)}

    async def put(self, user: User) -> None:
        """Store a user with their grants, of a guest these only; EmailTaken or UsernameTaken on a clash."""
        mine = [RoleBindingRow.principal == user.id, RoleBindingRow.tenant == user.tenant]
        if user.guest:
            own = [grant for grant in user.grants if grant.scope != "platform"]
            return await rebound(self._session, user.id, user.tenant, own, *mine)
        values: dict[str, Any] = {f.name: getattr(user, f.name) for f in fields(user)}
        for elsewhere in ("grants", "home", "tenants", "elsewhere"):
            del values[elsewhere]
        username_key = None if user.username is None else folded(user.username)
        await self._session.merge(
            UserRow(**values, email_key=folded(user.email), username_key=username_key)
        )
        await flushed(self._session, _clashes(user))
        mine[1] = or_(mine[1], RoleBindingRow.tenant.is_(None))
        return await rebound(self._session, user.id, user.tenant, user.grants, *mine)

    async def read(self, query: Select[UserRow]) -> Sequence[User]:
        """Return the users that a query finds, with their grants everywhere, as they are at home."""
        rows = (await self._session.execute(query.with_only_columns(*_COLUMNS))).all()
        held = await held_by(self._session, [row.id for row in rows])
        return [_to_user(row, held.get(row.id, ())) for row in rows]

    async def _wanted(self, query: UserQuery) -> Conditions:
        conditions: Conditions = [_HERE]
        if (
            query.tenant is not None
        ):  # the few ids themselves, so that both sides of the OR use an index
            guests = await SqlGuests(self._session).of(query.tenant)
            here = UserRow.tenant == query.tenant
            among = UserRow.id.in_(guests)
            if query.guests:
                conditions.append(among)
            else:
                conditions.append(or_(here, among) if guests else here)
        texts = [UserRow.username, UserRow.first_name, UserRow.last_name]
        if query.brief:
            conditions.append(UserRow.active.is_(True))
        else:
            texts.append(UserRow.email)
        if query.search:
            conditions.append(or_(*(t.icontains(query.search, autoescape=True) for t in texts)))
        return conditions


def _seen(user: User, tenant: UUID | None) -> User | None:
    """Return a user as they are in a tenant; None if they are not in it."""
    if tenant is None or tenant == user.tenant:
        return user
    return user.within(tenant) if tenant in user.tenants else None


def _clashes(user: User) -> dict[str, EmailTaken | UsernameTaken]:
    return {
        "user_email_key": EmailTaken(f"a user with the address {user.email!r} exists"),
        "user_username_key": UsernameTaken(f"a user with the name {user.username!r} exists"),
    }


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


def _to_user(row: Row[*tuple[Any, ...]], grants: Sequence[Grant]) -> User:
    at_home = (g for g in grants if g.tenant in (None, row.tenant))
    return User(
        id=row.id,
        tenant=row.tenant,
        email=row.email,
        username=row.username,
        first_name=row.first_name,
        last_name=row.last_name,
        password=row.password,
        active=row.active,
        grants=tuple(sorted(replace(g, tenant=None) for g in at_home)),
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_login_at=row.last_login_at,
        deleted_at=row.deleted_at,
        version=row.version,
        tenants=tuple(row.tenants),
        elsewhere=tuple(sorted(g for g in grants if g.tenant not in (None, row.tenant))),
    )
