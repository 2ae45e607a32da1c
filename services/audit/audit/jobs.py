"""What the audit service does by itself."""

import asyncio
from collections.abc import Awaitable, Callable

from audit.usecases.keeper import Keeper
from audit.usecases.recorder import Recorder
from audit.usecases.signer import Signer
from audit.usecases.streamer import Streamer
from chassis.serve import Job


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


def streaming(streamer: Streamer, alone: Alone, every: float = 1.0) -> Job:
    """Return the job that sends entries to their receivers, at once while there are more."""

    async def send() -> None:
        while True:
            if not await alone("streams") or not await streamer.send_due():
                await asyncio.sleep(every)

    return send
