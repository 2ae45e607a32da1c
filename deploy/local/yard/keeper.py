"""Keep units running: start each once what it needs is ready, bring back what dies, stop in the
reverse order.

Until everything has been ready once, trouble ends the start (`StartFailed`, with the culprit): a
process that does not become ready in time, or that exits `TRIES` times. From then on nothing is
given up: what dies comes back, at once the first time and then with growing pauses, which begin
anew once it has been ready for a while. A process that hangs is left alone; its owner may be
debugging it.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from yard import YardError
from yard.cast import entering
from yard.logbook import open_log, tail
from yard.procs import birth
from yard.record import Entry
from yard.unit import Unit

TRIES = 3
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 3.0
STEADY = 2.0  # seconds of being ready
BEAT = 0.05

Told = Callable[[str, Entry], None]


class StartFailed(YardError):
    """A unit that did not start: who, why, and the last lines that it logged."""

    def __init__(self, unit: Unit, why: str, lines: list[str]) -> None:
        super().__init__(f"{unit.name} {why}")
        self.unit, self.why, self.lines = unit, why, lines


class Keeper:
    """The units of one run. `told` hears every change of an entry."""

    def __init__(self, units: Iterable[Unit], log: Path, told: Told) -> None:
        self.units = {unit.name: unit for unit in units}
        self.entries = {name: Entry() for name in self.units}
        self._log, self._told = log, told
        self._ready = {name: asyncio.Event() for name in self.units}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._since: dict[str, float] = {}
        self._lives: list[asyncio.Task[None]] = []
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._started = False

    async def start(self) -> None:
        """Return when all are ready; StartFailed when one cannot be."""
        self._lives = [asyncio.create_task(self._guarded(unit)) for unit in self.units.values()]
        ready = asyncio.create_task(self._all_ready())
        try:
            await asyncio.wait({ready, self._failed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ready.cancel()
        if self._failed.done():
            self._failed.result()
        self._started = True

    async def _all_ready(self) -> None:
        for event in self._ready.values():
            await event.wait()

    async def broken(self) -> None:
        """Wait for what should never come: the keeper's own failure, which is raised."""
        await asyncio.shield(self._failed)

    async def stop(self) -> None:
        """Stop all, none before those that need it."""
        for life in self._lives:
            life.cancel()
        await asyncio.gather(*self._lives, return_exceptions=True)
        while self._running:
            needed = {need for name in self._running for need in self._all_needs(name)}
            last = [name for name in self._running if name not in needed] or list(self._running)
            await asyncio.gather(*(self._end(name) for name in last))

    def _all_needs(self, name: str) -> set[str]:
        """Return what a unit needs, through others too (a task in between no longer runs)."""
        found: set[str] = set()
        todo = list(self.units[name].needs)
        while todo:
            need = todo.pop()
            if need not in found:
                found.add(need)
                todo.extend(self.units[need].needs)
        return found

    async def _guarded(self, unit: Unit) -> None:
        """Live, and let whatever goes wrong reach who waits in `start` or `broken`."""
        try:
            await self._live(unit)
        except Exception as trouble:
            if not self._failed.done():
                self._failed.set_exception(trouble)

    async def _live(self, unit: Unit) -> None:
        for need in unit.needs:
            await self._ready[need].wait()
        falls = 0
        while True:
            mark = self._size(unit)
            status = await self._once(unit)
            if unit.once and status == 0:
                return
            falls = 1 if self._was_steady(unit) else falls + 1
            if not self._started and (unit.once or falls >= TRIES):
                raise StartFailed(unit, _ended(status), tail(self._path(unit), since=mark))
            self._note(
                unit,
                state="restarting",
                pid=0,
                born="",
                restarts=self.entries[unit.name].restarts + 1,
            )
            await asyncio.sleep(pause(falls))

    def _was_steady(self, unit: Unit) -> bool:
        """Say whether the life that ended just now was a good one: who is killed is no broken process."""
        since = self._since.pop(unit.name, None)
        return since is not None and time.monotonic() - since > STEADY

    async def _once(self, unit: Unit) -> int:
        """Run it to its end and return its exit status; on the way say when it is ready."""
        mark = self._size(unit)
        child = self._spawn(unit)
        ended = asyncio.ensure_future(exited(child))
        try:
            if not unit.once and not await self._becomes_ready(unit, ended):
                raise StartFailed(
                    unit,
                    f"was not ready in {unit.patience:.0f} s",
                    tail(self._path(unit), since=mark),
                )
            await asyncio.shield(ended)
        finally:
            ended.cancel()
        del self._running[unit.name]
        status = child.wait()
        if unit.once and status == 0:
            self._note(unit, state="done", pid=0, born="")
            self._ready[unit.name].set()
        return status

    async def _becomes_ready(self, unit: Unit, ended: asyncio.Future[None]) -> bool:
        """Ask until it says yes; False when patience ends (it does during the first start only)."""
        end = time.monotonic() + unit.patience
        while not ended.done():
            if unit.ready is None or await unit.ready():
                self._note(unit, state="ready")
                self._since[unit.name] = time.monotonic()
                self._ready[unit.name].set()
                return True
            if not self._started and time.monotonic() > end:
                return False
            await asyncio.wait({ended}, timeout=BEAT)
        return True

    def _spawn(self, unit: Unit) -> subprocess.Popen[bytes]:
        with open_log(self._log, unit.name) as log:
            child = subprocess.Popen(
                unit.command,
                env=dict(unit.env),
                cwd=unit.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=entering(unit.cast, unit.orphan),
                user=unit.cast.uid,
                group=unit.cast.gid,
                extra_groups=unit.cast.groups,
            )
        self._running[unit.name] = child
        self._note(unit, state="starting", pid=child.pid, born=birth(child.pid))
        return child

    async def _end(self, name: str) -> None:
        """Stop one process: asked first, killed when it takes longer than its grace."""
        unit, child = self.units[name], self._running[name]
        ended = asyncio.ensure_future(exited(child))
        for what in (unit.stop, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, what)
            done, _ = await asyncio.wait({ended}, timeout=unit.grace)
            if done:
                break
        child.wait()
        del self._running[name]
        self._note(unit, state="stopped", pid=0, born="")

    def _note(self, unit: Unit, **changes: str | int) -> None:
        entry = self.entries[unit.name]
        for field, value in changes.items():
            setattr(entry, field, value)
        self._told(unit.name, entry)

    def _path(self, unit: Unit) -> Path:
        return self._log / f"{unit.name}.log"

    def _size(self, unit: Unit) -> int:
        path = self._path(unit)
        return path.stat().st_size if path.exists() else 0


async def exited(child: subprocess.Popen[bytes]) -> None:
    """Return when a child has ended (its status stays to be collected)."""
    if child.poll() is not None:
        return
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    handle = os.pidfd_open(child.pid)
    loop.add_reader(handle, lambda: ended.done() or ended.set_result(None))
    try:
        await ended
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def pause(falls: int) -> float:
    """Return the seconds before another try: none to speak of at first, doubling, at most three."""
    return min(FIRST_PAUSE * 2 ** min(falls - 1, 10), LONGEST_PAUSE)


def _ended(status: int) -> str:
    return (
        f"was ended by {signal.Signals(-status).name}"
        if status < 0
        else f"exited with status {status}"
    )


def closed(units: Mapping[str, Unit]) -> None:
    """Check that every need is a unit and that there is no circle; YardError says where."""
    settled: set[str] = set()
    while len(settled) < len(units):
        new = {
            name
            for name, unit in units.items()
            if name not in settled and settled.issuperset(unit.needs)
        }
        if not new:
            rest = ", ".join(sorted(units.keys() - settled))
            raise YardError(
                f"these can never start, they wait for each other or for something unknown: {rest}"
            )
        settled |= new
