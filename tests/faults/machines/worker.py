"""A worker for machines in a process of its own, which can be told to die at one point: `worker.py POINT`.

It is what compute runs (the reconciler, its driver, PostgreSQL), with a trap in it. The points: none · half-disk (the
disk is written and not yet named) · spawned (the guest runs and nobody has written it down) · marked (the guest is
marked as switched off and still runs) · ended (its process is gone and its disk is there) · frozen-on (stops itself, as
a debugger would, before it switches a guest on).
"""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from chassis.db import database
from chassis.errors import Fault
from compute.clients import images, processes
from compute.clients.images import Images
from compute.clients.qemu import Qemu
from compute.clients.trial import Trial
from compute.domain.course import Terms
from compute.domain.guest import Switch
from compute.store.work import sql_work
from compute.usecases.metering import Meter
from compute.usecases.reconciler import Reconciler
from compute.usecases.snapshotting import Snapshotting

POINT = sys.argv[1]


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def freeze():
    os.kill(os.getpid(), signal.SIGSTOP)


class Trapped(Qemu):
    """The driver, with a trap at one point."""

    async def ensure_power(self, key, switch):
        if POINT == "frozen-on" and switch is Switch.ON:
            freeze()
        try:
            await super().ensure_power(key, switch)
        finally:  # also where its monitor is too slow to answer: the guest runs, and the next pass adopts it
            if POINT == "spawned" and switch is Switch.ON:
                die()

    async def snapshot(self, key, name, verb):
        await super().snapshot(key, name, verb)
        if f"{verb}-done" == POINT:
            die()


def set_trap():
    settled, ended = images.settle, processes.end

    def before_the_name(folder):
        die() if POINT == "half-disk" else settled(folder)

    async def around_the_end(home):
        if POINT == "marked":
            die()
        await ended(home)
        if POINT == "ended":
            die()

    processes.end = around_the_end
    make = images.qemu_img

    async def made(*words):
        said = await make(*words)
        if POINT == "half-disk" and words[0] == "create":
            die()
        return said

    images.qemu_img, images.settle = made, before_the_name


async def main():
    trial = Trial(Path(os.environ["IMAGES"]), Images((Path(os.environ["IMAGES"]),)), "tcg")
    await trial.look()
    set_trap()  # the trial may end a guest of its own: that is not the one to die at
    host = Trapped(Path(os.environ["GUESTS"]), Images((Path(os.environ["IMAGES"]),)), trial)
    async with database(os.environ["COMPUTE_URL"], "compute") as sessions:
        work = sql_work(sessions, lambda: None)
        now = lambda: datetime.now(UTC)  # noqa: E731
        reconciler = Reconciler(
            work=work,
            hypervisor=host,
            terms=Terms(),
            now=now,
            meter=Meter(uuid4, now),
            snapshots=Snapshotting(work=work, hypervisor=host, now=now),
        )
        print("working", flush=True)
        while True:
            with suppress(
                Fault
            ):  # as the service's job does: a database that is late is asked again
                await reconciler.sweep()
            await asyncio.sleep(0.1)


asyncio.run(main())
