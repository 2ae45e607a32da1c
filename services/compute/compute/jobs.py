"""What the compute service does by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from uuid import UUID

from chassis.errors import Fault
from chassis.serve import Job
from compute.usecases.importer import Importer
from compute.usecases.offers import Offers
from compute.usecases.orphans import Orphans
from compute.usecases.reconciler import Reconciler
from compute.usecases.tidying import Tidying

QUICK, SLOW = 0.2, 1.0


def reconciling(
    reconciler: Reconciler, stirred: asyncio.Event, events: Callable[[], AsyncIterator[UUID]]
) -> Job:
    """Return the job that makes wishes come true: at once when stirred, often while something is on its way."""

    async def listen() -> None:
        async for _ in events():
            stirred.set()

    async def work() -> None:
        while True:
            stirred.clear()
            busy = True
            with suppress(
                Fault
            ):  # no database: the wishes are in it, and so is what we would write
                busy = await reconciler.sweep()
            with suppress(TimeoutError):
                async with asyncio.timeout(QUICK if busy else SLOW):
                    await stirred.wait()

    async def reconcile() -> None:
        listening = asyncio.create_task(listen())
        try:
            await work()
        finally:
            listening.cancel()
            await reconciler.underway.cancel()

    return reconcile


def offering(offers: Offers, every: float = 15.0) -> Job:
    """Return the job that offers the templates of this host."""

    async def offer() -> None:
        while True:
            with suppress(Fault):
                await offers.refresh()
            await asyncio.sleep(every)

    return offer


def importing(importer: Importer, every: float = 1.0) -> Job:
    """Return a job that has images, one after the other. Several run: a slow server holds up nobody else's."""

    async def have() -> None:
        while True:
            busy = False
            with suppress(Fault):
                busy = await importer.process_due()
            if not busy:
                await asyncio.sleep(every)

    return have


def clearing_shelf(importer: Importer, every: float = 600.0) -> Job:
    """Return the job that clears away images that nobody needs."""

    async def clear() -> None:
        while True:
            with suppress(Fault):
                await importer.sweep()
            await asyncio.sleep(every)

    return clear


def tidying(tidy: Tidying, every: float = 600.0) -> Job:
    """Return the job that drops what is old."""

    async def drop() -> None:
        while True:
            with suppress(Fault):
                await tidy.sweep()
            await asyncio.sleep(every)

    return drop


def clearing(orphans: Orphans, every: float = 30.0) -> Job:
    """Return the job that looks for guests that nobody knows of."""

    async def clear() -> None:
        while True:
            with suppress(Fault):
                await orphans.sweep()
            await asyncio.sleep(every)

    return clear
