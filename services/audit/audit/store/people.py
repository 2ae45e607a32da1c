"""People in PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from audit.ports import Person, PersonId

_FIND = text(
    """
    SELECT person.tenant, person.id, person.key, person.names
    FROM unnest(CAST(:tenants AS uuid[]), CAST(:ids AS varchar[])) AS asked (tenant, id)
    JOIN audit.person USING (tenant, id)
    """
)
# The erased keep neither key nor name, whoever puts them.
_PUT = text(
    """
    INSERT INTO audit.person (tenant, id, key, names)
    SELECT * FROM unnest(CAST(:tenants AS uuid[]), CAST(:ids AS varchar[]), CAST(:keys AS bytea[]),
                         CAST(:names AS varchar[])) AS new (tenant, id, key, names)
    ORDER BY tenant, id
    ON CONFLICT (tenant, id) DO UPDATE
    SET names = CASE WHEN person.key IS NULL THEN '' ELSE excluded.names END
    RETURNING tenant, id, key, names
    """
)


class SqlPeople:
    """People over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, ids: Collection[PersonId]) -> Mapping[PersonId, Person]:
        """Look people up."""
        asked = {"tenants": [tenant for tenant, _ in ids], "ids": [who for _, who in ids]}
        return _people(await self._session.execute(_FIND, asked))

    async def keep(self, people: Sequence[Person]) -> Mapping[PersonId, Person]:
        """Insert those who are new; the others get their names."""
        new: dict[str, list[Any]] = {
            "tenants": [person.tenant for person in people],
            "ids": [person.id for person in people],
            "keys": [person.key for person in people],
            "names": [person.names for person in people],
        }
        return _people(await self._session.execute(_PUT, new))

    async def keys(self, tenant: UUID, ids: Collection[str]) -> Mapping[str, bytes]:
        """Return the keys of those who are not erased."""
        if not ids:
            return {}
        found = await self.find([(tenant, who) for who in ids])
        return {who: person.key for (_, who), person in found.items() if person.key is not None}


def _people(rows: Any) -> Mapping[PersonId, Person]:  # noqa: ANN401 - SQLAlchemy's result is generic
    return {
        (row.tenant, row.id): Person(tenant=row.tenant, id=row.id, key=row.key, names=row.names)
        for row in rows
    }
