"""Doing something that may take longer than its lease: the lease is renewed meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from chassis.errors import Fault

T = TypeVar("T")


class Lost(Exception):
    """Another worker has the lease now."""


async def while_kept(
    doing: Coroutine[Any, Any, T], renew: Callable[[], Awaitable[bool]], every: float
) -> T:
    """Do something and renew its lease every so many seconds; Lost, and it is cancelled, as soon as another has it."""
    done = asyncio.create_task(doing)
    kept = asyncio.create_task(_keep(renew, every))
    try:
        await asyncio.wait({done, kept}, return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            raise Lost
        return done.result()
    finally:
        for task in (done, kept):
            task.cancel()
        await asyncio.gather(done, kept, return_exceptions=True)


async def _keep(renew: Callable[[], Awaitable[bool]], every: float) -> None:
    """Renew the lease until it is lost. While the database is away nobody can take it: it is asked again."""
    held = True
    while held:
        await asyncio.sleep(every)
        with suppress(Fault):
            held = await renew()
