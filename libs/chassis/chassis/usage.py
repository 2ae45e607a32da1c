"""Tells iam which API keys were used: noted in memory at each use, told together, each key once a minute at most.

A crash loses what was noted since the last telling; while iam is away what was noted waits.
"""

import asyncio
import time
from collections.abc import Callable

from grpc import aio

from chassis.identity import Identity
from switchyard.iam.v1 import iam_pb2 as pb

EVERY = 5.0
AGAIN = 60.0
MOST = 5000  # ids in one message


class Usage:
    """What of the use of keys iam has not been told yet."""

    def __init__(self, identity: Identity, clock: Callable[[], float] = time.monotonic) -> None:
        self._identity = identity
        self._clock = clock
        self._told: dict[str, float] = {}

    async def run(self) -> None:
        """Tell every few seconds until cancelled, and once more then."""
        try:
            while True:
                await asyncio.sleep(EVERY)
                await self.tell()
        finally:
            await self.tell()

    async def tell(self) -> None:
        """Tell what is due; what iam does not take is noted again."""
        now, seen = self._clock(), self._identity.used
        self._told = {key: at for key, at in self._told.items() if now - at < AGAIN}
        due = sorted(seen - self._told.keys())[:MOST]
        if not due:
            return
        try:
            await self._identity.iam.NoteKeyUse(pb.NoteKeyUseRequest(key_ids=due), timeout=1.0)
        except aio.AioRpcError:
            return
        seen.difference_update(due)
        self._told.update(dict.fromkeys(due, now))
