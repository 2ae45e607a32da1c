"""Service and pipeline accounts with what they hold, in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import Row, Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from iam.domain.gitops import C, Collection
from iam.domain.grants import Grant
from iam.domain.machine import Machine
from iam.store.held import held_by
from iam.store.tables import EntityRow

_MINE = (C.SERVICE_ACCOUNTS, C.PIPELINE_ACCOUNTS)
_HERE = (EntityRow.collection.in_(_MINE), EntityRow.deleted_at.is_(None))


class SqlMachines:
    """The accounts over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, tenant: UUID, id_: UUID) -> Machine | None:
        """Return an account of a tenant."""
        found = await self._read(_wanted().where(EntityRow.id == id_, EntityRow.tenant == tenant))
        return found[0] if found else None

    async def among(self, ids: Sequence[UUID]) -> Sequence[Machine]:
        """Return those of these that are accounts, of whichever tenant."""
        return await self._read(_wanted().where(EntityRow.id.in_(ids)))

    async def after(self, id_: UUID | None, limit: int) -> Sequence[Machine]:
        """Return the first accounts of all tenants after an id, in the order of ids."""
        query = _wanted().order_by(EntityRow.id).limit(limit)
        return await self._read(query.where(EntityRow.id > id_) if id_ else query)

    async def _read(self, query: Select[UUID, UUID, str, str | None]) -> Sequence[Machine]:
        rows = (await self._session.execute(query)).all()
        held = await held_by(self._session, [row.id for row in rows])
        return [_machine(row, held.get(row.id, ())) for row in rows]


def _wanted() -> Select[UUID, UUID, str, str | None]:
    columns = (EntityRow.id, EntityRow.tenant, EntityRow.collection, EntityRow.key)
    return select(*columns).where(*_HERE)


def _machine(row: Row[UUID, UUID, str, str | None], grants: Sequence[Grant]) -> Machine:
    id_, tenant, collection, key = row
    kind = Collection(collection).kind
    mine = sorted(replace(g, tenant=None) for g in grants if g.tenant in (None, tenant))
    return Machine(id=id_, tenant=tenant, kind=kind, name=key or "", grants=tuple(mine))
