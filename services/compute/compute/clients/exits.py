"""Being told at once when a guest's process ends, though it is nobody's child: the kernel wakes who holds a pidfd."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from uuid import UUID


class Exits:
    """Which guests ended."""

    def __init__(self) -> None:
        self._watched: dict[UUID, tuple[int, int]] = {}
        self._ended: asyncio.Queue[UUID] = asyncio.Queue()

    def watch(self, alive: Mapping[UUID, int]) -> None:
        """Watch these guests, each by its pid."""
        for vm, pid in alive.items():
            if self._watched.get(vm, (0, 0))[0] != pid:
                self._forget(vm)
                self._begin(vm, pid)

    def _begin(self, vm: UUID, pid: int) -> None:
        try:
            handle = os.pidfd_open(pid)
        except (
            OSError
        ):  # it ended before we could watch it, or we may hold no more files: the next pass sees it
            return
        self._watched[vm] = (pid, handle)
        asyncio.get_running_loop().add_reader(handle, self._tell, vm)

    def _tell(self, vm: UUID) -> None:
        self._forget(vm)
        self._ended.put_nowait(vm)

    def _forget(self, vm: UUID) -> None:
        if found := self._watched.pop(vm, None):
            asyncio.get_running_loop().remove_reader(found[1])
            os.close(found[1])

    async def told(self) -> AsyncIterator[UUID]:
        """Yield guests as they end."""
        while True:
            yield await self._ended.get()

    def close(self) -> None:
        """Stop watching."""
        for vm in list(self._watched):
            self._forget(vm)
