"""Who was given which role, and who is a guest, in PostgreSQL."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from iam.domain.grants import Grant, Scope, Where
from iam.domain.reach_errors import AlreadyMember
from iam.domain.roles import Role
from iam.ports.bindings import Turned
from iam.store.clash import flushed
from iam.store.held import DEPTH
from iam.store.role_tables import GuestRow, RoleBindingRow
from iam.store.roles import roles_named
from iam.store.tables import EntityRow, UserRow

_NOW = func.clock_timestamp()
IN_FORCE = and_(
    or_(RoleBindingRow.not_before.is_(None), RoleBindingRow.not_before <= _NOW),
    or_(RoleBindingRow.expires_at.is_(None), RoleBindingRow.expires_at > _NOW),
)
# The groups with any role that somebody is in; those who are in groups; both at most `depth` steps away.
_UP = text(
    """
    WITH RECURSIVE reached(who, id, steps) AS (
        SELECT u, u, 0 FROM unnest(CAST(:ids AS uuid[])) u
        UNION
        SELECT r.who, m.parent, r.steps + 1 FROM reached r JOIN iam.entity m ON m.principal = r.id
        WHERE m.collection = 'memberships' AND m.deleted_at IS NULL AND r.steps < :depth
    )
    SELECT DISTINCT r.who, r.id FROM reached r
    WHERE r.steps > 0 AND EXISTS (SELECT FROM iam.role_binding b WHERE b.principal = r.id)
    """
)
_DOWN = text(
    """
    WITH RECURSIVE reached(id, steps) AS (
        SELECT u, 0 FROM unnest(CAST(:ids AS uuid[])) u
        UNION
        SELECT m.principal, r.steps + 1 FROM reached r JOIN iam.entity m ON m.parent = r.id
        WHERE m.collection = 'memberships' AND m.deleted_at IS NULL AND r.steps < :depth
    )
    SELECT DISTINCT id FROM reached
    """
)


class SqlBindings:
    """The bindings over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def of(self, tenant: UUID, principal: UUID) -> Sequence[Grant]:
        """Return what was given to a principal itself in a tenant."""
        mine = (RoleBindingRow.principal == principal, RoleBindingRow.tenant == tenant)
        found = (await grants_where(self._session, *mine))[principal]
        return sorted(replace(grant, tenant=None) for grant in found)

    async def put(self, tenant: UUID, principal: UUID, grants: Sequence[Grant]) -> None:
        """Let a principal hold exactly these in a tenant."""
        mine = (RoleBindingRow.principal == principal, RoleBindingRow.tenant == tenant)
        await rebound(self._session, principal, tenant, grants, *mine)

    async def at(self, tenant: UUID, where: Where) -> Sequence[UUID]:
        """Return to whom anything was given at a project or a thing."""
        query = select(RoleBindingRow.principal).where(*_there(tenant, where)).distinct()
        return (await self._session.scalars(query)).all()

    async def clear(self, tenant: UUID, where: Where) -> None:
        """Take everything back that was given at a project or a thing."""
        await self._session.execute(delete(RoleBindingRow).where(*_there(tenant, where)))

    async def holders(self, role: str) -> Sequence[UUID]:
        """Return to whom a role was given at all, wherever."""
        gone = select(UserRow.id).where(UserRow.id == RoleBindingRow.principal)
        live = ~gone.where(UserRow.deleted_at.is_not(None)).exists()
        query = select(RoleBindingRow.principal).where(RoleBindingRow.role == role, live).distinct()
        return (await self._session.scalars(query)).all()

    async def reached(self, principals: Collection[UUID]) -> Sequence[UUID]:
        """Return these principals, and who is in them at most ten steps away if they are groups."""
        if not principals:
            return []
        asked = {"ids": list(principals), "depth": DEPTH}
        return (await self._session.scalars(_DOWN, asked)).all()

    async def through(self, group: UUID) -> Sequence[Grant]:
        """Return what being in a group gives: what it and the groups that it is in were given."""
        above = (await groups_of(self._session, [group])).get(group, ())
        mine = RoleBindingRow.principal.in_([group, *above])
        found = await grants_where(self._session, mine)
        return [replace(grant, tenant=None) for grants in found.values() for grant in grants]

    async def matter(self, group: UUID) -> bool:
        """Tell whether being in a group, or in what it is in, gives any role."""
        own = select(RoleBindingRow.id).where(RoleBindingRow.principal == group).limit(1)
        if await self._session.scalar(own):
            return True
        return bool(await groups_of(self._session, [group]))

    async def turned(self, now: datetime, limit: int) -> Sequence[Turned]:
        """Note that roles have begun or ended by now, drop the ended; return whose, each once."""
        begins = and_(RoleBindingRow.begun.is_(False), RoleBindingRow.not_before <= now)
        begun = await self._claimed(begins, limit)
        ended = await self._claimed(RoleBindingRow.expires_at <= now, limit)
        told = update(RoleBindingRow).where(RoleBindingRow.id.in_(begun)).values(begun=True)
        await self._session.execute(told)
        gone = delete(RoleBindingRow).where(RoleBindingRow.id.in_(ended))
        await self._session.execute(gone)
        return [*begun.values(), *(replace(one, ended=True) for one in ended.values())]

    async def _claimed(self, which: ColumnElement[bool], limit: int) -> Mapping[UUID, Turned]:
        row = RoleBindingRow
        query = (
            select(row, UserRow.tenant, EntityRow.collection)
            .join(UserRow, UserRow.id == row.principal, isouter=True)
            .join(
                EntityRow,
                and_(EntityRow.id == row.principal, EntityRow.collection != "users"),
                isouter=True,
            )
            .where(which)
            .limit(limit)
            .with_for_update(skip_locked=True, of=row)
        )
        return {
            found.id: Turned(
                principal=found.principal,
                tenant=found.tenant or home,
                role=found.role,
                ended=False,
                kind=(collection or "users").removesuffix("s"),
                scope=str(Where(cast("Scope", found.scope), found.place)),
            )
            for found, home, collection in await self._session.execute(query)
        }


