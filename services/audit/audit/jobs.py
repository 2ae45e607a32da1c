"""What the audit service does by itself."""

import asyncio

from audit.usecases.recorder import Recorder
from chassis.serve import Job


def adopting(recorder: Recorder, every: float = 60.0) -> Job:
    """Return the job that brings logs from before logs were trees into their trees."""

    async def adopt() -> None:
        while True:
            await recorder.adopt()
            await asyncio.sleep(every)

    return adopt
