"""Tenants in PostgreSQL."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from authz.confusable import skeleton
from chassis.pages import PageAsk, Slice, cut
from iam.domain.errors import TenantTaken
from iam.domain.tenant import Tenant
from iam.store.clash import flushed
from iam.store.tables import TenantRow


class SqlTenants:
    """The tenants over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, tenant: UUID, *, lock: bool = False) -> Tenant | None:
        """Return a tenant; locked until the work ends if asked."""
        query = select(TenantRow).where(TenantRow.id == tenant)
        row = await self._session.scalar(query.with_for_update() if lock else query)
        return to_tenant(row) if row else None

    async def named(self, subdomain: str) -> Tenant | None:
        """Return the tenant with this subdomain."""
        row = await self._session.scalar(select(TenantRow).where(TenantRow.subdomain == subdomain))
        return to_tenant(row) if row else None

    async def list(
        self, among: Collection[UUID] | None, search: str, ask: PageAsk
    ) -> Slice[Tenant]:
        """Return a part of these tenants, or of all if None, by subdomain; `search` looks into it and the names."""
        wanted: list[ColumnElement[bool]] = []
        if among is not None:
            wanted.append(TenantRow.id.in_(among))
        if search:
            texts = (TenantRow.subdomain, TenantRow.name, TenantRow.full_name)
            wanted.append(or_(*(t.icontains(search, autoescape=True) for t in texts)))
        total = await self._session.scalar(
            select(func.count()).select_from(TenantRow).where(*wanted)
        )
        query = select(TenantRow).where(*wanted).order_by(TenantRow.subdomain)
        if ask.after is not None:
            query = query.where(TenantRow.subdomain > ask.after[0])
        rows = await self._session.scalars(query.offset(ask.offset).limit(ask.limit + 1))
        items, following = cut([to_tenant(r) for r in rows], ask.limit, lambda t: (t.subdomain,))
        return Slice(items=items, next=following, total=total or 0)

    async def alike(self, name: str) -> Sequence[Tenant]:
        """Return tenants with names that look like this one, this one among them."""
        query = select(TenantRow).where(TenantRow.skeleton == skeleton(name))
        return [to_tenant(row) for row in await self._session.scalars(query.limit(1000))]

    async def put(self, tenant: Tenant) -> None:
        """Store a tenant; TenantTaken if another has its subdomain."""
        await self._session.merge(TenantRow(**asdict(tenant), skeleton=skeleton(tenant.name)))
        taken = TenantTaken(f"an organization with the subdomain {tenant.subdomain!r} exists")
        await flushed(self._session, {"tenant_subdomain_key": taken})


def to_tenant(row: TenantRow) -> Tenant:
    """Return the tenant in a row."""
    return Tenant(
        id=row.id,
        subdomain=row.subdomain,
        name=row.name,
        full_name=row.full_name,
        address=row.address,
        phone=row.phone,
        email=row.email,
        active=row.active,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )
