"""What experiments want of flags, in PostgreSQL."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from flags.domain.allocation import Kept
from flags.domain.flag import Flag
from flags.domain.neighbourhood import uses_of_experiments
from flags.domain.place import Project
from flags.store.tables import AllocationRow


class SqlAllocationBook:
    """The allocations over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def take(self, experiment_id: object) -> Kept | None:
        """Return what was last said of an experiment, locked until the work ends; None if nothing ever was."""
        query = select(AllocationRow).where(AllocationRow.experiment_id == experiment_id)
        row = await self._session.scalar(
            query.with_for_update().execution_options(populate_existing=True)
        )
        return _kept(row) if row else None

    async def put(self, kept: Kept) -> bool:
        """Keep what an experiment wants; False if something newer is kept already."""
        values = {
            "experiment_id": kept.experiment_id,
            "tenant": kept.tenant,
            "version": kept.version,
            "flag_id": kept.flag_id,
            "environment_id": kept.environment_id,
            "document": kept.document,
            "uses_segments": sorted(uses_of_experiments([kept.document]).segments),
            "updated_at": kept.at,
        }
        claim = insert(AllocationRow).values(values)
        change = claim.on_conflict_do_update(
            index_elements=["experiment_id"],
            set_={name: claim.excluded[name] for name in values if name != "experiment_id"},
            where=AllocationRow.version < claim.excluded.version,
        )
        found = await self._session.scalar(
            change.returning(AllocationRow.version).execution_options(populate_existing=True)
        )
        return found is not None

    async def running(self, project: Project) -> Sequence[Kept]:
        """Return what experiments want of the flags of a project, in all environments."""
        query = (
            select(AllocationRow)
            .where(
                AllocationRow.environment_id.in_([e.id for e in project.environments]),
                AllocationRow.document.is_not(None),
            )
            .order_by(AllocationRow.experiment_id)
        )
        return [_kept(row) for row in await self._session.scalars(query)]

    async def of_flag(self, flag: Flag) -> Sequence[Kept]:
        """Return what experiments want of a flag, in all environments."""
        query = (
            select(AllocationRow)
            .where(AllocationRow.flag_id == flag.id, AllocationRow.document.is_not(None))
            .order_by(AllocationRow.experiment_id)
        )
        return [_kept(row) for row in await self._session.scalars(query)]


def _kept(row: AllocationRow) -> Kept:
    return Kept(
        experiment_id=row.experiment_id,
        tenant=row.tenant,
        version=row.version,
        flag_id=row.flag_id,
        environment_id=row.environment_id,
        document=row.document,
        at=row.updated_at,
    )
