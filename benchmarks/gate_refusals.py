"""What does a gate work for each request that it refuses for its rate (429)?

Starts two Envoys, each in front of the echo of the gate's tests: one waits for the body of an evaluation before it
counts the request, the other refuses at once, as before, and closes the connection with it (docs/adr/0098). A noisy
tenant asks at one and at the other in turn, so both meet the same machine; prints their processor time for each
request, round by round, and the medians.

    PYTHONPATH=. python benchmarks/gate_refusals.py [rounds] [requests]
"""

import asyncio
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from gate.filters import WHOLE_BODY
from gate.limits import PROFILES
from gateway.tests.conftest import build, stop
from tests.faults.noise import CALLERS, Caller
from tests.faults.replicas import family

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 7
REQUESTS = int(sys.argv[2]) if len(sys.argv) > 2 else 3000
LITTLE = replace(PROFILES["test"], tenant_rate=5, key_rate=5)


def at_once(document):
    """Have nothing wait for a body."""
    public = document["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    for host in public["typed_config"]["route_config"]["virtual_hosts"]:
        for route in host["routes"]:
            route.get("typed_per_filter_config", {}).pop(WHOLE_BODY, None)


def started(stack, name, **options):
    """Start a gate; return it and callers of a tenant that it knows."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=name)))
    world = build(folder, LITTLE, **options)
    stack.callback(stop, world)
    key = world.key()
    return world, [Caller(world.url, key) for _ in range(CALLERS)]


def worked(world):
    """Return the seconds of a processor that a gate has used."""
    stats = [Path(f"/proc/{pid}/stat").read_text() for pid in family(world.processes[1].pid)]
    fields = [stat.rpartition(")")[2].split() for stat in stats]
    return sum(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")


async def refused(caller, requests):
    """Return how many of so many requests were refused."""
    return sum([(await caller.ask())[0] == 429 for _ in range(requests)])


async def micros(world, callers, requests):
    """Return the processor time of a gate for each request, nearly all of them refused."""
    before = worked(world)
    each = requests // len(callers)
    count = sum(await asyncio.gather(*(refused(caller, each) for caller in callers)))
    assert count > 0.8 * requests, count
    return (worked(world) - before) / requests * 1e6


async def main():
    with ExitStack() as stack:
        doors = [started(stack, "at-once", edit=at_once), started(stack, "whole")]
        for door in doors:
            await micros(*door, 500)
        rounds = [[await micros(*door, REQUESTS) for door in doors] for _ in range(ROUNDS)]
    for before, whole in rounds:
        print(f"at once {before:4.0f} µs  whole {whole:4.0f} µs  ratio {whole / before:.2f}")
    print("medians", *(f"{statistics.median(each):.0f} µs" for each in zip(*rounds, strict=True)))


if __name__ == "__main__":
    asyncio.run(main())
