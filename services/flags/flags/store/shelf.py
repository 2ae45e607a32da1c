"""Reading rulesets from PostgreSQL: a whole environment as it was at one revision."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Sessions, transaction
from flags.domain.flag import Lifecycle
from flags.domain.place import Place
from flags.domain.ruleset import Stored
from flags.ports import Reading
from flags.store.tables import EnvironmentRow, FlagRow, ProjectRow, SwitchRow

_PLACE = (ProjectRow.tenant, ProjectRow.key, EnvironmentRow.key)
_COLUMNS = (
    FlagRow.key,
    FlagRow.type,
    FlagRow.variants,
    SwitchRow.enabled,
    SwitchRow.default_variant,
    SwitchRow.off_variant,
    FlagRow.client_side,
)


class SqlShelf:
    """The shelf over the service's own schema."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def read(self, place: Place) -> Reading:
        """Return what a place has to serve; revision 0 and nothing where there is no such place (yet)."""
        async with transaction(self._sessions) as session:
            # One snapshot for both queries: the rows are exactly those of the revision.
            await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            found = (await session.execute(_environment(place))).one_or_none()
            if found is None:
                return Reading(0, ())
            environment_id, revision = found
            return Reading(revision, await _rows(session, environment_id))

    async def revisions(self, places: Collection[Place]) -> Mapping[Place, int]:
        """Return the present revision of each place that exists."""
        wanted = [(place.tenant, place.project, place.environment) for place in places]
        query = _joined(select(*_PLACE, EnvironmentRow.revision)).where(tuple_(*_PLACE).in_(wanted))
        async with transaction(self._sessions) as session:
            rows = (await session.execute(query)).all()
        return {Place(tenant, project, key): revision for tenant, project, key, revision in rows}


def _environment(place: Place) -> Select[Any]:
    wanted = (place.tenant, place.project, place.environment)
    query = _joined(select(EnvironmentRow.id, EnvironmentRow.revision))
    return query.where(tuple_(*_PLACE) == tuple_(*wanted))


def _joined(query: Select[Any]) -> Select[Any]:
    return query.select_from(EnvironmentRow).join(
        ProjectRow, ProjectRow.id == EnvironmentRow.project_id
    )


async def _rows(session: AsyncSession, environment_id: UUID) -> list[Stored]:
    query = (
        select(*_COLUMNS)
        .join(SwitchRow, SwitchRow.flag_id == FlagRow.id)
        .where(SwitchRow.environment_id == environment_id)
        .where(FlagRow.lifecycle == Lifecycle.ACTIVE.value)
        .order_by(FlagRow.key.collate("C"))
    )
    names = [column.key for column in _COLUMNS]
    rows = (await session.execute(query)).all()
    return [Stored(**dict(zip(names, row, strict=True))) for row in rows]
