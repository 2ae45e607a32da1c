"""Tenants' own roles in PostgreSQL."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from iam.domain.errors import RoleNameTaken
from iam.domain.names import folded
from iam.domain.roles import Role
from iam.ports import Turned
from iam.store.clash import flushed
from iam.store.tables import RoleBindingRow, RoleRow, UserRow

Claimed = tuple[UUID, str, str, UUID]  # whose, which role, its scope, in which tenant


class SqlRoles:
    """The roles over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(
        self, tenant: UUID | None, role: UUID, *, lock: bool = False, keep: bool = False
    ) -> Role | None:
        """Return a role of a tenant, or of any if None; locked, or (`keep`) only kept from changing meanwhile."""
        query = select(RoleRow).where(RoleRow.id == role)
        if tenant is not None:
            query = query.where(RoleRow.tenant == tenant)
        return await self._one(query.with_for_update(read=not lock) if lock or keep else query)

    async def named(self, tenant: UUID, name: str, *, keep: bool = False) -> Role | None:
        """Return the role of a tenant with this name, however it is spelled."""
        query = select(RoleRow).where(RoleRow.tenant == tenant, RoleRow.name_key == folded(name))
        return await self._one(query.with_for_update(read=True) if keep else query)

    async def all(self, tenant: UUID, limit: int) -> Sequence[Role]:
        """Return the first `limit` roles of a tenant by name."""
        query = select(RoleRow).where(RoleRow.tenant == tenant).order_by(RoleRow.name_key)
        return [to_role(row) for row in await self._session.scalars(query.limit(limit))]

    async def holders(self, tenant: UUID, role: str, limit: int) -> Sequence[UUID]:
        """Return the first `limit` users of a tenant to whom a role was given, by id."""
        query = (
            select(UserRow.id)
            .join(RoleBindingRow, RoleBindingRow.principal == UserRow.id)
            .where(RoleBindingRow.role == role, UserRow.tenant == tenant)
            .where(UserRow.deleted_at.is_(None))
            .distinct()
            .order_by(UserRow.id)
            .limit(limit)
        )
        return (await self._session.scalars(query)).all()

    async def put(self, role: Role) -> None:
        """Store a role; RoleNameTaken if another of its tenant has its name."""
        await self._session.merge(
            RoleRow(
                id=UUID(role.id),
                tenant=role.tenant,
                name=role.name,
                name_key=folded(role.name),
                description=role.description,
                permissions=sorted(role.permissions),
                created_at=role.created_at,
                updated_at=role.updated_at,
                version=role.version,
            )
        )
        taken = RoleNameTaken(f"a role with the name {role.name!r} exists")
        await flushed(self._session, {"role_name_key": taken})

    async def drop(self, role: UUID) -> None:
        """Forget a role that nobody holds."""
        await self._session.execute(delete(RoleRow).where(RoleRow.id == role))

    async def turned(self, now: datetime, limit: int) -> Sequence[Turned]:
        """Note that roles have begun or ended by now, drop the ended; return whose, each once."""
        over = RoleBindingRow.expires_at <= now
        due = ~RoleBindingRow.begun & (RoleBindingRow.not_before <= now)
        begun = await self._claimed(due & ~over.is_(True), limit)
        ended = await self._claimed(over, limit)
        if begun:
            told = update(RoleBindingRow).where(_among(begun)).values(begun=True)
            await self._session.execute(told)
        if ended:
            await self._session.execute(delete(RoleBindingRow).where(_among(ended)))
        return [
            *(Turned(row[0], row[3], row[1], ended=False) for row in begun),
            *(Turned(row[0], row[3], row[1], ended=True) for row in ended),
        ]

    async def _claimed(self, which: ColumnElement[bool], limit: int) -> Sequence[Claimed]:
        binding = RoleBindingRow
        query = (
            select(binding.principal, binding.role, binding.scope, UserRow.tenant)
            .join(UserRow, UserRow.id == binding.principal)
            .where(which)
            .limit(limit)
            .with_for_update(skip_locked=True, of=binding)
        )
        found = await self._session.execute(query)
        return [(who, role, scope, tenant) for who, role, scope, tenant in found]

    async def _one(self, query: Select[RoleRow]) -> Role | None:
        row = await self._session.scalar(query.execution_options(populate_existing=True))
        return to_role(row) if row else None


def _among(bindings: Sequence[Claimed]) -> ColumnElement[bool]:
    keys = [binding[:3] for binding in bindings]
    return tuple_(RoleBindingRow.principal, RoleBindingRow.role, RoleBindingRow.scope).in_(keys)


async def roles_named(session: AsyncSession, ids: Iterable[str]) -> Mapping[str, Role]:
    """Return the tenants' own roles among these ids of roles."""
    own = {UUID(id_) for id_ in ids if len(id_) == 36}
    if not own:
        return {}
    rows = await session.scalars(select(RoleRow).where(RoleRow.id.in_(own)))
    return {str(row.id): to_role(row) for row in rows}


def to_role(row: RoleRow) -> Role:
    """Return the role in a row."""
    return Role(
        id=str(row.id),
        name=row.name,
        description=row.description,
        permissions=frozenset(row.permissions),
        tenant=row.tenant,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )
