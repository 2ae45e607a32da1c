"""Progressive rollouts: started, held, let go on and given up by people; moved on by the clock."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from chassis.caller import Caller
from chassis.facts import Actor, Fact, Target
from chassis.pages import PageAsk, Slice
from flags.domain.edits import Author, affected, must_be_free, spot_of
from flags.domain.errors import RolloutNotFound, RolloutRunning
from flags.domain.flag import Flag
from flags.domain.rollout import (
    Ramp,
    Rollout,
    RolloutStatus,
    begun,
    document,
    grown,
    must_ramp,
    undone,
)
from flags.ports import OpenWork, Work
from flags.usecases.changing import Aim, Changing, Move, must_be_at, telling
from flags.usecases.checking import check

GIVEN_UP = "the rollout was given up"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which ramp, and from when on (None: now). `approved` is the change request that lets it pass."""

    ramp: Ramp
    start: datetime | None = None
    approved: UUID | None = None


@dataclass(frozen=True, slots=True)
class Rollouts:
    """Everything one can do about progressive rollouts."""

    work: OpenWork
    now: Callable[[], datetime]
    new_id: Callable[[], UUID]

    @property
    def changing(self) -> Changing:
        """The steps that every change takes."""
        return Changing(self.now, self.new_id)

    async def start(self, caller: Caller, aim: Aim, asked: Asked) -> Rollout:
        """Start a rollout; its first stage begins with the next round of the clock."""
        caller.must_for_some("flag:update")
        async with self.work() as work:
            return await self.start_in(work, caller, aim, asked)

    async def start_in(self, work: Work, caller: Caller, aim: Aim, asked: Asked) -> Rollout:
        """Do it inside a transaction of the caller's."""
        caller.must_for_some("flag:update")
        must_read_guard(caller, asked.ramp)
        now = self.now()
        _, known = await self.changing.found(work, caller, "flag:update", aim)
        # Looked for before the flag is held: whoever moves a rollout holds that first.
        if await work.rollouts.unfinished(known, aim.place.environment):
            raise RolloutRunning(
                f"flag {known.key!r} has an unfinished rollout in this environment: abort it first"
            )
        project, flag = await self.changing.held(work, caller, "flag:update", aim)
        ramp = asked.ramp
        if not ramp.otherwise:
            default = flag.switch(aim.place.environment).default_variant
            ramp = replace(ramp, otherwise=default)
        must_ramp(ramp)
        then = max(now, asked.start or now)
        made = Rollout(
            id=self.new_id(),
            spot=spot_of(flag, aim.place.environment),
            ramp=ramp,
            reason=aim.reason,
            author=Author.of(caller),
            approved=asked.approved,
            next_at=then,
            look_at=then if ramp.guard else None,
            created_at=now,
            updated_at=now,
        )
        first = begun(flag, made.advanced(now), now)
        if not asked.approved:
            must_be_free(project, flag.key, affected(flag, first))
        await check(work, project, first, (aim.place.environment,))
        await work.rollouts.add(made)
        work.record(rollout_fact(caller, "flag.rollout_started", None, made))
        return made

    async def get(self, caller: Caller, aim: Aim, rollout: UUID) -> Rollout:
        """Return one rollout of a flag."""
        caller.must_for_some("flag:read")
        async with self.work() as work:
            _, flag = await self.changing.found(work, caller, "flag:read", aim)
            return _known(await work.rollouts.get(flag, rollout))

    async def page(self, caller: Caller, aim: Aim, ask: PageAsk) -> Slice[Rollout]:
        """List the rollouts of a flag in one environment, the newest first."""
        caller.must_for_some("flag:read")
        async with self.work() as work:
            _, flag = await self.changing.found(work, caller, "flag:read", aim)
            return await work.rollouts.page(flag, aim.place.environment, ask)

    async def pause(self, caller: Caller, aim: Aim, rollout: UUID) -> Rollout:
        """Hold a rollout at its stage. Allowed without approval: it keeps a change from being made."""
        caller.must_for_some("flag:update")
        return await self._turn(caller, aim, rollout, "paused")

    async def resume(self, caller: Caller, aim: Aim, rollout: UUID) -> Rollout:
        """Let a rollout go on."""
        caller.must_for_some("flag:update")
        return await self._turn(caller, aim, rollout, "resumed")

    async def abort(self, caller: Caller, aim: Aim, rollout: UUID) -> Rollout:
        """Give a rollout up and take its rule out of the flag, so that all get again what they got before."""
        caller.must_for_some("flag:update")
        async with self.work() as work:
            _, flag = await self.changing.found(work, caller, "flag:update", aim)
            before = _known(await work.rollouts.get(flag, rollout, lock=True))
            must_be_at(aim, before.version, "rollout")
            after = before.aborted(self.now())
            await work.rollouts.put(after)
            fact = rollout_fact(caller, "flag.rollout_aborted", before, after, aim.reason)
            work.record(fact)
            await undo(work, self.changing, caller, after, aim.reason or GIVEN_UP)
        return after

    async def _turn(self, caller: Caller, aim: Aim, rollout: UUID, turn: str) -> Rollout:
        async with self.work() as work:
            _, flag = await self.changing.found(work, caller, "flag:update", aim)
            before = _known(await work.rollouts.get(flag, rollout, lock=True))
            must_be_at(aim, before.version, "rollout")
            after = (before.paused if turn == "paused" else before.resumed)(self.now())
            if after is not before:
                await work.rollouts.put(after)
                work.record(rollout_fact(caller, f"flag.rollout_{turn}", before, after, aim.reason))
        return after


