"""Reading rulesets from PostgreSQL: a whole environment as it was at one revision."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import ColumnElement, and_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.db import Sessions, transaction
from flags.domain.compile import StoredSegment
from flags.domain.flag import SERVED
from flags.domain.place import Place
from flags.domain.ruleset import Stored
from flags.ports.serving import Reading
from flags.store.tables import (
    AllocationRow,
    EnvironmentRow,
    FlagRow,
    ProjectRow,
    SegmentListRow,
    SegmentRow,
    SwitchRow,
)


class SqlShelf:
    """The shelf over the service's own schema."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def read(self, place: Place) -> Reading:
        """Return what a place has to serve; revision 0 and nothing where there is no such place (yet)."""
        # One snapshot for both queries: the rows are exactly those of the revision.
        async with transaction(self._sessions, isolation="REPEATABLE READ") as session:
            environment = await session.scalar(
                select(EnvironmentRow).join(ProjectRow).where(_at(place))
            )
            if environment is None:
                return Reading(0, ())
            rows = await _rows(session, environment.id)
            return Reading(environment.revision, rows, await _segments(session, environment))

    async def revisions(self, places: Collection[Place]) -> Mapping[Place, int]:
        """Return the present revision of each place that exists."""
        columns = (ProjectRow.tenant, ProjectRow.key, EnvironmentRow.key)
        wanted = [(place.tenant, place.project, place.environment) for place in places]
        query = (
            select(*columns, EnvironmentRow.revision)
            .select_from(EnvironmentRow)
            .join(ProjectRow)
            .where(tuple_(*columns).in_(wanted))
        )
        async with transaction(self._sessions) as session:
            rows = (await session.execute(query)).all()
        return {Place(tenant, project, key): revision for tenant, project, key, revision in rows}


def _at(place: Place) -> ColumnElement[bool]:
    return and_(
        ProjectRow.tenant == place.tenant,
        ProjectRow.key == place.project,
        EnvironmentRow.key == place.environment,
    )


async def _rows(session: AsyncSession, environment_id: UUID) -> list[Stored]:
    query = (
        select(FlagRow, SwitchRow)
        .join(SwitchRow, SwitchRow.flag_id == FlagRow.id)
        .where(SwitchRow.environment_id == environment_id)
        .where(FlagRow.lifecycle.in_(SERVED))
        .order_by(FlagRow.key.collate("C"))
    )
    wanted = await _allocations(session, environment_id)
    return [
        _stored(flag, switch, wanted.get(flag.id, ()))
        for flag, switch in (await session.execute(query)).all()
    ]


async def _allocations(
    session: AsyncSession, environment_id: UUID
) -> Mapping[UUID, tuple[object, ...]]:
    """Return what experiments want of the flags of an environment, by the flags' ids."""
    query = (
        select(AllocationRow.flag_id, AllocationRow.document)
        .where(AllocationRow.environment_id == environment_id, AllocationRow.document.is_not(None))
        .order_by(AllocationRow.experiment_id)
    )
    found: dict[UUID, tuple[object, ...]] = {}
    for flag_id, document in (await session.execute(query)).all():
        if flag_id is not None:
            found[flag_id] = (*found.get(flag_id, ()), document)
    return found


def _stored(flag: FlagRow, switch: SwitchRow, allocations: tuple[object, ...]) -> Stored:
    return Stored(
        key=flag.key,
        type=flag.type,
        variants=flag.variants,
        enabled=switch.enabled,
        default_variant=switch.default_variant,
        off_variant=switch.off_variant,
        client_side=flag.client_side,
        targeting=switch.targeting,
        salt=flag.salt,
        bucketing=flag.bucketing,
        allocations=allocations,
    )


async def _segments(session: AsyncSession, environment: EnvironmentRow) -> list[StoredSegment]:
    columns = (SegmentRow.key, SegmentRow.attribute, SegmentRow.kind, SegmentRow.when)
    query = (
        select(*columns, SegmentListRow.included, SegmentListRow.excluded)
        .join(SegmentListRow, SegmentListRow.segment_id == SegmentRow.id)
        .where(SegmentRow.project_id == environment.project_id)
    )
    return [
        StoredSegment(
            key=key,
            document={"attribute": attribute, "kind": kind, "when": when},
            included=included,
            excluded=excluded,
        )
        for key, attribute, kind, when, included, excluded in (await session.execute(query)).all()
    ]
