"""Writing the log, with group commit: appends that come while a transaction is under way share the next one.

Nothing waits for company: a lone append is stored at once, and the busier the log is, the larger its batches get.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from audit.domain.draft import MOST_EVENTS, Draft, accepted
from audit.domain.entry import Event
from audit.domain.errors import TooManyEvents
from audit.domain.sequence import Receipt, placed
from audit.ports import OpenWork
from chassis.caller import Caller
from chassis.errors import Fault

log = logging.getLogger(__name__)
TOGETHER = 500


class Recorder:
    """Puts events into the logs of their tenants, each once."""

    def __init__(self, work: OpenWork, now: Callable[[], datetime]) -> None:
        self._work = work
        self._now = now
        self._together = _Together(self._store)

    async def append(self, caller: Caller, drafts: Sequence[Draft]) -> Sequence[Receipt]:
        """Store each event once, in the order given: all or none; BadEvent names the first that cannot be stored."""
        caller.must("audit:append")
        if len(drafts) > MOST_EVENTS:
            raise TooManyEvents(f"at most {MOST_EVENTS} events at once; send them in parts")
        events = [accepted(index, draft).prepared() for index, draft in enumerate(drafts)]
        return await self._together(events) if events else []

    async def _store(self, events: Sequence[Event]) -> Sequence[Receipt]:
        async with self._work() as work:
            heads = await work.log.lock({event.tenant for event in events})
            batch = placed(events, heads, await work.log.seen(events), self._now())
            if batch.entries:
                await work.log.append(batch.entries, batch.heads)
        return batch.receipts


@dataclass(frozen=True, slots=True)
class _Waiting:
    events: Sequence[Event]
    answer: asyncio.Future[Sequence[Receipt]]

    def answered(self, receipts: Sequence[Receipt]) -> None:
        if not self.answer.done():
            self.answer.set_result(receipts)

    def failed(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class _Together:
    """Passes events on to `store`, one call at a time."""

    def __init__(self, store: Callable[[Sequence[Event]], Awaitable[Sequence[Receipt]]]) -> None:
        self._store = store
        self._queue: deque[_Waiting] = deque()
        self._passing: asyncio.Task[None] | None = None

    async def __call__(self, events: Sequence[Event]) -> Sequence[Receipt]:
        """Return the receipts of these events once they are stored; all of them are, or none."""
        waiting = _Waiting(events, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if self._passing is None or self._passing.done():
            self._passing = asyncio.create_task(self._pass())
        return await waiting.answer

    async def _pass(self) -> None:
        while self._queue:
            await self._store_together(self._next())

    def _next(self) -> list[_Waiting]:
        """Take what fits into one transaction; the first always does."""
        batch = [self._queue.popleft()]
        size = len(batch[0].events)
        while self._queue and size + len(self._queue[0].events) <= TOGETHER:
            batch.append(self._queue.popleft())
            size += len(batch[-1].events)
        return batch

    async def _store_together(self, batch: Sequence[_Waiting]) -> None:
        try:
            receipts = await self._store([event for each in batch for event in each.events])
        except Fault as fault:
            for each in batch:
                each.failed(fault)
        except Exception as bug:
            log.exception("%d appends could not be stored together", len(batch))
            await self._store_apart(batch, bug)
        else:
            ends = iter(receipts)
            for each in batch:
                each.answered([next(ends) for _ in each.events])

    async def _store_apart(self, batch: Sequence[_Waiting], bug: Exception) -> None:
        """One of them has the bug: the others shall not suffer for it."""
        if len(batch) == 1:
            batch[0].failed(bug)
            return
        for each in batch:
            await self._store_together([each])
