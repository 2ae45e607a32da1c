"""What became of what was asked for."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from authz.standing import Thing
from chassis.caller import Caller
from compute.domain.errors import OperationNotFound
from compute.domain.operation import Operation, Outcome
from compute.ports import OpenWork

EVERY = 15.0  # seconds after which who follows is told that nothing has changed
LOOK = 0.1  # seconds between two looks; the worker may be another process


@dataclass(frozen=True, slots=True)
class Operations:
    """Everything one can do with operations."""

    work: OpenWork

    async def read(self, caller: Caller, operation_id: UUID, wait: float = 0) -> Operation:
        """Return an operation; up to `wait` seconds later if it has not ended."""
        caller.must_for_some("vm:read")
        end = time.monotonic() + wait
        while True:
            found = await self._find(caller, operation_id)
            if found.status is not Outcome.RUNNING or time.monotonic() >= end:
                return found
            await asyncio.sleep(min(LOOK, max(0.0, end - time.monotonic())))

    async def follow(
        self, caller: Caller, operation_id: UUID, again: Callable[[], Awaitable[Caller]]
    ) -> AsyncIterator[Operation]:
        """Yield an operation as it is, unchanged every `EVERY` seconds, and last when it has ended.

        `again` tells before each who the caller is by then: who may no more hears no more, by the fault that says so.
        """
        caller.must_for_some("vm:read")
        found = await self._find(caller, operation_id)
        yield found
        while found.status is Outcome.RUNNING:
            await self.read(caller, operation_id, wait=EVERY)
            found = await self.read(await again(), operation_id)
            yield found

    async def _find(self, caller: Caller, operation_id: UUID) -> Operation:
        missing = OperationNotFound(f"there is no operation {operation_id}")
        async with self.work() as work:
            found = await work.operations.find(caller.tenant, operation_id)
        if found is None:
            raise missing
        caller.must_over("vm:read", Thing(found.owner_id, id=str(found.vm_id)), missing)
        return found
