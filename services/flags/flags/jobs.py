"""What runs by itself: keeping the rulesets fresh. Each is needed in every process that answers."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from chassis.errors import Fault
from chassis.serve import Job
from flags.ports import News
from flags.usecases.rulesets import Rulesets

log = logging.getLogger(__name__)


def freshness(rulesets: Rulesets, news: News, poll_every: float) -> tuple[Job, ...]:
    """Return the jobs: announce our changes, hear of those of others, and find out what was missed."""

    async def spread() -> None:
        await news.spread(rulesets.heard)

    async def listen() -> None:
        await news.listen(rulesets.heard, lambda: _tried(rulesets.poll))

    async def poll() -> None:
        while True:
            await asyncio.sleep(poll_every * random.uniform(0.8, 1.0))  # noqa: S311 - jitter
            await _tried(rulesets.poll)

    return spread, listen, poll


async def _tried(poll: Callable[[], Awaitable[None]]) -> None:
    try:
        await poll()
    except Fault as fault:
        log.warning("the rulesets stay as they are: %s", fault.detail)