class SqlGuests:
    """The guests over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, user: UUID, tenant: UUID, by: str, now: datetime) -> None:
        """Make a user a guest of a tenant; AlreadyMember if they are one."""
        self._session.add(GuestRow(user=user, tenant=tenant, added_by=by, created_at=now))
        member = AlreadyMember("the user is in this organization already")
        await flushed(self._session, {"guest_pkey": member})

    async def remove(self, user: UUID, tenant: UUID) -> None:
        """Make a user no guest any more; what they were given there is gone with it."""
        theirs = (RoleBindingRow.principal == user, RoleBindingRow.tenant == tenant)
        await self._session.execute(delete(RoleBindingRow).where(*theirs))
        one = (GuestRow.user == user, GuestRow.tenant == tenant)
        await self._session.execute(delete(GuestRow).where(*one))

    async def of(self, tenant: UUID) -> Sequence[UUID]:
        """Return the guests of a tenant, by id."""
        query = select(GuestRow.user).where(GuestRow.tenant == tenant).order_by(GuestRow.user)
        return (await self._session.scalars(query)).all()


def _there(tenant: UUID, where: Where) -> tuple[ColumnElement[bool], ...]:
    row = RoleBindingRow
    return (row.tenant == tenant, row.scope == where.scope, row.place == where.place)


async def groups_of(session: AsyncSession, ids: Sequence[UUID]) -> Mapping[UUID, Sequence[UUID]]:
    """Return for each of these the groups with any role that they are in, directly or through groups."""
    made: dict[UUID, list[UUID]] = defaultdict(list)
    if ids:
        for who, group in await session.execute(_UP, {"ids": list(ids), "depth": DEPTH}):
            made[who].append(group)
    return made


async def grants_where(
    session: AsyncSession, *which: ColumnElement[bool]
) -> Mapping[UUID, Sequence[Grant]]:
    """Return grants with their roles as these are now, by who holds them. Each names its tenant."""
    wanted = select(RoleBindingRow, IN_FORCE).where(*which)
    fresh = wanted.execution_options(populate_existing=True)
    found = (await session.execute(fresh)).all()
    own = await roles_named(session, {row.role for row, _ in found})
    grants: dict[UUID, list[Grant]] = defaultdict(list)
    for row, in_force in found:
        grants[row.principal].append(_to_grant(row, own.get(row.role), in_force=in_force))
    return grants


async def rebound(
    session: AsyncSession,
    principal: UUID,
    tenant: UUID,
    grants: Sequence[Grant],
    *which: ColumnElement[bool],
) -> None:
    """Write the grants of a principal who is looked at in a tenant, in the place of those that `which` means."""
    await session.execute(delete(RoleBindingRow).where(*which))
    if rows := [_row(principal, tenant, grant) for grant in grants if grant.own]:
        await session.execute(insert(RoleBindingRow), rows)


def _row(principal: UUID, tenant: UUID, grant: Grant) -> dict[str, Any]:
    return {
        "principal": principal,
        "role": grant.role,
        "scope": grant.scope,
        "tenant": None if grant.scope == "platform" else grant.tenant or tenant,
        "place": grant.place,
        "source": grant.source,
        "not_before": grant.not_before,
        "expires_at": grant.expires_at,
        "granted_by": grant.granted_by,
        "reason": grant.reason,
        "begun": grant.in_force,
    }


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
        place=row.place,
        tenant=row.tenant,
        source=row.source,
    )
