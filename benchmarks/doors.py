"""What the benchmarks of REST doors share: a caller, a transport in process, and how an action is timed."""

import cProfile
import pstats
import statistics
import sys
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

import httpx
from uuid_utils.compat import uuid7

from chassis.caller import Caller
from chassis.http import rest_app


def now():
    return datetime.now(UTC)


class Known:
    """An identity that knows one person, with the given permissions in a tenant of her own."""

    def __init__(self, *permissions):
        self.caller = Caller(
            subject="ana", tenant=uuid7(), name="Ana", permissions=frozenset(permissions)
        )

    async def of(self, headers):
        return self.caller


def web(service, routers, wiring):
    """Return a client whose requests go into the service's app without a socket."""
    transport = httpx.ASGITransport(rest_app(service, routers, wiring))
    return httpx.AsyncClient(transport=transport, base_url="http://bench")


async def timed(action, times):
    """Return the sorted milliseconds of each time, and the processor milliseconds of this process for one."""
    for _ in range(max(1, times // 20)):
        await action()
    taken, before = [], time.process_time()
    for _ in range(times):
        begun = time.perf_counter()
        await action()
        taken.append(1000 * (time.perf_counter() - begun))
    return sorted(taken), 1000 * (time.process_time() - before) / times


def tell(what, measured, target=""):
    taken, processor = measured
    median, late = statistics.median(taken), taken[int(len(taken) * 0.99)]
    figures = f"{median:8.1f} ms median {late:8.1f} ms p99 {processor:8.2f} ms processor"
    print(f"{what:28} {figures}   {target}", flush=True)


async def profiled(action, times=200):
    """Print where the processor time of an action goes."""
    seen = cProfile.Profile()
    seen.enable()
    for _ in range(times):
        await action()
    seen.disable()
    pstats.Stats(seen, stream=sys.stdout).sort_stats("tottime").print_stats(45)


def as_role(url, role, password):
    """Return the address of a database for another role."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{parts.netloc.rpartition('@')[2]}"))
