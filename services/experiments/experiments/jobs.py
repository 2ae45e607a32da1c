"""What runs by itself: the scheduler, which writes down what the clock has done, the publisher, which tells flags,
the absorber of data, and the guard, which pauses what harms.

Nobody waits for the scheduler: every view computes the state from the clock. It makes the change last, and leaves the
fact. Of several replicas the one with the lease does the work, so that the others need not look; what makes each move
happen exactly once is the lock on the row, and its version, not the lease.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from prometheus_client import Counter

from chassis.errors import Fault
from experiments.ports import OpenWork
from experiments.ports.measuring import Stream
from experiments.usecases.experiments import overdue
from experiments.usecases.intake import AT_LEAST, AT_ONCE, absorbed, waiting
from experiments.usecases.publishing import Publishing
from experiments.usecases.results import guarded

log = logging.getLogger(__name__)

PUBLISHED = Counter("experiments_published", "States of experiments that flags has taken")
LEASE = 5.0
SOON = 0.5
MOVED = Counter(
    "experiments_moved_by_schedule", "Moves of experiments that a schedule made", ["move"]
)
PAUSED = Counter("experiments_paused_by_guard", "Experiments that were paused for harm")
ABSORBED = Counter("experiments_absorbed", "Events and exposures that changed the state", ["kind"])


class Woken:
    """What rests between its rounds, and can be woken."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Say that there may be something to do."""
        self._woken.set()

    async def rest(self, seconds: float) -> None:
        """Rest for so long, or until woken."""
        with suppress(TimeoutError):  # wait_for may swallow a cancellation on Python 3.11
            async with asyncio.timeout(seconds):
                await self._woken.wait()


class Scheduler(Woken):
    """Sleeps until a date is due, at most `interval` seconds, and writes down what is due then."""

    def __init__(
        self, work: OpenWork, now: Callable[[], datetime], interval: float = 15 * 60.0
    ) -> None:
        super().__init__()
        self._work = work
        self._now = now
        self._interval = interval

    async def run(self) -> None:
        """Keep schedules until cancelled; while the database is away, try again and again."""
        while True:
            self._woken.clear()
            try:
                pause = await self.round()
            except Fault as fault:
                log.warning("schedules wait: %s", fault.detail)
                pause = LEASE
            await self.rest(pause)

    async def round(self) -> float:
        """Write down what is due, if this process has the lease; return how many seconds to sleep."""
        due = await self._next_due()
        if due is not None and due <= self._now():
            if not await self._leads():
                return LEASE
            await self._process()
            due = await self._next_due()
        if due is None:
            return self._interval
        return min(max((due - self._now()).total_seconds(), SOON), self._interval)

    async def _process(self) -> None:
        for step in await overdue(self._work, self._now()):
            MOVED.labels(step.move.name).inc()
            data = {"experiment": str(step.after.id), "move": step.move.name}
            log.info("a schedule moved an experiment", extra={"data": data})

    async def _next_due(self) -> datetime | None:
        async with self._work() as work:
            return await work.experiments.next_due()

    async def _leads(self) -> bool:
        async with self._work() as work:
            return await work.lead(LEASE)


class Publisher(Woken):
    """Tells flags what is due: at once when woken, and every second what another process left or flags did not take."""

    def __init__(self, publishing: Publishing, interval: float = 1.0) -> None:
        super().__init__()
        self._publishing = publishing
        self._interval = interval

    async def run(self) -> None:
        """Keep telling until cancelled; while the database is away, try again and again."""
        while True:
            self._woken.clear()
            try:
                PUBLISHED.inc(await self._publishing.round())
            except Fault as fault:
                log.warning("flags is not told: %s", fault.detail)
            await self.rest(self._interval)


class Guard:
    """Pauses experiments that harm a guardrail beyond doubt, within seconds of the data that show it.

    Any replica may do it at any time: the experiment is locked and only paused while it is ACTIVE.
    """

    def __init__(self, work: OpenWork, now: Callable[[], datetime], pause: float = 5.0) -> None:
        self._work = work
        self._now = now
        self._pause = pause

    async def run(self) -> None:
        """Guard until cancelled; while the database is away, try again and again."""
        while True:
            try:
                await self.round()
            except Fault as fault:
                log.warning("guardrails are not watched: %s", fault.detail)
            await asyncio.sleep(self._pause)

    async def round(self) -> int:
        """Look at every experiment with a guardrail once; return how many were paused."""
        paused = await guarded(self._work, self._now())
        for trial in paused:
            PAUSED.inc()
            log.warning("an experiment harms and is paused", extra={"data": {"id": str(trial.id)}})
        return len(paused)


class Absorber(Woken):
    """Absorbs what waits, shard by shard: woken by this process' doors, and four times a second by itself.

    A batch that fails may have been too large for the time that the database gives a statement: the next ones are
    smaller, until they succeed.
    """

    def __init__(self, work: OpenWork, stream: Stream, pause: float = 0.25) -> None:
        super().__init__()
        self._work = work
        self._stream = stream
        self._pause = pause
        self._most = AT_ONCE

    async def run(self) -> None:
        """Absorb until cancelled; while the database is away, try again and again."""
        while True:
            self._woken.clear()
            pause = self._pause
            try:
                if await self.round():
                    continue
            except Fault as fault:
                log.warning("exposures and events wait: %s", fault.detail)
                pause = SOON
            await self.rest(pause)

    async def round(self) -> int:
        """Absorb what waits for each shard once, two shards at a time; return how many transactions had effect.

        One shard that fails stops no other; the Fault of one is raised when all have been tried.
        """
        shards = sorted(await waiting(self._work, self._stream))
        said = await asyncio.gather(*(self._absorb(half) for half in (shards[::2], shards[1::2])))
        failed = [fault for _, faults in said for fault in faults]
        self._most = max(AT_LEAST, self._most // 4) if failed else min(AT_ONCE, self._most * 2)
        if failed:
            raise failed[0]
        return sum(done for done, _ in said)

    async def _absorb(self, shards: Sequence[int]) -> tuple[int, list[Fault]]:
        done, failed = 0, list[Fault]()
        for shard in shards:
            try:
                it = await absorbed(self._work, self._stream, shard, self._most)
            except Fault as fault:
                failed.append(fault)
                continue
            if it is not None:
                ABSORBED.labels("event").inc(it.events)
                ABSORBED.labels("exposure").inc(it.exposures)
                done += 1
        return done, failed
