"""The kill switch: a flag off at once, for everybody, whatever waits and whatever an environment wants approved."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Fact
from flags.domain.flag import Flag
from flags.ports import OpenWork, Work
from flags.usecases.changing import Aim, Changing, flag_fact, statuses
from flags.usecases.rollouts import rollout_fact
from flags.usecases.schedules import schedule_fact

WHY = "the flag was killed"


@dataclass(frozen=True, slots=True)
class Emergency:
    """What may be done at once."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    async def kill(self, caller: Caller, aim: Aim) -> Flag:
        """Switch a flag off in one environment without approval, pause its rollout and cancel what is scheduled there.

        If it is off already, only the rest is done.
        """
        caller.must_for_some("flag:toggle")
        changing = Changing(self.now, self.new_id)
        aim = replace(aim, approved=True)
        async with self.work() as work:
            _, flag = await changing.found(work, caller, "flag:toggle", aim)
            await self._stop(work, caller, aim, flag)
            return await changing.move(
                work,
                caller,
                aim,
                (
                    "flag:toggle",
                    lambda flag, now: flag.set_to(aim.place.environment, now, enabled=False),
                ),
                _killed,
            )

    async def _stop(self, work: Work, caller: Caller, aim: Aim, flag: Flag) -> None:
        """Stop what would change the flag by itself. Held before the flag is, as whoever does it by the clock does."""
        now, where = self.now(), aim.place.environment
        for before in await work.schedules.pending(flag, where):
            cancelled = before.cancelled(now)
            await work.schedules.put(cancelled)
            work.record(schedule_fact(caller, "flag.change_cancelled", before, cancelled, WHY))
        if (running := await work.rollouts.unfinished(flag, where)) is not None:
            paused = running.paused(now, WHY)
            if paused is not running:
                await work.rollouts.put(paused)
                work.record(rollout_fact(caller, "flag.rollout_paused", running, paused, WHY))


def _killed(caller: Caller, aim: Aim, before: Flag, after: Flag) -> Fact:
    return flag_fact(caller, "flag.killed", after, statuses(aim, before, after), aim.reason)
