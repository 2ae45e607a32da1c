"""Phases, plans, and what flags has to know, in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import case, func, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from experiments.domain.phases import Phase
from experiments.domain.planned import Planned
from experiments.domain.publication import Publication
from experiments.store.rows import phase_columns, phase_of
from experiments.store.tables import PhaseRow, PlanRow, PublicationRow

P = PublicationRow
_PLAN = ("experiment_id", "at", "by", "reason", "digest", "document")
_PUBLICATION = (
    "experiment_id", "tenant", "version", "document", "sent", "sent_at", "next_at", "attempts",
    "trouble",
)  # fmt: skip


class SqlPhases:
    """The phases over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def open(self, phase: Phase) -> None:
        """Keep a phase that begins."""
        await self._session.execute(insert(PhaseRow).values(**phase_columns(phase)))

    async def close(self, experiment: UUID, at: datetime) -> None:
        """Let the phase that goes on end."""
        goes_on = (PhaseRow.experiment_id == experiment) & PhaseRow.ended_at.is_(None)
        await self._session.execute(update(PhaseRow).where(goes_on).values(ended_at=at))

    async def of(self, experiment: UUID) -> Sequence[Phase]:
        """Return an experiment's phases in order."""
        query = select(PhaseRow).where(PhaseRow.experiment_id == experiment)
        rows = await self._session.scalars(query.order_by(PhaseRow.number))
        return [phase_of(row) for row in rows]


class SqlPlans:
    """The plans over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, planned: Planned) -> None:
        """Keep a plan under the next number. Its experiment is locked, so no two take the same one."""
        mine = PlanRow.experiment_id == planned.experiment_id
        last = await self._session.scalar(select(func.max(PlanRow.number)).where(mine))
        values = {name: getattr(planned, name) for name in _PLAN}
        await self._session.execute(insert(PlanRow).values(**values, number=(last or 0) + 1))

    async def of(self, experiment: UUID) -> Sequence[Planned]:
        """Return an experiment's plans in order."""
        query = select(PlanRow).where(PlanRow.experiment_id == experiment)
        rows = await self._session.scalars(query.order_by(PlanRow.number))
        return [
            Planned(number=row.number, **{name: getattr(row, name) for name in _PLAN})
            for row in rows
        ]


class SqlPublications:
    """What flags has to know, over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def put(self, publication: Publication) -> None:
        """Keep what is to be told now, instead of what was to be told before; what was told stays known."""
        values = {name: getattr(publication, name) for name in _PUBLICATION}
        claim = insert(P).values(**values)
        fresh = ("version", "document", "next_at", "attempts", "trouble")
        change = claim.on_conflict_do_update(
            index_elements=["experiment_id"], set_={name: claim.excluded[name] for name in fresh}
        )
        await self._session.execute(change)

    async def of(self, experiment: UUID) -> Publication | None:
        """Return what flags has to know of an experiment; None if it never had to know anything."""
        query = select(P).where(P.experiment_id == experiment)
        row = await self._session.scalar(query.execution_options(populate_existing=True))
        return _publication_of(row) if row else None

    async def claim(self, now: datetime, until: datetime) -> Publication | None:
        """Return something that is due and that nobody else will take before `until`; None if nothing is."""
        due = select(P).where(P.next_at <= now).order_by(P.next_at).limit(1)
        row = await self._session.scalar(
            due.with_for_update(skip_locked=True).execution_options(populate_existing=True)
        )
        if row is None:
            return None
        found = _publication_of(row)
        await self._session.execute(
            update(P)
            .where(P.experiment_id == row.experiment_id)
            .values(next_at=until, attempts=row.attempts + 1)
            .execution_options(synchronize_session=False)
        )
        return found

    async def sent(self, publication: Publication, at: datetime) -> None:
        """Note that flags has taken it; what was written since stays due."""
        is_newest = P.version == publication.version
        await self._session.execute(
            update(P)
            .where(P.experiment_id == publication.experiment_id)
            .values(
                sent=func.greatest(P.sent, publication.version),
                sent_at=at,
                next_at=case((is_newest, null()), else_=at),
                trouble="",
            )
            .execution_options(synchronize_session=False)
        )

    async def failed(self, publication: Publication, trouble: str, again: datetime) -> None:
        """Note why flags has not taken it, and when to try again; of what was written since nothing is known."""
        mine = (P.experiment_id == publication.experiment_id) & (P.version == publication.version)
        await self._session.execute(
            update(P)
            .where(mine, P.sent < publication.version)
            .values(trouble=trouble, next_at=again)
            .execution_options(synchronize_session=False)
        )


def _publication_of(row: PublicationRow) -> Publication:
    return Publication(**{name: getattr(row, name) for name in _PUBLICATION})
