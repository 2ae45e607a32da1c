"""Taking in exposures and events, and absorbing them into the state that results are read from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from chassis.caller import Caller
from chassis.errors import Unavailable
from experiments.domain.errors import BatchTooLarge, IntakeAway
from experiments.domain.intake import (
    MOST_ITEMS,
    MOST_JOINED,
    Rejected,
    event_of,
    experiments_in,
    exposure_of,
    joined_of,
    sifted,
)
from experiments.ports import OpenWork, Work
from experiments.ports.measuring import Absorbed, Pack, Parcel, Stream
from experiments.usecases.whose import elsewhere

AT_ONCE = 20_000  # items that a transaction absorbs
AT_LEAST = 300  # and how few, when the database is so slow that more would take too long


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a batch. `durable`: it is in the database; else in a stream that keeps it on its disk."""

    accepted: int
    rejected: Sequence[Rejected]
    durable: bool


@dataclass(frozen=True, slots=True)
class Intakes:
    """Takes batches in. What is answered as accepted is never lost."""

    work: OpenWork
    stream: Stream
    pack: Pack
    now: Callable[[], datetime]
    wake: Callable[[], None]

    async def events(self, caller: Caller, items: Sequence[object], *, durable: bool) -> Taken:
        """Take in what units did; bad items are answered with their reasons, the others are kept."""
        caller.must("event:create")
        check_size(items)
        now = self.now()
        good, bad = sifted(items, lambda item: event_of(caller.tenant, item, now))
        safe = await self._keep(self.pack.events(good), durable=durable)
        return Taken(accepted=len(good), rejected=bad, durable=safe)

    async def exposures(self, caller: Caller, items: Sequence[object], *, durable: bool) -> Taken:
        """Take in who was shown what; an exposure must name a variant of an experiment that ran at that time.

        An API key that is bound to a place exposes in its experiments only.
        """
        caller.must("exposure:create")
        check_size(items)
        now = self.now()
        async with self.work() as work:
            trials = await work.trials.named(caller.tenant, experiments_in(items), now)
        bound = partial(elsewhere, caller)
        good, bad = sifted(items, lambda it: exposure_of(caller.tenant, it, now, trials, bound))
        safe = await self._keep(self.pack.exposures(good), durable=durable)
        return Taken(accepted=len(good), rejected=bad, durable=safe)

    async def join(self, caller: Caller, items: Sequence[object]) -> Taken:
        """Make units others, one transaction each: who was a visitor has logged in. All is in the database then.

        What a unit has seen and done is the other's, also what comes for it later. Joining again changes nothing.
        """
        caller.must("event:create")
        check_size(items, MOST_JOINED)
        good, bad = sifted(items, lambda item: joined_of(caller.tenant, item))
        for unit, same_as in good:
            async with self.work() as work:
                await work.intake.join(unit, same_as)
        return Taken(accepted=len(good), rejected=bad, durable=True)

    async def _keep(self, parcels: Sequence[Parcel], *, durable: bool) -> bool:
        """Keep parcels in the stream, or in the database where that was asked for or the stream is away."""
        if not parcels:
            return True
        safe = durable or not await self._streamed(parcels)
        if safe:
            await self._left(parcels)
        self.wake()
        return safe

    async def _streamed(self, parcels: Sequence[Parcel]) -> bool:
        try:
            await self.stream.put(parcels)
        except Unavailable:
            return False
        return True

    async def _left(self, parcels: Sequence[Parcel]) -> None:
        try:
            async with self.work() as work:
                await work.intake.leave(parcels)
        except Unavailable as away:
            text = "the batch cannot be kept now, and nothing of it was taken; send it again"
            raise IntakeAway(text, retry_after=2) from away


def check_size(items: Sequence[object], most: int = MOST_ITEMS) -> None:
    """Refuse more items than are taken at once."""
    if len(items) > most:
        raise BatchTooLarge(f"a batch has at most {most:,} items, not {len(items):,}")


async def absorbed(
    open_work: OpenWork, stream: Stream, shard: int, most: int = AT_ONCE
) -> Absorbed | None:
    """Absorb about `most` of what waits for a shard, in one transaction; None if another has it, or nothing waits.

    What was in the stream is dropped from it after the commit only: if we die in between, it comes again, and changes
    nothing, because every event is known by its id and every exposure says the same twice.
    """
    async with open_work() as work:
        if not await work.intake.hold(shard):
            return None
        streamed = await _read(stream, shard, most)
        left = await work.intake.take(shard, most)
        if not streamed and not left:
            return None
        done = await _absorb(work, [*streamed, *left])
    if streamed:
        await stream.drop(shard, streamed)
    return done


async def _absorb(work: Work, parcels: Sequence[Parcel]) -> Absorbed:
    for experiment in await work.intake.lay_out(parcels):
        await work.intake.freeze(experiment, await work.trials.definitions(experiment))
    return await work.intake.absorb()


async def _read(stream: Stream, shard: int, most: int) -> Sequence[Parcel]:
    try:
        return await stream.read(shard, most)
    except Unavailable:
        return ()


async def waiting(open_work: OpenWork, stream: Stream) -> set[int]:
    """Return the shards for which something waits, in the stream or in the database."""
    async with open_work() as work:
        left = await work.intake.shards_waiting()
    try:
        return left | await stream.shards_waiting()
    except Unavailable:
        return left
