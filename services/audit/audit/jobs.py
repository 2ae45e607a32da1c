"""What the audit service does by itself."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from uuid import UUID

from audit.domain.stream import Stream
from audit.usecases.keeper import Keeper
from audit.usecases.recorder import Recorder
from audit.usecases.sender import Sender
from audit.usecases.signer import Signer
from chassis.errors import Fault
from chassis.serve import Job

log = logging.getLogger(__name__)

_TURN = 10.0  # seconds for which a stream keeps its place, when others want it


def adopting(recorder: Recorder, every: float = 60.0) -> Job:
    """Return the job that brings logs from before logs were trees into their trees."""

    async def adopt() -> None:
        while True:
            await recorder.adopt()
            await asyncio.sleep(every)

    return adopt


Alone = Callable[[str], Awaitable[bool]]  # whether this process is who does what only one shall do


def checkpoints(signer: Signer, alone: Alone, every: float = 1.0) -> Job:
    """Return the job that signs the logs that grew."""

    async def sign() -> None:
        while True:
            if await alone("signer"):
                await signer.sign_grown()
            await asyncio.sleep(every)

    return sign


def sweeping(keeper: Keeper, alone: Alone, every: float = 600.0) -> Job:
    """Return the job that drops what no tenant wants kept."""

    async def sweep() -> None:
        while True:
            if await alone("retention"):
                await keeper.sweep()
            await asyncio.sleep(every)

    return sweep


def streaming(sender: Sender, alone: Alone, every: float = 1.0, most: int = 100) -> Job:
    """Return the job that sends entries to their receivers, `most` streams at once, each at its receiver's pace.

    A stream sends batch after batch while there are more, for `_TURN` at most if others wait for its place; who has
    a place next is drawn by lot. So a slow receiver keeps its own entries waiting and nobody else's, and what breaks
    at one stream breaks off no other's sending.
    """

    busy: dict[UUID, asyncio.Task[None]] = {}
    ours = False

    async def turn(stream: Stream) -> None:
        ends, going = time.monotonic() + _TURN, await sender.send(stream)
        while going and ours and (len(busy) < most or time.monotonic() < ends):
            going = await sender.send(going)

    async def seat(places: asyncio.TaskGroup) -> None:
        waiting = [one for one in await sender.due() if one.id not in busy]
        random.shuffle(waiting)
        for stream in waiting[: most - len(busy)]:
            busy[stream.id] = task = places.create_task(_apart(stream, turn(stream)))
            task.add_done_callback(lambda _, of=stream.id: busy.pop(of))

    async def send() -> None:
        nonlocal ours
        async with asyncio.TaskGroup() as places:
            while True:
                ours = await alone("streams")
                if ours and len(busy) < most:
                    await seat(places)
                await asyncio.sleep(every)

    return send


async def _apart(stream: Stream, turn: Coroutine[Any, Any, None]) -> None:
    """Let a stream have its turn; what breaks there is told and breaks off no other's."""
    try:
        await turn
    except Fault as away:  # no database: it goes on from what stands there
        log.warning("stream %s rests: %s", stream.id, away)
    except Exception:
        log.exception("stream %s broke", stream.id)
