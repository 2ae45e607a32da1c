"""Who uses what, read off the columns that are written with every flag and segment."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from flags.domain.analyse import Neighbour, Neighbours
from flags.domain.place import Project
from flags.domain.uses import NOTHING, Use, Uses
from flags.store.tables import AllocationRow, EnvironmentRow, FlagRow, SegmentRow, SwitchRow


class SqlUses:
    """Who uses what in a project, over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def neighbours(self, project: Project, environment: str) -> Neighbours:
        """Return every flag and segment as far as rules look at it."""
        flags = (
            select(FlagRow.key, FlagRow.variants, SwitchRow.uses_flags, SwitchRow.uses_segments)
            .join(SwitchRow, SwitchRow.flag_id == FlagRow.id)
            .where(SwitchRow.environment_id == project.environment(environment).id)
        )
        segments = select(SegmentRow.key, SegmentRow.uses_flags, SegmentRow.uses_segments).where(
            SegmentRow.project_id == project.id
        )
        wanted = await self._by_experiments(project.environment(environment).id)
        return Neighbours(
            flags={
                key: Neighbour(
                    tuple(variants), _uses(of_flags, of_segments) | wanted.get(key, NOTHING)
                )
                for key, variants, of_flags, of_segments in await self._session.execute(flags)
            },
            segments={
                key: _uses(of_flags, of_segments)
                for key, of_flags, of_segments in await self._session.execute(segments)
            },
        )

    async def _by_experiments(self, environment_id: UUID) -> Mapping[str, Uses]:
        """Return what the targeting of experiments uses, by the keys of their flags."""
        query = (
            select(FlagRow.key, AllocationRow.uses_segments)
            .join(AllocationRow, AllocationRow.flag_id == FlagRow.id)
            .where(
                AllocationRow.environment_id == environment_id, AllocationRow.document.is_not(None)
            )
        )
        found: dict[str, Uses] = {}
        for key, segments in await self._session.execute(query):
            found[key] = found.get(key, NOTHING) | _uses([], segments)
        return found

    async def of_flag(self, project: Project, key: str) -> list[Use]:
        """Return where a flag is asked for."""
        return await self._found(
            project, SwitchRow.uses_flags.contains([key]), SegmentRow.uses_flags.contains([key])
        )

    async def of_segment(self, project: Project, key: str) -> list[Use]:
        """Return where a segment is asked for."""
        found = await self._found(
            project,
            SwitchRow.uses_segments.contains([key]),
            SegmentRow.uses_segments.contains([key]),
        )
        return [*found, *await self._experiments(project, key)]

    async def _experiments(self, project: Project, segment: str) -> list[Use]:
        query = (
            select(AllocationRow.document)
            .join(EnvironmentRow, EnvironmentRow.id == AllocationRow.environment_id)
            .where(
                EnvironmentRow.project_id == project.id,
                AllocationRow.uses_segments.contains([segment]),
                AllocationRow.document.is_not(None),
            )
        )
        keys = {str(said["experiment"]) for said in await self._session.scalars(query) if said}
        return [Use("experiment", key) for key in sorted(keys)]

    async def _found(
        self, project: Project, in_flag: ColumnElement[bool], in_segment: ColumnElement[bool]
    ) -> list[Use]:
        flags = (
            select(FlagRow.key, EnvironmentRow.key)
            .join(SwitchRow, SwitchRow.flag_id == FlagRow.id)
            .join(EnvironmentRow, EnvironmentRow.id == SwitchRow.environment_id)
            .where(FlagRow.project_id == project.id, in_flag)
            .order_by(FlagRow.key.collate("C"), EnvironmentRow.key)
        )
        segments = (
            select(SegmentRow.key)
            .where(SegmentRow.project_id == project.id, in_segment)
            .order_by(SegmentRow.key.collate("C"))
        )
        found = [Use("flag", k, place) for k, place in await self._session.execute(flags)]
        return [*found, *(Use("segment", key) for key in await self._session.scalars(segments))]


def _uses(flags: list[str], segments: list[str]) -> Uses:
    return Uses(frozenset(flags), frozenset(segments))
