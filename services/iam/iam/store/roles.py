"""Tenants' own roles in PostgreSQL."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from authz.confusable import skeleton
from iam.domain.grant_errors import RoleNameTaken
from iam.domain.grants import TENANT, Where
from iam.domain.names import folded
from iam.domain.roles import Role
from iam.store.clash import flushed
from iam.store.role_tables import RoleBindingRow, RoleRow
from iam.store.tables import UserRow


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

    async def holders(
        self, tenant: UUID, role: str, limit: int, where: Where = TENANT
    ) -> Sequence[UUID]:
        """Return the first `limit` users of a tenant to whom a role was given at a scope of it, by id."""
        query = (
            select(UserRow.id)
            .join(RoleBindingRow, RoleBindingRow.principal == UserRow.id)
            .where(RoleBindingRow.role == role, given_in(tenant, where))
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
                skeleton=skeleton(role.name),
                description=role.description,
                permissions=sorted(role.permissions),
                created_at=role.created_at,
                updated_at=role.updated_at,
                version=role.version,
            )
        )
        taken = RoleNameTaken(f"a role with the name {role.name!r} exists")
        twin = RoleNameTaken(f"a role has a name that looks like {role.name!r}")
        await flushed(self._session, {"role_name_key": taken, "role_skeleton_key": twin})

    async def drop(self, role: UUID) -> None:
        """Forget a role that nobody holds."""
        await self._session.execute(delete(RoleRow).where(RoleRow.id == role))

    async def _one(self, query: Select[RoleRow]) -> Role | None:
        row = await self._session.scalar(query.execution_options(populate_existing=True))
        return to_role(row) if row else None


def given_in(tenant: UUID, where: Where) -> ColumnElement[bool]:
    """Return what is so of a binding, beside its user, that was given at a scope of a tenant."""
    row = RoleBindingRow
    if not where.wide:
        return and_(row.tenant == tenant, row.scope == where.scope, row.place == where.place)
    everywhere = and_(row.scope == "platform", UserRow.tenant == tenant)
    return or_(and_(row.scope == "tenant", row.tenant == tenant), everywhere)


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
