"""What is to be done later, in PostgreSQL: scheduled changes and rollouts, which lie in two tables of one form."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Select, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.pages import PageAsk, Slice, cut
from flags.domain.edits import Author, Spot
from flags.domain.errors import RolloutRunning
from flags.domain.flag import Flag
from flags.domain.guard import guard_of, verdict_document, verdict_from
from flags.domain.rollout import UNFINISHED, Ramp, Rollout, RolloutStatus, Stage
from flags.domain.schedule import Schedule, ScheduleStatus
from flags.store.tables import FlagRow, ProjectRow, RolloutRow, ScheduleRow

Row = TypeVar("Row", ScheduleRow, RolloutRow)
T = TypeVar("T")
_PENDING = ScheduleRow.status == ScheduleStatus.PENDING.value


class Plans(Generic[Row, T]):
    """One such table: how rows are found and read."""

    def __init__(
        self, session: AsyncSession, row: type[Row], read: Callable[[Row, Spot], T]
    ) -> None:
        self.session = session
        self.row = row
        self._read = read

    async def add(self, values: dict[str, object]) -> None:
        """Keep a new one."""
        await self.session.execute(insert(self.row).values(**values))

    async def put(self, values: dict[str, object]) -> None:
        """Keep one as it now stands."""
        await self.session.execute(
            update(self.row)
            .where(self.row.id == values["id"])
            .values(**values)
            .execution_options(synchronize_session=False)
        )

    async def page(self, flag: Flag, environment: str, ask: PageAsk) -> Slice[T]:
        """Return a part of those of a flag in an environment, the newest first: ids grow with time."""
        mine = (self.row.flag_id == flag.id) & (self.row.environment == environment)
        query = self.every().where(mine).order_by(self.row.id.desc())
        if ask.after:
            query = query.where(self.row.id < UUID(ask.after[0]))
        found = await self.found(query.offset(ask.offset).limit(ask.limit + 1))
        total = await self.session.scalar(select(func.count(self.row.id)).where(mine))
        items, after = cut(found, ask.limit, lambda one: (str(one[0]),))
        return Slice(items=[plan for _, plan in items], next=after, total=total)

    async def first(self, query: Select[Row, str, UUID, str]) -> T | None:
        """Return the first of those that a query finds."""
        return next((plan for _, plan in await self.found(query)), None)

    async def found(self, query: Select[Row, str, UUID, str]) -> Sequence[tuple[UUID, T]]:
        """Return those that a query over `every` finds, with their ids."""
        query = query.execution_options(populate_existing=True)
        rows = (await self.session.execute(query)).all()
        return [
            (row.id, self._read(row, _spot(row, key, project_id, project)))
            for row, key, project_id, project in rows
        ]

    def of(self, flag: Flag, id_: UUID, *, lock: bool) -> Select[Row, str, UUID, str]:
        """Return the query for one of a flag."""
        query = self.every().where(self.row.id == id_, self.row.flag_id == flag.id)
        return self.locked(query) if lock else query

    def due(self, now: datetime) -> Select[Row, str, UUID, str]:
        """Return the query for the one that is longest due, but for those that somebody else has locked."""
        query = self.every().where(self.row.next_at <= now).order_by(self.row.next_at, self.row.id)
        return query.limit(1).with_for_update(of=self.row, skip_locked=True)

    def locked(self, query: Select[Row, str, UUID, str]) -> Select[Row, str, UUID, str]:
        """Return a query that locks what it finds, always in the same order."""
        return query.order_by(self.row.id).with_for_update(of=self.row)

    def all(self, flag: Flag) -> Select[Row, str, UUID, str]:
        """Return the query for all of a flag."""
        return self.every().where(self.row.flag_id == flag.id)

    def every(self) -> Select[Row, str, UUID, str]:
        """Return the query for all of every flag."""
        return (
            select(self.row, FlagRow.key, ProjectRow.id, ProjectRow.key)
            .join(FlagRow, FlagRow.id == self.row.flag_id)
            .join(ProjectRow, ProjectRow.id == FlagRow.project_id)
        )


class SqlSchedules:
    """The schedule book over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._plans = Plans(session, ScheduleRow, _schedule)

    async def add(self, schedule: Schedule) -> None:
        """Keep a new one."""
        await self._plans.add(_schedule_row(schedule))

    async def put(self, schedule: Schedule) -> None:
        """Keep one as it now stands."""
        await self._plans.put(_schedule_row(schedule))

    async def get(self, flag: Flag, schedule: UUID, *, lock: bool = False) -> Schedule | None:
        """Return one of a flag; with `lock`, nobody else changes it until the work ends."""
        return await self._plans.first(self._plans.of(flag, schedule, lock=lock))

    async def page(self, flag: Flag, environment: str, ask: PageAsk) -> Slice[Schedule]:
        """Return a part of those of a flag in an environment, the newest first."""
        return await self._plans.page(flag, environment, ask)

    async def count(self, flag: Flag) -> int:
        """Return how many wait."""
        query = select(func.count(ScheduleRow.id)).where(ScheduleRow.flag_id == flag.id, _PENDING)
        return await self._plans.session.scalar(query) or 0

    async def pending(self, flag: Flag, environment: str) -> list[Schedule]:
        """Return those that wait, locked, in the order of their ids."""
        query = self._plans.all(flag).where(_PENDING, ScheduleRow.environment == environment)
        return [plan for _, plan in await self._plans.found(self._plans.locked(query))]

    async def claim(self, now: datetime) -> Schedule | None:
        """Return the one that is longest due, locked; those that others have locked are passed over."""
        return await self._plans.first(self._plans.due(now).where(_PENDING))


