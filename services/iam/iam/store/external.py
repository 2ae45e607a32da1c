"""What outside groups mean, in PostgreSQL."""

from collections.abc import Sequence
from typing import cast
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from iam.domain.external import Line, Rule
from iam.domain.grants import Scope, Where
from iam.domain.reach_errors import LineTaken
from iam.store.clash import flushed
from iam.store.role_tables import ExternalRoleRow

_SAME = ("id", "tenant", "idp", "claim", "value", "role", "created_by", "created_at")


class SqlExternal:
    """The table of outside groups over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def all(self, tenant: UUID, limit: int, idp: str = "") -> Sequence[Line]:
        """Return the first lines of a tenant, of one identity provider if it is named."""
        query = select(ExternalRoleRow).where(ExternalRoleRow.tenant == tenant)
        if idp:
            query = query.where(ExternalRoleRow.idp == idp)
        rows = await self._session.scalars(query.order_by(ExternalRoleRow.id).limit(limit))
        return [_line(row) for row in rows]

    async def get(self, tenant: UUID, line: UUID) -> Line | None:
        """Return one line of a tenant."""
        mine = (ExternalRoleRow.id == line, ExternalRoleRow.tenant == tenant)
        row = await self._session.scalar(select(ExternalRoleRow).where(*mine))
        return _line(row) if row else None

    async def put(self, line: Line) -> None:
        """Store a line; LineTaken if another says the same."""
        values = {name: getattr(line, name) for name in _SAME}
        place = {"scope": line.where.scope, "place": line.where.place, "rule": line.rule}
        await self._session.merge(ExternalRoleRow(**values, **place))
        taken = LineTaken("this value gives this role there already")
        await flushed(self._session, {"external_role_key": taken})

    async def drop(self, line: UUID) -> None:
        """Forget a line."""
        await self._session.execute(delete(ExternalRoleRow).where(ExternalRoleRow.id == line))

    async def naming(self, role: str) -> int:
        """Return how many lines give a role."""
        query = select(func.count()).select_from(ExternalRoleRow)
        return await self._session.scalar(query.where(ExternalRoleRow.role == role)) or 0


def _line(row: ExternalRoleRow) -> Line:
    return Line(
        **{name: getattr(row, name) for name in _SAME},
        where=Where(cast("Scope", row.scope), row.place),
        rule=cast("Rule", row.rule),
    )
