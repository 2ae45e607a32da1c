"""What a change of a flag costs: the real doors, use-cases and books on a real PostgreSQL, called in process.

    python -m yard with --database-only -- python benchmarks/flags_changes.py [--times 500] [--profile]

Printed are the median and the 99th percentile of one caller after the other, and the processor time of this process for
each. On a busy machine look at the processor time.
"""

import argparse
import os

import uvloop
from doors import Known, as_role, ask, now, profiled, tell, timed
from uuid_utils.compat import uuid7

from chassis.db import database
from chassis.http import Wiring, rest_app
from chassis.idempotency import Idempotency as Retries
from flags.api.rest import routers
from flags.store.tables import Idempotency
from flags.store.work import sql_work
from flags.usecases.flags import Flags
from schemas.migrate import migrate

FLAGS = 20
PERMISSIONS = ("flag:create", "flag:read", "flag:update", "flag:toggle")
PATH = "/api/v1/feature-flags"


class NoNews:
    """Tells nobody."""

    def tell(self, place, revision):
        pass


async def measure(given, sessions):
    flags = Flags(sql_work(sessions, lambda: None, NoNews()), now, uuid7)
    retries = Retries(sessions, Idempotency, (b"a secret of a benchmark",))
    wiring = Wiring(identity=Known(*PERMISSIONS), idempotency=retries, uses={Flags: flags})
    await measure_doors(given, rest_app("flags", routers, wiring))


async def measure_doors(given, app):
    async def asked(verb, path, body=None, **headers):
        status, said = await ask(app, verb, path, body, **headers)
        assert status < 300, said
        return said

    made = [await asked("POST", PATH, {"key": f"f{n}", "name": f"F{n}"}) for n in range(FLAGS)]
    path = f"{PATH}/{made[0]['id']}"

    async def toggle(**headers):
        await asked("POST", f"{path}/toggle", {"reason": "x"}, **headers)

    async def keyed():
        await toggle(**{"idempotency-key": uuid7().hex})

    async def page():
        assert len((await asked("GET", f"{PATH}?limit={FLAGS}"))["items"]) == FLAGS

    tell("a toggle", await timed(toggle, given.times))
    tell("a toggle with a key", await timed(keyed, given.times))
    tell("a flag", await timed(lambda: asked("GET", path), given.times))
    tell(f"a page of {FLAGS}", await timed(page, given.times))
    if given.profile:
        await profiled(keyed)


async def main(given):
    admin = os.environ["TEST_DATABASE_URL"]
    url = as_role(admin, "bench_flags", "test-only")
    await migrate("flags", url, admin)
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} before it began")
    async with database(url, "flags", pool=10) as sessions:
        await measure(given, sessions)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=500)
    parser.add_argument("--profile", action="store_true")
    uvloop.run(main(parser.parse_args()))