async def undo(
    work: Work, changing: Changing, caller: Caller, rollout: Rollout, reason: str
) -> None:
    """Take back what a rollout did. That needs no approval: nobody gets what they did not get before it."""
    await _move(work, changing, (caller, reason), rollout, undone)


def must_read_guard(caller: Caller, ramp: Ramp) -> None:
    """Refuse a guard to whoever reads no experiments: what becomes of the rollout tells something of it."""
    if ramp.guard is not None:
        caller.must_for_some("experiment:read")


async def advance(work: Work, changing: Changing, caller: Caller, before: Rollout) -> Rollout:
    """Begin the next stage of a rollout, in its author's name; return the rollout at that stage."""
    after = before.advanced(changing.now())
    reason = before.reason or f"stage {after.stage + 1} of {len(after.ramp.stages)} of a rollout"
    if after.stage != before.stage:  # else the last one was only watched for a while
        how = grown if before.stage >= 0 else begun
        await _move(work, changing, (caller, reason), after, how)
    await work.rollouts.put(after)
    action = "completed" if after.status is RolloutStatus.COMPLETED else "advanced"
    work.record(rollout_fact(caller, f"flag.rollout_{action}", before, after, reason))
    return after


async def _move(
    work: Work,
    changing: Changing,
    who: tuple[Caller, str],
    rollout: Rollout,
    how: Callable[[Flag, Rollout, datetime], Flag],
) -> None:
    caller, reason = who
    approved = rollout.approved is not None or how is undone
    spot = rollout.spot
    aim = Aim(flag=str(spot.flag_id), place=spot.place, reason=reason, approved=approved)
    move: Move = lambda flag, now: how(flag, rollout, now)  # noqa: E731 - a name for its type
    await changing.move(work, caller, aim, ("flag:update", move), telling("flag.updated"))


def _known(rollout: Rollout | None) -> Rollout:
    if rollout is None:
        raise RolloutNotFound("the flag has no such rollout")
    return rollout


def rollout_fact(
    caller: Caller, action: str, before: Rollout | None, after: Rollout, reason: str = ""
) -> Fact:
    """Return a fact about a rollout; it is told of the flag that it is about."""
    return Fact(
        tenant=caller.tenant,
        actor=Actor.of(caller),
        action=action,
        target=Target("feature_flag", str(after.spot.flag_id), after.spot.flag),
        before=None if before is None else document(before),
        after=document(after),
        reason=reason or after.reason,
    )
