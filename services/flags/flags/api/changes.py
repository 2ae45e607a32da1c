"""Waiting for changes, for every door that streams: what is in force now, then each change of it, and signs of life."""

import asyncio
from collections.abc import AsyncGenerator

from flags.api.desks import Desk, Desks
from flags.domain.ruleset import Ruleset

HEARTBEAT = 20.0  # seconds; a key that was revoked hears nothing more after that


async def changes(
    desks: Desks, desk: Desk, every: float = HEARTBEAT
) -> AsyncGenerator[Ruleset | None]:
    """Yield what is in force, then each change; None where nothing happened for `every` seconds.

    Of several changes in short order only the last may be seen. Ends when the key holds no more, or the process stops.
    """
    known: Ruleset | None = None
    while desks.hold(desk):
        turned = desk.held.turned
        if known is not desk.ruleset:
            known = desk.ruleset
            yield known
            continue
        try:
            async with asyncio.timeout(every):
                await turned.wait()
        except TimeoutError:
            yield None
