"""Templates in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import Slice
from compute.domain.image import Image
from compute.domain.order import Template
from compute.ports import Wanted
from compute.store.images import image_of
from compute.store.ledger_tables import ImageRow
from compute.store.lists import Listing
from compute.store.tables import TemplateRow, VmRow

_LISTING = Listing(
    TemplateRow, {"created_at": TemplateRow.created_at, "name": TemplateRow.name.collate("C")}
)


class SqlTemplateBook:
    """The templates over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, tenant: UUID, template_id: UUID) -> Template | None:
        """Return a template that the tenant may use; None if there is none."""
        return await self._one(_named(tenant, template_id))

    async def use(self, tenant: UUID, template_id: UUID) -> Template | None:
        """Return what `find` returns; nobody deletes it until the work ends."""
        return await self._one(
            _named(tenant, template_id).with_for_update(key_share=True, read=True)
        )

    async def take(self, tenant: UUID, template_id: UUID) -> Template | None:
        """Return what `find` returns, locked until the work ends."""
        return await self._one(_named(tenant, template_id).with_for_update())

    async def owned(self, template_id: UUID) -> Template | None:
        """Return a template of whichever tenant; None if there is none."""
        return await self._one(select(TemplateRow).where(TemplateRow.id == template_id))

    async def _one(self, query: Select[Any]) -> Template | None:
        row = await self._session.scalar(query.execution_options(populate_existing=True))
        return (await self._with_images([row]))[0] if row else None

    async def _with_images(self, rows: Sequence[TemplateRow]) -> Sequence[Template]:
        query = select(ImageRow).where(ImageRow.id.in_([row.id for row in rows]))
        found = await self._session.scalars(query.execution_options(populate_existing=True))
        images = {row.id: image_of(row) for row in found}
        return [_template_of(row, images.get(row.id)) for row in rows]

    async def known(self) -> frozenset[UUID]:
        """Return every template that there is, and every one that a machine was made from."""
        made_from = select(VmRow.template_id).where(VmRow.template_id.is_not(None))
        found = await self._session.scalars(select(TemplateRow.id).union(made_from))
        return frozenset(found)

    async def count(self, tenant: UUID) -> int:
        """Return how many templates a tenant has of its own."""
        query = select(func.count()).select_from(TemplateRow).where(TemplateRow.tenant == tenant)
        return await self._session.scalar(query) or 0

    async def used(self, template_id: UUID) -> int:
        """Return how many machines there are that were made from a template."""
        query = select(func.count()).select_from(VmRow).where(VmRow.template_id == template_id)
        return await self._session.scalar(query) or 0

    async def add(self, template: Template) -> None:
        """Keep a new template."""
        self._session.add(TemplateRow(**_columns(template)))
        await self._session.flush()

    async def remove(self, template: Template) -> None:
        """Forget a template and its image."""
        await self._session.execute(delete(ImageRow).where(ImageRow.id == template.id))
        await self._session.execute(delete(TemplateRow).where(TemplateRow.id == template.id))

    async def list(self, tenant: UUID, wanted: Wanted) -> Slice[Template]:
        """Return a part of the templates that the tenant may use."""
        which = _open_to(tenant)
        if wanted.search:
            fields = (TemplateRow.name, TemplateRow.description)
            hit = or_(*(f.icontains(wanted.search, autoescape=True) for f in fields))
            which = and_(which, hit)
        rows, after, total = await _LISTING.part(self._session, which, wanted)
        return Slice(items=await self._with_images(rows), next=after, total=total)

    async def put(self, template: Template) -> bool:
        """Keep a template, or change it; tell whether that made a difference."""
        values = _columns(template)
        changed = {name: it for name, it in values.items() if name not in ("id", "created_at")}
        differs = or_(*(getattr(TemplateRow, n).is_distinct_from(it) for n, it in changed.items()))
        change = insert(TemplateRow).values(**values)
        change = change.on_conflict_do_update(index_elements=["id"], set_=changed, where=differs)
        return await self._session.scalar(change.returning(TemplateRow.id)) is not None


def _open_to(tenant: UUID) -> ColumnElement[bool]:
    return or_(TemplateRow.tenant == tenant, TemplateRow.tenant.is_(None))


def _named(tenant: UUID, template_id: UUID) -> Select[Any]:
    return select(TemplateRow).where(TemplateRow.id == template_id, _open_to(tenant))


def _columns(template: Template) -> dict[str, Any]:
    return {f.name: getattr(template, f.name) for f in fields(template) if f.name != "image"}


def _template_of(row: TemplateRow, image: Image | None) -> Template:
    return Template(
        image=image,
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        description=row.description,
        architecture=row.architecture,
        min_memory_gb=row.min_memory_gb,
        min_disk_gb=row.min_disk_gb,
        created_at=row.created_at,
    )
