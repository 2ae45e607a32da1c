"""What guards of rollouts do: experiments is asked, outside of any transaction, and the rollout moves by its answer.

Clear and due: the next stage begins, in its author's name. Harmed: the rollout is rolled back or paused, by this
service, whoever its author is by now. Unknown, for whatever reason: it is held, says why, and asks again.
"""

import logging
from dataclasses import dataclass

from chassis.caller import Caller
from chassis.errors import Fault, Unavailable
from flags.domain.guard import OnHarm, Said, Verdict, unknown, verdict_of
from flags.domain.rollout import Rollout
from flags.ports import Work
from flags.ports.plans import Experiments
from flags.usecases.changing import Changing
from flags.usecases.clockwork import Clockwork
from flags.usecases.rollouts import advance, rollout_fact, undo
from flags.usecases.setbacks import put_off, refused, rollout_again

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Guarding:
    """Moves rollouts that have a guard."""

    clockwork: Clockwork
    experiments: Experiments

    async def process_due(self) -> int:
        """Ask about every guard that is due, one at a time; return how many."""
        asked = 0
        while rollout := await self._next():
            await self._moved(rollout, await self._verdict(rollout))
            asked += 1
        return asked

    async def _next(self) -> Rollout | None:
        async with self.clockwork.work() as work:
            return await work.rollouts.to_look_at(self.clockwork.now())

    async def _verdict(self, rollout: Rollout) -> Verdict:
        """Return what is known of a guard; a failure to find out is an answer, too."""
        guard, now = rollout.ramp.guard, self.clockwork.now
        assert guard is not None, "only a rollout with a guard is looked at"
        try:
            evidence = await self.experiments.evidence(rollout.spot.tenant, guard.experiment)
        except Fault as fault:
            return unknown(f"experiments: {fault.detail}", now())
        except Exception:
            log.exception("the guard of a rollout cannot be asked: %s", rollout.id)
            return unknown("experiments cannot be asked because of a fault on our side", now())
        return verdict_of(guard, evidence, now())

    async def _moved(self, rollout: Rollout, verdict: Verdict) -> None:
        """Move a rollout by a verdict. What is refused is noted, a bug of ours tried again."""
        try:
            await self._move(rollout, verdict)
        except Unavailable as away:
            if verdict.said is Said.HARMED:  # the store is away: nothing else is needed to stop
                raise
            await self._move(rollout, unknown(away.detail, verdict.at))
        except Fault as fault:
            await refused(self.clockwork.work, self.clockwork.now(), rollout, fault)
        except Exception:
            log.exception("a guarded rollout cannot be moved: %s", rollout.id)
            await put_off(self.clockwork.work, self.clockwork.now(), rollout)

    async def _move(self, seen: Rollout, verdict: Verdict) -> None:
        async with self.clockwork.work() as work:
            before = await rollout_again(work, seen)
            if before is None:  # somebody else has moved it since
                return
            now = self.clockwork.now()
            after = before.judged(verdict, now)
            if verdict.said is Said.HARMED:
                await self._stop(work, before, after, verdict.why)
            elif verdict.said is Said.CLEAR and before.due(now):
                caller = self.clockwork.authors.caller(before.author, before.spot)
                await advance(work, self._changing, caller, after)
            else:
                await work.rollouts.put(after)
                if after.held and not before.held:
                    guard = _guard(before)
                    work.record(
                        rollout_fact(guard, "flag.rollout_held", before, after, verdict.why)
                    )

    async def _stop(self, work: Work, before: Rollout, judged: Rollout, why: str) -> None:
        """Roll a rollout back, or pause it, for harm."""
        caller, now, guard = _guard(before), self.clockwork.now(), before.ramp.guard
        pausing = guard is not None and guard.on_harm is OnHarm.PAUSE
        after = judged.paused(now, why) if pausing else judged.rolled_back(now, why)
        await work.rollouts.put(after)
        work.record(rollout_fact(caller, f"flag.rollout_{after.status}", before, after, why))
        if not pausing:
            await undo(work, self._changing, caller, after, why)

    @property
    def _changing(self) -> Changing:
        return Changing(self.clockwork.now, self.clockwork.new_id)


def _guard(rollout: Rollout) -> Caller:
    """Return whoever stops a rollout for harm: this service itself, which may do no more than that."""
    return Caller(
        subject="flags",
        tenant=rollout.spot.tenant,
        kind="service",
        name="guard",
        permissions=frozenset({"flag:read", "flag:update"}),
    )
