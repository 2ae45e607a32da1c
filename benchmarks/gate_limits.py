"""What does a request through the gate wait longer for a limit that several gates share?

Starts two Envoys, each in front of the echo of the gate's tests: one counts for itself, the other is told that it is
one of two (docs/adr/0081). An API key evaluates a flag at one and at the other in turn, on one connection each, so both
meet the same machine; prints the medians and their ratio, round by round.

    PYTHONPATH=. python benchmarks/gate_limits.py [--rounds 7] [--requests 2000]
"""

import argparse
import http.client
import statistics
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from gate.limits import PROFILES
from gateway.tests.conftest import build, stop

BODY = b'{"context":{"targetingKey":"user-1"}}'
PATH = "/ofrep/v1/evaluate/flags/f"
ENOUGH = replace(PROFILES["test"], tenant_rate=10_000_000, key_rate=10_000_000)


def alone(document):
    """Have the rate limits count for this gate only, as they did before."""
    for listener in document["static_resources"]["listeners"]:
        for each in listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]:
            each.get("typed_config", {}).pop("local_cluster_rate_limit", None)


def evaluated(web, key):
    """Return the seconds until the answer."""
    begun = time.perf_counter()
    web.request("POST", PATH, BODY, {"x-api-key": key, "content-type": "application/json"})
    answer = web.getresponse()
    answer.read()
    assert answer.status == 200, answer.status
    return time.perf_counter() - begun


def both(doors, requests):
    """Ask at all doors in turn; return the median of each, in seconds."""
    took = [[evaluated(web, key) for web, key in doors] for _ in range(requests)]
    return [statistics.median(each) for each in zip(*took, strict=True)]


def started(stack, name, **options):
    """Start a gate; return a connection to it and a key that it knows."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=name)))
    world = build(folder, ENOUGH, **options)
    stack.callback(stop, world)
    key = world.key()
    return stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", world.port))), key


def main():
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("--rounds", type=int, default=7)
    asked.add_argument("--requests", type=int, default=2000)
    options = asked.parse_args()
    with ExitStack() as stack:
        peers = ("127.0.0.1", "127.0.0.2")
        doors = [started(stack, "alone", edit=alone), started(stack, "shared", peers=peers)]
        both(doors, 200)
        rounds = [both(doors, options.requests) for _ in range(options.rounds)]
    for own, shared in rounds:
        print(f"own {own * 1e6:6.0f} µs  shared {shared * 1e6:6.0f} µs  ratio {shared / own:.3f}")
    print(f"median ratio {statistics.median(shared / own for own, shared in rounds):.3f}")


if __name__ == "__main__":
    main()
