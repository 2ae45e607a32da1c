"""Following a log: it is read once per process and shared by everybody who listens.

The latest is remembered in a ring of fixed size. A listener is nothing but a position in it, so a slow one costs
nothing and holds nobody up; one that falls behind the ring reads the log, one that falls behind the log begins again.
"""

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import ClassVar, Generic, Protocol, TypeVar

from chassis.errors import Fault
from iam.domain.errors import Behind
from iam.ports import OpenWork, Work

log = logging.getLogger(__name__)

EVERY = 0.25  # seconds between two looks at the log when no bell rings
FRESH = 3.0  # seconds for which "nothing new" may be said after a look


class Placed(Protocol):
    """Whatever has a place in a log."""

    @property
    def position(self) -> int:
        """Where it is in the log."""
        ...


Line = TypeVar("Line", bound=Placed)
Told = TypeVar("Told", bound=Placed)


class Follower(ABC, Generic[Line, Told]):
    """What a log said lately, in order: lines of it, told as listeners want to hear them.

    `most` are remembered, `batch` lines are read at once.
    """

    most: ClassVar[int]
    batch: ClassVar[int]

    def __init__(self, work: OpenWork, clock: Callable[[], float] = time.monotonic) -> None:
        self.closed = False
        self._work = work
        self._clock = clock
        self._ring: deque[Told] = deque()
        self._floor = self._position = -1
        self._looked = float("-inf")
        self._woken = asyncio.Event()
        self._moved = asyncio.Condition()

    @abstractmethod
    async def newest(self, work: Work) -> int:
        """Return the position of the log's newest line."""

    @abstractmethod
    async def reaches(self, work: Work, position: int) -> bool:
        """Tell whether every line after a position is still in the log."""

    @abstractmethod
    async def lines(self, work: Work, position: int) -> Sequence[Line]:
        """Return up to a batch of lines after a position, in order."""

    @abstractmethod
    async def told(self, work: Work, lines: Sequence[Line]) -> Sequence[Told]:
        """Return what lines mean, in order of position."""

    @property
    def pause(self) -> float | None:
        """Seconds until the log is looked at unasked; None: not before somebody asks."""
        return EVERY

    @property
    def fresh(self) -> bool:
        """Whether nothing can have happened that is not known here yet."""
        return self._clock() - self._looked < FRESH

    def wake(self) -> None:
        """Look at the log now: somebody committed a change."""
        self._woken.set()

    async def run(self) -> None:
        """Follow the log until cancelled; then let everybody who listens go."""
        try:
            while True:
                self._woken.clear()
                await self.look_if_possible()
                with suppress(TimeoutError):
                    async with asyncio.timeout(
                        self.pause
                    ):  # wait_for of 3.11 can lose a cancellation
                        await self._woken.wait()
        except asyncio.CancelledError:
            self.closed = True
            await self._tell()
            raise

    async def look_if_possible(self) -> None:
        """Look, and say once if that is no longer possible."""
        try:
            await self.look()
        except Fault as fault:
            if self.fresh:
                log.warning("the log that %s follows cannot be read: %s", type(self), fault.detail)

    async def look(self) -> None:
        """Read everything that is not known here yet."""
        full = True
        while full:
            async with self._work() as work:
                if begins := self._position < 0:
                    self._floor = self._position = await self.newest(work)
                lines = await self.lines(work, self._position)
                told = await self.told(work, lines)
            self._looked = self._clock()
            full = len(lines) == self.batch
            self.remember(lines, told)
            if lines or begins:
                await self._tell()

    async def after(self, position: int, seconds: float) -> tuple[int, Sequence[Told]]:
        """Return what was told after a position, and the position it leads to; wait for some if there is none.

        Behind: the log does not reach back to that position any more.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(lambda: self.closed or self._position > position)
        if self._position <= position:
            return position, ()
        if position < self._floor:
            return await self._from_log(position)
        return self._position, [one for one in self._ring if one.position > position]

    def remember(self, lines: Sequence[Line], told: Sequence[Told]) -> None:
        """Keep what was told of lines; the oldest goes where the ring is full."""
        self._ring.extend(told)
        while len(self._ring) > self.most:
            self._floor = self._ring.popleft().position
        if lines:
            self._position = lines[-1].position

    def forget(self) -> None:
        """Begin again where the log is when it is looked at next."""
        self._ring.clear()
        self._floor = self._position = -1

    async def _from_log(self, position: int) -> tuple[int, Sequence[Told]]:
        async with self._work() as work:
            if not await self.reaches(work, position):
                raise Behind("the log does not reach back to that position: read everything again")
            # What is not known here yet may change who may hear of it.
            found = [
                one for one in await self.lines(work, position) if one.position <= self._position
            ]
            told = await self.told(work, found)
        return (found[-1].position if found else position), told

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()
