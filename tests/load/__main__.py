"""`make load`: the mix of a working day through the real gateway, then the hot path alone.

    make load                                   # a throw-away platform of its own
    LOAD_USERS=64 LOAD_SECONDS=60 make load     # more of it

Prints throughput, median and 99th percentile, and failures per kind of request, and the processor time of each
process. Users are closed loops without a pause, so the first table is what the machine can do, the second (users on a
clock, at half of that) what people feel. The generator shares the two cores with the platform and is printed with it.
"""

from locust import log  # first of all: locust makes sockets green when it is imported  # isort: skip

import json
import os
import sys
import time
from pathlib import Path

import gevent
from locust.env import Environment
from locust.stats import RequestStats

from benchmarks.load import cpu_seconds, family
from tests.load.mix import Day, tenants

USERS = int(os.environ.get("LOAD_USERS", "24"))
SECONDS = float(os.environ.get("LOAD_SECONDS", "30"))
TENANTS = int(os.environ.get("LOAD_TENANTS", "4"))
WARMING = 3.0


def played(url: str, users: int, pace: float, seconds: float) -> tuple[RequestStats, float]:
    """Let users play for some seconds after warming up; return what was counted, and the seconds."""
    Day.pace = pace
    environment = Environment(user_classes=[Day], host=url)
    runner = environment.create_local_runner()
    runner.start(users, spawn_rate=users)
    gevent.sleep(WARMING)
    environment.stats.reset_all()
    began = time.monotonic()
    gevent.sleep(seconds)
    took = time.monotonic() - began
    runner.quit()
    return environment.stats, took


def table(stats: RequestStats, seconds: float) -> int:
    """Print a line per kind of request and one for all; return how many failed."""
    print(f"{'':<26}{'a second':>9}{'p50 ms':>9}{'p99 ms':>9}{'failed':>8}")
    rows = sorted(stats.entries.values(), key=lambda e: -e.num_requests)
    for row in [*rows, stats.total]:
        fast, slow = (row.get_response_time_percentile(q) or 0 for q in (0.5, 0.99))
        name = "all" if row is stats.total else row.name
        rate = row.num_requests / seconds
        print(f"{name:<26}{rate:>9.1f}{fast:>9.1f}{slow:>9.1f}{row.num_failures:>8}")
    for error in stats.errors.values():
        print(f"  {error.occurrences} × {error.method} {error.name}: {error.error}")
    return stats.total.num_failures


def spent(pids: dict[str, int]) -> dict[str, float]:
    """Return the processor seconds of each process and its children, ours among them."""
    return {n: sum(cpu_seconds(p) for p in family(pid)) for n, pid in pids.items()} | {
        "(the generator)": cpu_seconds(os.getpid())
    }


def costs(before: dict[str, float], after: dict[str, float], seconds: float, total: int) -> None:
    """Print each process's share of a core, and its time per request of the mix."""
    for name in sorted(after, key=lambda n: before[n] - after[n]):
        used = after[name] - before[name]
        if used > 0.01 * seconds:
            print(
                f"  {name:<18}{used / seconds:>6.0%} of a core{used / total * 1e6:>9.0f} µs a request"
            )


def main() -> int:
    """Measure and print; 1 when anything failed."""
    log.setup_logging("WARNING")
    url, state = os.environ["SWITCHYARD_URL"], Path(os.environ["SWITCHYARD_STATE"])
    pids = json.loads(state.read_text())["pids"]
    Day.tenants = tenants(url, TENANTS)
    print(f"{USERS} users of {TENANTS} tenants, {SECONDS:.0f} s, as fast as they can")
    before = spent(pids)
    stats, took = played(url, USERS, 0.0, SECONDS)
    failed = table(stats, took)
    costs(before, spent(pids), took + WARMING, stats.total.num_requests)
    half = stats.total.num_requests / took / 2
    print(f"\nat half of that ({half:.0f} requests a second, on a clock)")
    failed += table(*played(url, USERS, half / USERS, SECONDS))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
