"""Scheduled changes: asked for now, made at their time, in the name of whoever asked and by what they may do then."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor, Document, Fact, Target
from chassis.pages import PageAsk, Slice
from flags.domain.edits import Author, Edit, affected, change_of, must_be_free, needed, spot_of
from flags.domain.errors import BadSchedule, ScheduleNotFound, TooManySchedules
from flags.domain.flag import Flag
from flags.domain.schedule import MOST_PENDING, Schedule, document, must_be_ahead
from flags.ports import OpenWork, Work
from flags.usecases.changing import Aim, Changing, must_be_at, rechecked, tell_switched, telling
from flags.usecases.checking import allowed, check


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be changed and when. `approved` is the change request that lets it pass."""

    at: datetime
    edit: Edit
    approved: UUID | None = None


@dataclass(frozen=True, slots=True)
class Schedules:
    """Everything one can do about changes that wait for their time."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    @property
    def changing(self) -> Changing:
        """The steps that every change takes."""
        return Changing(self.now, self.new_id)

    async def create(self, caller: Caller, aim: Aim, asked: Asked) -> Schedule:
        """Have an edit made at a time. It is tried now, so that what cannot be done is refused at once."""
        caller.must_for_some("flag:update")
        async with self.work() as work:
            return await self.create_in(work, caller, aim, asked)

    async def create_in(self, work: Work, caller: Caller, aim: Aim, asked: Asked) -> Schedule:
        """Do it inside a transaction of the caller's."""
        caller.must_for_some("flag:update")
        now = self.now()
        must_be_ahead(asked.at, now)
        flag = await self._tried(work, caller, aim, asked)
        if await work.schedules.count(flag) >= MOST_PENDING:
            raise TooManySchedules(
                f"flag {flag.key!r} has {MOST_PENDING} scheduled changes already"
            )
        made = Schedule(
            id=self.new_id(),
            spot=spot_of(flag, aim.place.environment),
            at=asked.at,
            edit=asked.edit,
            reason=aim.reason,
            author=Author.of(caller),
            approved=asked.approved,
            next_at=asked.at,
            created_at=now,
            updated_at=now,
        )
        await work.schedules.add(made)
        work.record(schedule_fact(caller, "flag.change_scheduled", None, made))
        return made

    async def get(self, caller: Caller, aim: Aim, schedule: UUID) -> Schedule:
        """Return one scheduled change of a flag."""
        caller.must_for_some("flag:read")
        async with self.work() as work:
            _, flag = await self.changing.found(work, caller, "flag:read", aim)
            return _known(await work.schedules.get(flag, schedule))

    async def page(self, caller: Caller, aim: Aim, ask: PageAsk) -> Slice[Schedule]:
        """List the scheduled changes of a flag in one environment, the newest first, also those that are over."""
        caller.must_for_some("flag:read")
        async with self.work() as work:
            _, flag = await self.changing.found(work, caller, "flag:read", aim)
            return await work.schedules.page(flag, aim.place.environment, ask)

    async def cancel(self, caller: Caller, aim: Aim, schedule: UUID) -> Schedule:
        """Call a scheduled change off."""
        caller.must_for_some("flag:update")
        async with self.work() as work:
            _, flag = await self.changing.found(work, caller, "flag:update", aim)
            before = _known(await work.schedules.get(flag, schedule, lock=True))
            must_be_at(aim, before.version, "scheduled change")
            after = before.cancelled(self.now())
            await work.schedules.put(after)
            fact = schedule_fact(caller, "flag.change_cancelled", before, after, aim.reason)
            work.record(fact)
        return after

    async def _tried(self, work: Work, caller: Caller, aim: Aim, asked: Asked) -> Flag:
        """Return the flag, of which the edit could be made today."""
        if not asked.edit:
            raise BadSchedule("the change says nothing: name what is to be different")
        project, before = await self.changing.held(work, caller, "flag:read", aim)
        for permission in needed(asked.edit):
            allowed(caller, permission, before, aim.flag)
        after = before.changed(aim.place.environment, self.now(), change_of(asked.edit))
        if not asked.approved:
            # What is so already needs no approval today; it is asked for again when the time has come.
            must_be_free(project, before.key, affected(before, after))
        await check(work, project, after, rechecked(before, after))
        return before


async def make(work: Work, changing: Changing, caller: Caller, schedule: Schedule) -> Schedule:
    """Make the edit of a schedule whose time has come, in its author's name; return the schedule, done."""
    aim = Aim(
        flag=str(schedule.spot.flag_id),
        place=schedule.spot.place,
        reason=schedule.reason or f"as scheduled for {schedule.at.isoformat(timespec='seconds')}",
        approved=schedule.approved is not None,
    )
    change, takes = change_of(schedule.edit), tuple(needed(schedule.edit))
    _, flag = await changing.found(work, caller, takes[0], aim)
    for permission in takes:
        allowed(caller, permission, flag, flag.key)
    switches = takes == ("flag:toggle",)
    after = await changing.move(
        work,
        caller,
        aim,
        (takes[-1], lambda flag, now: flag.changed(aim.place.environment, now, change)),
        tell_switched if switches else telling("flag.updated"),
    )
    done = schedule.done(after.version, changing.now())
    await work.schedules.put(done)
    work.record(schedule_fact(caller, "flag.change_executed", schedule, done))
    return done


def _known(schedule: Schedule | None) -> Schedule:
    if schedule is None:
        raise ScheduleNotFound("the flag has no such scheduled change")
    return schedule


def schedule_fact(
    caller: Caller, action: str, before: Schedule | None, after: Schedule, reason: str = ""
) -> Fact:
    """Return a fact about a scheduled change; it is told of the flag that it is about."""
    told: Document | None = None if before is None else document(before)
    return Fact(
        tenant=caller.tenant,
        actor=Actor.of(caller),
        action=action,
        target=Target("feature_flag", str(after.spot.flag_id), after.spot.flag),
        before=told,
        after=document(after),
        reason=reason or after.reason,
    )