class SqlRollouts:
    """The rollout book over one session."""

    def __init__(self, session: AsyncSession) -> None:
        self._plans = Plans(session, RolloutRow, _rollout)

    async def add(self, rollout: Rollout) -> None:
        """Keep a new one; RolloutRunning if another one in its place is unfinished."""
        try:
            await self._plans.add(_rollout_row(rollout))
        except IntegrityError as clash:
            if "rollout_unfinished" not in str(clash.orig):
                raise
            where = rollout.spot.environment
            raise RolloutRunning(
                f"flag {rollout.spot.flag!r} has an unfinished rollout in {where!r}: abort it first"
            ) from clash

    async def put(self, rollout: Rollout) -> None:
        """Keep one as it now stands."""
        await self._plans.put(_rollout_row(rollout))

    async def get(self, flag: Flag, rollout: UUID, *, lock: bool = False) -> Rollout | None:
        """Return one of a flag; with `lock`, nobody else changes it until the work ends."""
        return await self._plans.first(self._plans.of(flag, rollout, lock=lock))

    async def page(self, flag: Flag, environment: str, ask: PageAsk) -> Slice[Rollout]:
        """Return a part of those of a flag in an environment, the newest first."""
        return await self._plans.page(flag, environment, ask)

    async def unfinished(self, flag: Flag, environment: str) -> Rollout | None:
        """Return the one that is under way, locked."""
        query = self._plans.all(flag).where(
            RolloutRow.environment == environment, RolloutRow.status.in_(UNFINISHED)
        )
        return await self._plans.first(self._plans.locked(query))

    async def claim(self, now: datetime) -> Rollout | None:
        """Return the one whose next stage is longest due, locked; those that others have locked are passed over."""
        return await self._plans.first(self._plans.due(now))

    async def to_look_at(self, now: datetime) -> Rollout | None:
        """Return the one whose guard is longest due to be asked, not locked."""
        query = self._plans.every().where(RolloutRow.look_at <= now)
        return await self._plans.first(query.order_by(RolloutRow.look_at, RolloutRow.id).limit(1))


def _spot(row: ScheduleRow | RolloutRow, key: str, project_id: UUID, project: str) -> Spot:
    return Spot(
        tenant=row.tenant,
        project_id=project_id,
        project=project,
        flag_id=row.flag_id,
        flag=key,
        environment=row.environment,
    )


def _row(plan: Schedule | Rollout, said: dict[str, Any]) -> dict[str, object]:
    same = ("id", "approved", "attempts", "version", "created_at", "updated_at")
    return {
        **{name: getattr(plan, name) for name in same},
        "tenant": plan.spot.tenant,
        "flag_id": plan.spot.flag_id,
        "environment": plan.spot.environment,
        "status": plan.status.value,
        "next_at": plan.next_at,
        "author": asdict(plan.author),
        "said": {"reason": plan.reason, "trouble": plan.trouble, **said},
    }


def _same(row: ScheduleRow | RolloutRow, spot: Spot) -> dict[str, Any]:
    author: dict[str, Any] = {**row.author}
    scope: list[str] | None = author.pop("scope")
    return {
        "id": row.id,
        "spot": spot,
        "author": Author(**author, scope=None if scope is None else tuple(scope)),
        "reason": row.said["reason"],
        "trouble": row.said["trouble"],
        "approved": row.approved,
        "attempts": row.attempts,
        "version": row.version,
        "created_at": row.created_at.astimezone(UTC),
        "updated_at": row.updated_at.astimezone(UTC),
    }


def _schedule_row(schedule: Schedule) -> dict[str, object]:
    said = {
        "at": schedule.at.isoformat(),
        "edit": dict(schedule.edit),
        "made": schedule.made,
    }
    return _row(schedule, said)


def _schedule(row: ScheduleRow, spot: Spot) -> Schedule:
    at = datetime.fromisoformat(row.said["at"])
    return Schedule(
        **_same(row, spot),
        status=ScheduleStatus(row.status),
        at=at,
        next_at=row.next_at.astimezone(UTC) if row.next_at else at,
        edit=row.said["edit"],
        made=row.said["made"],
    )


def _rollout_row(rollout: Rollout) -> dict[str, object]:
    said = {"ramp": asdict(rollout.ramp), "stage": rollout.stage, "left": rollout.left}
    if rollout.ramp.guard is None:
        return _row(rollout, said) | {"look_at": None}
    # Its stages do not begin by the clock alone: whoever looks for those that do must not find it.
    verdict = None if rollout.verdict is None else verdict_document(rollout.verdict)
    said |= {"next_at": rollout.next_at and rollout.next_at.isoformat(), "verdict": verdict}
    return _row(rollout, said) | {"look_at": rollout.look_at, "next_at": None}


def _rollout(row: RolloutRow, spot: Spot) -> Rollout:
    said = row.said["ramp"]
    ramp = Ramp(
        variant=said["variant"],
        otherwise=said["otherwise"],
        stages=tuple(Stage(**stage) for stage in said["stages"]),
        by=tuple(said["by"]),
        when=said["when"],
        guard=guard_of(said.get("guard")),
    )
    guarded: str | None = row.said.get("next_at")
    next_at = datetime.fromisoformat(guarded) if guarded else row.next_at
    return Rollout(
        **_same(row, spot),
        status=RolloutStatus(row.status),
        next_at=next_at and next_at.astimezone(UTC),
        look_at=row.look_at and row.look_at.astimezone(UTC),
        verdict=verdict_from(row.said.get("verdict")),
        ramp=ramp,
        stage=row.said["stage"],
        left=row.said["left"],
    )
