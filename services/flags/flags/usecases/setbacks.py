"""What is noted of a scheduled change or a rollout that was due and could not be done."""

from datetime import datetime

from chassis.caller import Caller
from chassis.errors import Fault
from flags.domain.edits import Author, Spot
from flags.domain.rollout import UNFINISHED, Rollout
from flags.domain.schedule import Schedule, ScheduleStatus
from flags.ports import OpenWork, Work
from flags.usecases.rollouts import rollout_fact
from flags.usecases.schedules import schedule_fact

Due = Schedule | Rollout


async def refused(open_work: OpenWork, now: datetime, due: Due, fault: Fault) -> None:
    """Note that what was due was refused, unless somebody has dealt with it since."""
    nobody = _in_name_of(due.author, due.spot)
    async with open_work() as work:
        if isinstance(due, Schedule):
            if (before := await _schedule_again(work, due)) is not None:
                after = before.failed(fault.detail, now)
                await work.schedules.put(after)
                work.record(schedule_fact(nobody, "flag.change_failed", before, after))
        elif (stage := await rollout_again(work, due)) is not None:
            stopped = stage.failed(fault.detail, now)
            await work.rollouts.put(stopped)
            work.record(rollout_fact(nobody, "flag.rollout_failed", stage, stopped))


async def put_off(open_work: OpenWork, now: datetime, due: Due) -> None:
    """Note that a bug of ours kept what was due from being done: to be tried again."""
    async with open_work() as work:
        if isinstance(due, Schedule):
            if before := await _schedule_again(work, due):
                await work.schedules.put(before.put_off(now))
        elif stage := await rollout_again(work, due):
            await work.rollouts.put(stage.put_off(now))


async def rollout_again(work: Work, due: Rollout) -> Rollout | None:
    """Return a rollout, locked; None if it has moved since it was found due."""
    project = await work.projects.get(due.spot.tenant, due.spot.project)
    flag = project and await work.flags.get(project, str(due.spot.flag_id))
    found = flag and await work.rollouts.get(flag, due.id, lock=True)
    same = found and found.version == due.version and found.status in UNFINISHED
    return found if same else None


async def _schedule_again(work: Work, due: Schedule) -> Schedule | None:
    project = await work.projects.get(due.spot.tenant, due.spot.project)
    flag = project and await work.flags.get(project, str(due.spot.flag_id))
    found = flag and await work.schedules.get(flag, due.id, lock=True)
    return found if found and found.status is ScheduleStatus.PENDING else None


def _in_name_of(author: Author, spot: Spot) -> Caller:
    """Return whoever asked, as an actor only: they may nothing."""
    kind = "api_key" if author.type == "api_key" else "user"
    return Caller(
        subject=author.id, tenant=spot.tenant, kind=kind, name=author.name, account=author.account
    )
