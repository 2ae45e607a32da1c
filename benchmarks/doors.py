"""What the benchmarks of REST doors share: somebody who asks, an app that is asked in process, how that is timed."""

import cProfile
import pstats
import statistics
import sys
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

import orjson
from uuid_utils.compat import uuid7

from chassis.caller import Caller


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


async def ask(app, verb, path, body=None, **headers):
    """Return status and body of one request, put to an app as a server puts it: a client would be measured as well."""
    sent = b"" if body is None else orjson.dumps(body)
    named = {"host": "bench", "content-type": "application/json"} | headers
    place, _, query = path.partition("?")
    scope = {
        "type": "http", "http_version": "1.1", "method": verb, "scheme": "http", "root_path": "",
        "path": place, "raw_path": place.encode(), "query_string": query.encode(), "state": {},
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        "client": ("127.0.0.1", 1), "server": ("bench", 80),
    }  # fmt: skip
    told = []

    async def receive():
        return {"type": "http.request", "body": sent, "more_body": False}

    async def send(message):
        told.append(message)

    await app(scope, receive, send)
    return told[0]["status"], orjson.loads(b"".join(it.get("body", b"") for it in told[1:]))


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
    """Print a line of what `timed` found, beside the target if there is one."""
    taken, processor = measured
    median, late = statistics.median(taken), taken[int(len(taken) * 0.99)]
    figures = f"{median:8.1f} ms median {late:8.1f} ms p99 {processor:8.2f} ms processor"
    print(f"{what:28} {figures}   {target and 'target ' + target}", flush=True)


async def profiled(action, times=200):
    """Print where the processor time of an action goes."""
    seen = cProfile.Profile()
    seen.enable()
    for _ in range(times):
        await action()
    seen.disable()
    pstats.Stats(seen, stream=sys.stdout).sort_stats("cumulative").print_stats(60)


def as_role(url, role, password):
    """Return the address of a database for another role."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{role}:{password}@{parts.netloc.rpartition('@')[2]}"))
