"""One run: from a data folder to everything healthy, and back down.

A lock is held for as long as the supervisor lives, so a second start knows at once. Before anything
is started, what a killed supervisor may have left running is stopped: only processes of the record
that are still exactly those.
"""

import asyncio
import fcntl
import shutil
import signal
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import IO

from yard import YardError, guests, logbook, ports, probes, record, roster, vault
from yard.keeper import Keeper, closed
from yard.record import Entry, Record
from yard.site import Site
from yard.terms import Terms, asks, doors, paths, urls

ROTATE_EVERY = 5.0
HEALTH_PATIENCE = 30.0
LOCK_PATIENCE = 0.5

Tell = Callable[[str, Entry], None]


@contextmanager
def locked(site: Site) -> Generator[None]:
    """Be the only supervisor of a site; YardError where there is one."""
    with site.lock.open("w") as lock:
        end = time.monotonic() + LOCK_PATIENCE  # somebody may be asking `is_locked` just now
        while not _take(lock):
            if time.monotonic() > end:
                raise YardError(f"another supervisor is at work in {site.root}")
            time.sleep(0.02)
        yield


def _take(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_locked(site: Site) -> bool:
    """Say whether a supervisor is at work."""
    if not site.lock.exists():
        return False
    with site.lock.open("w") as lock:
        return not _take(lock)


def clear(before: Record, patience: float = 5.0) -> list[str]:
    """Stop what an earlier supervisor left behind, and return the names; strangers with a reused
    pid are not touched.
    """
    left = [
        (name, entry.known()) for name, entry in before.processes.items() if entry.known().alive()
    ]
    for name, known in left:
        known.signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
    for _, known in left:
        if not known.gone(patience):
            known.signal(signal.SIGKILL)
            known.gone(patience)
    return [name for name, _ in left]


def terms_for(
    site: Site, outer: Mapping[str, str], *, public: int, trial: bool, database_only: bool
) -> Terms:
    """Settle ports and secrets: those of the last time, once what was left of it is stopped."""
    services = asks()
    before = record.read(site.state)
    clear(before)
    given = ports.assign(doors(services), before.ports)
    given["gateway"]["public"] = public
    return Terms(
        site=site,
        outer=outer,
        ports=given,
        secrets=vault.load(site.secrets, services),
        profile="test" if trial else "development",
        careless=trial,
        database_only=database_only,
    )


@asynccontextmanager
async def running(terms: Terms, tell: Tell) -> AsyncGenerator[Keeper]:
    """Start everything, hand over when all of it is healthy, stop everything afterwards."""
    site, services = terms.site, asks()
    now = Record(ports=terms.ports, urls=urls(terms, services), paths=paths(site))
    now.supervisor = record.myself()
    now.write(site.state)
    _empty(site)
    units = roster.units(terms, services)
    closed({unit.name: unit for unit in units})
    keeper = Keeper(units, site.log, partial(_changed, now, site, tell))
    now.processes = keeper.entries
    now.write(site.state)
    turning = asyncio.create_task(_rotate(site))
    try:
        await keeper.start()
        await _healthy(terms)
        now.healthy = True
        now.write(site.state)
        yield keeper
    finally:
        turning.cancel()
        now.healthy = False
        await keeper.stop()
        await asyncio.to_thread(guests.stop, site, at_once=terms.careless)
        now.supervisor = Entry()
        now.write(site.state)


def _changed(now: Record, site: Site, tell: Tell, name: str, entry: Entry) -> None:
    now.write(site.state)
    tell(name, entry)


def _empty(site: Site) -> None:
    """Forget what was true only for the last run: rendered configuration and replicated keys."""
    for folder in (site.gate, site.keylog):
        shutil.rmtree(folder, ignore_errors=True)
    site.make()


async def _healthy(terms: Terms) -> None:
    """Ask at the front door, when there is one, until the whole says that it is healthy."""
    if terms.database_only:
        return
    front = probes.http(terms.ports["gateway"]["public"], "/health")
    end = time.monotonic() + HEALTH_PATIENCE
    while time.monotonic() < end:
        if await front():
            return
        await asyncio.sleep(0.05)
    raise YardError(
        "every process is ready, but the gateway's /health is not 200: see `make logs s=gateway`"
    )


async def _rotate(site: Site) -> None:
    while True:
        await asyncio.sleep(ROTATE_EVERY)
        with suppress(OSError):  # a full disk must not end the supervisor
            logbook.rotate(site.log)
