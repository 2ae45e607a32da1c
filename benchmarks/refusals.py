"""What does a service work to refuse a request because its database is away, and to answer one that needs none?

Two doors of one app, called in process; prints the processor time of each in rounds, and the medians (docs/adr/0097).

    python benchmarks/refusals.py [rounds] [requests]
"""

import asyncio
import logging
import statistics
import sys
import time

from chassis.db import database, transaction
from chassis.http import Wiring, doors, public, rest_app

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 7
REQUESTS = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
NOWHERE = "postgresql://nobody:x@127.0.0.1:1/none"
PATHS = {"/refused": 503, "/answered": 200}


def app_with(sessions):
    """Return an app with a door that needs the database and one that does not."""
    router = doors("", "doors")

    @router.get("/refused", **public())
    async def refused() -> dict[str, str]:
        async with transaction(sessions):
            return {}

    @router.get("/answered", **public())
    async def answered() -> dict[str, str]:
        return {}

    return rest_app("refusals", [router], Wiring())


async def status(app, path):
    """Call a door as a server does; return the status."""
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [], "http_version": "1.1", "scheme": "http", "server": ("here", 80), "client": ("you", 1),
    }  # fmt: skip
    said = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        said.append(message)

    await app(scope, receive, send)
    return said[0]["status"]


async def micros(app, path):
    """Return the processor time of one request."""
    begun = time.process_time()
    for _ in range(REQUESTS):
        assert await status(app, path) == PATHS[path]
    return (time.process_time() - begun) / REQUESTS * 1e6


async def main():
    async with database(NOWHERE, "nobody") as sessions:
        app = app_with(sessions)
        await status(app, "/refused")  # who comes first waits for the first try
        took = {path: [] for path in PATHS}
        for _ in range(ROUNDS):
            for path in PATHS:
                took[path].append(await micros(app, path))
    for path, said in took.items():
        print(
            path,
            " ".join(f"{one:.0f}" for one in said),
            f"µs, median {statistics.median(said):.0f}",
        )


logging.disable(logging.CRITICAL)
asyncio.run(main())
