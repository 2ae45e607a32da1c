"""What is under way: a task for each machine, so that what takes long at one holds up no other."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chassis.errors import Fault

log = logging.getLogger(__name__)

AT_ONCE = 4
LONG = 1.0  # seconds; who takes longer gives its place to the next


def _places() -> asyncio.Semaphore:
    return asyncio.Semaphore(AT_ONCE)


@dataclass(frozen=True, slots=True)
class Underway:
    """The machines that something is being done to. After a power cut a thousand are due: few begin at once."""

    _tasks: dict[UUID, asyncio.Task[None]] = field(default_factory=dict[UUID, asyncio.Task[None]])
    _places: asyncio.Semaphore = field(default_factory=_places)

    def __contains__(self, vm_id: UUID) -> bool:
        """Tell whether something is being done to a machine, or is about to be."""
        return vm_id in self._tasks

    def __len__(self) -> int:
        """Return to how many machines something is being done."""
        return len(self._tasks)

    def begin(self, vm_id: UUID, steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin with a machine, unless something is being done to it: at one machine, one thing at a time."""
        if vm_id not in self._tasks:
            task = asyncio.create_task(self._through(steps))
            self._tasks[vm_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(vm_id))

    async def finish(self) -> None:
        """Return when nothing is being done any more."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    async def cancel(self) -> None:
        """Break off what is being done: what was done and not written down is found again by who comes next."""
        for task in self._tasks.values():
            task.cancel()
        await self.finish()

    async def _through(self, steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async with asyncio.TaskGroup() as group, self._places:
            await asyncio.wait({group.create_task(_take(steps))}, timeout=LONG)


async def _take(steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Take some steps; a bug in one machine's is told and keeps nobody else's from being taken."""
    try:
        await steps()
    except Fault as away:  # no database: what was done is seen by the next pass that has one
        log.warning("a step for a machine was not written down: %s", away)
    except Exception:
        log.exception("a step for a machine broke")
