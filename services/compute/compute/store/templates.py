"""Templates in PostgreSQL."""

from dataclasses import asdict
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import Slice
from compute.domain.order import Template
from compute.ports import Wanted
from compute.store.lists import Listing
from compute.store.tables import TemplateRow

_LISTING = Listing(
    TemplateRow, {"created_at": TemplateRow.created_at, "name": TemplateRow.name.collate("C")}
)


class SqlTemplateBook:
    """The templates over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, tenant: UUID, template_id: UUID) -> Template | None:
        """Return a template that the tenant may use; None if there is none."""
        query = select(TemplateRow).where(TemplateRow.id == template_id, _open_to(tenant))
        row = await self._session.scalar(query)
        return _template_of(row) if row else None

    async def list(self, tenant: UUID, wanted: Wanted) -> Slice[Template]:
        """Return a part of the templates that the tenant may use."""
        which = _open_to(tenant)
        if wanted.search:
            fields = (TemplateRow.name, TemplateRow.description)
            hit = or_(*(f.icontains(wanted.search, autoescape=True) for f in fields))
            which = and_(which, hit)
        rows, after, total = await _LISTING.part(self._session, which, wanted)
        return Slice(items=[_template_of(row) for row in rows], next=after, total=total)

    async def put(self, template: Template) -> bool:
        """Keep a template, or change it; tell whether that made a difference."""
        values = asdict(template)
        changed = {name: it for name, it in values.items() if name not in ("id", "created_at")}
        differs = or_(*(getattr(TemplateRow, n).is_distinct_from(it) for n, it in changed.items()))
        change = insert(TemplateRow).values(**values)
        change = change.on_conflict_do_update(index_elements=["id"], set_=changed, where=differs)
        return await self._session.scalar(change.returning(TemplateRow.id)) is not None


def _open_to(tenant: UUID) -> ColumnElement[bool]:
    return or_(TemplateRow.tenant == tenant, TemplateRow.tenant.is_(None))


def _template_of(row: TemplateRow) -> Template:
    return Template(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        description=row.description,
        architecture=row.architecture,
        min_memory_gb=row.min_memory_gb,
        min_disk_gb=row.min_disk_gb,
        created_at=row.created_at,
    )
