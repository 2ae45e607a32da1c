"""Waiting for changes, for every door that streams: what is in force now, then each change of it, and signs of life."""

import asyncio
import random
from collections.abc import AsyncGenerator

from flags.api.desks import Desk, Desks
from flags.domain.ruleset import Ruleset

RETRY = (
    1000,
    5000,
)  # milliseconds until a client comes back: each its own, so that not all come at once
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


def come_back() -> bytes:
    """Return what tells a client of server-sent events when to come back, should it lose the connection."""
    return f"retry: {random.randint(*RETRY)}\n\n".encode()  # noqa: S311 - jitter
