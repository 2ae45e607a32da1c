"""Tenants in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

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

    async def all(self, limit: int) -> Sequence[Tenant]:
        """Return the first `limit` tenants by subdomain."""
        query = select(TenantRow).order_by(TenantRow.subdomain).limit(limit)
        return [to_tenant(row) for row in await self._session.scalars(query)]

    async def put(self, tenant: Tenant) -> None:
        """Store a tenant; TenantTaken if another has its subdomain."""
        await self._session.merge(TenantRow(**asdict(tenant)))
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
