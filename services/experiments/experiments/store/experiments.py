"""Experiments in PostgreSQL."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import Slice, cut
from experiments.domain.errors import ChangedMeanwhile, KeyTaken
from experiments.domain.experiment import Experiment, Status
from experiments.domain.moves import SCHEDULABLE
from experiments.ports import Wanted
from experiments.store.listing import named, ordered, position
from experiments.store.rows import columns, experiment_of
from experiments.store.tables import ExperimentRow

R = ExperimentRow
_SCHEDULABLE = tuple(status.value for status in SCHEDULABLE)


class SqlExperimentBook:
    """The experiment book over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, tenant: UUID, name: str) -> Experiment | None:
        """Return the experiment with this id or key; None if there is none."""
        return await self._one(named(R, tenant, name))

    async def take(self, tenant: UUID, name: str) -> Experiment | None:
        """Return the experiment with this id or key, locked until the work ends; None if there is none."""
        return await self._one(named(R, tenant, name).with_for_update())

    async def list(self, tenant: UUID, wanted: Wanted) -> Slice[Experiment]:
        """Return a part of a tenant's experiments."""
        ask, which = wanted.ask, _which(tenant, wanted)
        total = await self._session.scalar(select(func.count()).select_from(R).where(which))
        page = ordered(R, select(R).where(which), wanted.sort, ask.after)
        rows = (await self._session.scalars(page.limit(ask.limit + 1).offset(ask.offset))).all()
        items, after = cut(
            [experiment_of(row) for row in rows], ask.limit, lambda e: position(e, wanted.sort)
        )
        return Slice(items=items, next=after, total=total)

    async def add(self, experiment: Experiment) -> None:
        """Keep a new experiment; KeyTaken if the tenant has one with its key."""
        try:
            async with self._session.begin_nested():
                self._session.add(R(**columns(experiment)))
        except IntegrityError as error:
            if "experiment_key" not in str(error.orig):
                raise
            raise KeyTaken(f"there is an experiment {experiment.key!r} already") from None

    async def put(self, before: Experiment, after: Experiment) -> None:
        """Keep an experiment as it is now; ChangedMeanwhile if it is no longer as it was before."""
        same = and_(R.id == before.id, R.version == before.version)
        change = update(R).where(same).values(**columns(after)).returning(R.id)
        if await self._session.scalar(change) is None:
            raise ChangedMeanwhile(f"experiment {before.key!r} was changed meanwhile; try again")

    async def remove(self, experiment: Experiment) -> None:
        """Forget an experiment."""
        await self._session.execute(delete(R).where(R.id == experiment.id))

    async def take_due(self, now: datetime, tenant: UUID | None) -> Experiment | None:
        """Return an experiment that the clock has moved, locked, passing over what others have locked."""
        due = select(R).where(R.due_at <= now).order_by(R.due_at).limit(1)
        if tenant is not None:
            due = due.where(R.tenant == tenant)
        return await self._one(due.with_for_update(skip_locked=True))

    async def next_due(self) -> datetime | None:
        """Return when the clock will next move an experiment, of whichever tenant."""
        return await self._session.scalar(select(func.min(R.due_at)))

    async def _one(self, query: Select[ExperimentRow]) -> Experiment | None:
        row = await self._session.scalar(query.execution_options(populate_existing=True))
        return experiment_of(row) if row else None


def _which(tenant: UUID, wanted: Wanted) -> ColumnElement[bool]:
    which: list[ColumnElement[bool]] = [R.tenant == tenant]
    if wanted.search:
        fields = (R.key, R.name, R.description)
        which.append(or_(*(f.icontains(wanted.search, autoescape=True) for f in fields)))
    if wanted.owner_id is not None:
        which.append(or_(R.owner_id == wanted.owner_id, R.project.in_(wanted.projects)))
    if wanted.project:
        which.append(R.project == wanted.project)
    if wanted.environment:
        which.append(R.environment == wanted.environment)
    if wanted.status:
        which.append(status_at(wanted.now) == wanted.status.value)
    return and_(*which)


def status_at(now: datetime) -> ColumnElement[str]:
    """Say in SQL what `domain.moves.settled` says: the state as the clock has it. One contract test holds both."""
    waits = and_(R.status.in_(_SCHEDULABLE), R.start_at.is_not(None), R.schedule_begun.is_(False))
    begins = and_(waits, R.start_at <= now)
    runs = or_(begins, R.status.in_((Status.ACTIVE.value, Status.PAUSED.value)))
    return case(
        (and_(waits, R.start_at > now), R.status),
        (and_(R.end_at <= now, runs), Status.COMPLETED.value),
        (begins, Status.ACTIVE.value),
        else_=R.status,
    )
