"""Jobs end when the process stops."""

import asyncio
from types import SimpleNamespace

from chassis.serve import _working


async def test_a_job_that_lost_a_cancellation_is_cancelled_again():
    lost = []

    async def hard_of_hearing():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            lost.append("once")
        await asyncio.Event().wait()

    async with asyncio.timeout(30):
        async with _working(SimpleNamespace(always=(), jobs=(hard_of_hearing,)), jobs=True):
            await asyncio.sleep(0)
    assert lost == ["once"]
