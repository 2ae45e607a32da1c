"""Group commit: what comes while a transaction is under way shares the next one, all of it stored or none."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from audit.domain.sequence import Receipt
from audit.domain.writing import Prepared
from chassis.errors import Fault

log = logging.getLogger(__name__)
MOST = 1_000  # while the database takes these, the next are prepared


@dataclass(frozen=True, slots=True)
class _Waiting:
    events: Sequence[Prepared]
    answer: asyncio.Future[Sequence[Receipt]]

    def answered(self, receipts: Sequence[Receipt]) -> None:
        if not self.answer.done():
            self.answer.set_result(receipts)

    def failed(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Together:
    """Passes events on to `store`, one call at a time."""

    def __init__(self, store: Callable[[Sequence[Prepared]], Awaitable[Sequence[Receipt]]]) -> None:
        self._store = store
        self._queue: deque[_Waiting] = deque()
        self._passing: asyncio.Task[None] | None = None

    async def __call__(self, events: Sequence[Prepared]) -> Sequence[Receipt]:
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
        while self._queue and size + len(self._queue[0].events) <= MOST:
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
