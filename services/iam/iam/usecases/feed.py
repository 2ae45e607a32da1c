"""The feed: changes of authority, read from the log once per process and shared by all streams.

It remembers the latest changes in a ring of fixed size. A stream is nothing but a position in it, so a slow reader
costs nothing and holds nobody up; one that falls behind the ring reads from the log, and one that falls behind the log
has to begin again.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from chassis.errors import Fault
from iam.domain.authority import Change, Kind, News, Thing
from iam.domain.errors import Behind
from iam.ports import OpenWork, Work

log = logging.getLogger(__name__)

MOST = 10_000
BATCH = 500
EVERY = 0.25  # seconds between two looks at the log when no bell rings
FRESH = 3.0  # seconds for which "nothing new" may be said after a look


class Feed:
    """What happened lately, in order."""

    def __init__(
        self,
        work: OpenWork,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.closed = False
        self._work = work
        self._now = now
        self._clock = clock
        self._ring: deque[News] = deque()
        self._floor = self._position = -1
        self._looked = float("-inf")
        self._woken = asyncio.Event()
        self._moved = asyncio.Condition()

    @property
    def fresh(self) -> bool:
        """Whether nothing can have changed that is not in the feed yet."""
        return self._clock() - self._looked < FRESH

    def wake(self) -> None:
        """Look at the log now: somebody committed a change."""
        self._woken.set()

    async def run(self) -> None:
        """Follow the log until cancelled; then let every stream end."""
        try:
            while True:
                self._woken.clear()
                await self._look_if_possible()
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY):  # wait_for of 3.11 can lose a cancellation
                        await self._woken.wait()
        except asyncio.CancelledError:
            self.closed = True
            await self._tell()
            raise

    async def look(self) -> None:
        """Read every change that is not in the feed yet."""
        full = True
        while full:
            async with self._work() as work:
                if begins := self._position < 0:
                    self._floor = self._position = await work.authority.epoch()
                changes = await work.authority.changes(self._position, BATCH)
                news = await _told(work, changes, self._now())
            self._looked = self._clock()
            full = len(changes) == BATCH
            if changes:
                self._remember(news, changes[-1].epoch)
            if changes or begins:
                await self._tell()

    async def after(self, position: int, seconds: float) -> tuple[int, Sequence[News]]:
        """Return the news after a position and the position they lead to; wait for some if there are none."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(lambda: self.closed or self._position > position)
        if self._position <= position:
            return position, ()
        if position < self._floor:
            return await self._from_log(position)
        return self._position, [news for news in self._ring if news.epoch > position]

    async def _look_if_possible(self) -> None:
        try:
            await self.look()
        except Fault as fault:
            if self.fresh:
                log.warning("the change log cannot be read: %s", fault.detail)

    async def _from_log(self, position: int) -> tuple[int, Sequence[News]]:
        async with self._work() as work:
            if position < await work.authority.oldest():
                raise Behind("this replica has fallen too far behind; it begins again")
            changes = await work.authority.changes(position, BATCH)
            news = await _told(work, changes, self._now())
        return (changes[-1].epoch if changes else position), news

    def _remember(self, news: Iterable[News], position: int) -> None:
        self._ring.extend(news)
        while len(self._ring) > MOST:
            self._floor = self._ring.popleft().epoch
        self._position = position

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()


async def _told(work: Work, changes: Sequence[Change], now: datetime) -> list[News]:
    """Return how the changed things stand now, each once, where it was changed last."""
    last = {(change.kind, change.id): change.epoch for change in changes}
    found: dict[Kind, Mapping[str, Thing]] = {}
    for kind in {change.kind for change in changes}:
        ids = [id_ for k, id_ in last if k is kind]
        found[kind] = await work.authority.things(kind, ids, now)
    news = [News(epoch, kind, id_, found[kind].get(id_)) for (kind, id_), epoch in last.items()]
    return sorted(news, key=lambda one: one.epoch)
