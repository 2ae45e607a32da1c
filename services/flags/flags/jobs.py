"""What runs by itself in every process that answers: keeping the rulesets fresh, and what outlives the process."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from chassis.errors import Fault
from chassis.serve import Job
from flags.ports.serving import News
from flags.usecases.clockwork import Clockwork
from flags.usecases.guarding import Guarding
from flags.usecases.keyring import Keyring
from flags.usecases.rulesets import Rulesets
from flags.usecases.usage import Counting

SWEEP = 4 * 3600.0

log = logging.getLogger(__name__)

PAUSE = 0.5  # seconds between two writings of what changes all the time
KEYS_EVERY = 2.0


def freshness(rulesets: Rulesets, news: News, poll_every: float) -> tuple[Job, ...]:
    """Return the jobs: announce our changes, hear of those of others, and find out what was missed."""

    async def spread() -> None:
        await news.spread(rulesets.heard)

    async def listen() -> None:
        await news.listen(rulesets.heard, lambda: _tried(rulesets.poll))

    async def poll() -> None:
        try:
            await _tried(rulesets.poll)
        finally:
            rulesets.looked = True
        while True:
            await asyncio.sleep(poll_every * random.uniform(0.8, 1.0))  # noqa: S311 - jitter
            await _tried(rulesets.poll)

    return spread, listen, poll


def counting(counts: Counting, every: float) -> Job:
    """Return the job that stores counts of evaluations, at the latest when an hour ends, and once more at the end."""

    async def store() -> None:
        try:
            while True:
                await asyncio.sleep(min(every, _left_of_the_hour()))
                await _counted(counts)
        finally:
            await _counted(counts)

    return store


def ticking(clockwork: Clockwork, every: float = 1.0) -> Job:
    """Return the job that does what is due: scheduled changes, and stages of rollouts."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(every * random.uniform(0.8, 1.0))  # noqa: S311 - jitter
            await _tried(_due)

    async def _due() -> None:
        await clockwork.process_due()

    return tick


def guarding(guards: Guarding, every: float = 1.0) -> Job:
    """Return the job that asks about guards of rollouts; apart from the clock, which waits for no neighbour."""

    async def look() -> None:
        while True:
            await asyncio.sleep(every * random.uniform(0.8, 1.0))  # noqa: S311 - jitter
            await _tried(_due)

    async def _due() -> None:
        await guards.process_due()

    return look


def sweeping(counts: Counting) -> Job:
    """Return the job that forgets old counts, every few hours."""

    async def sweep() -> None:
        while True:
            await asyncio.sleep(SWEEP * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
            await _tried(counts.sweep)

    return sweep


def _left_of_the_hour() -> float:
    return max(0.05, 3600.0 - time.time() % 3600.0)


async def _counted(counts: Counting) -> None:
    try:
        await counts.flush()
    except Fault as fault:
        log.warning("counts of evaluations wait: %s", fault.detail)


def keeping(rulesets: Rulesets, keyring: Keyring) -> tuple[Job, ...]:
    """Return the jobs that write what is in force to where it outlives this process, and end waits with it."""

    async def places() -> None:
        try:
            while True:
                await rulesets.unwritten.wait()
                rulesets.unwritten.clear()
                await asyncio.to_thread(rulesets.write)
                await asyncio.sleep(PAUSE)
        finally:
            rulesets.close()
            rulesets.write()

    async def keys() -> None:
        while True:
            keyring.tend()
            await asyncio.sleep(KEYS_EVERY)

    return places, keys


async def _tried(poll: Callable[[], Awaitable[None]]) -> None:
    try:
        await poll()
    except Fault as fault:
        log.warning("what was to be done waits: %s", fault.detail)
