"""How many logins and refreshes a second? iam's use-cases in one process, on a real PostgreSQL.

    python -m yard with --database-only -- python benchmarks/iam_logins.py [--seconds 5] [--rounds 3]

Logins hash as in production (argon2id, m = 19 MiB, t = 2), in threads; a figure is the median of the rounds, beside the
processor time that this process took for one of them. `hashes` are argon2's part of a login alone: what no login can be
faster than. Refreshes are chains: each uses the token that the last one gave.
"""

import argparse
import asyncio
import os
import secrets
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

ROOT = Path(__file__).parent.parent
for folder in ("services/iam", "protos", "libs/chassis", "libs/schemas", "libs/authz"):
    sys.path.insert(0, str(ROOT / folder))

from uuid_utils.compat import uuid7  # noqa: E402 - the path comes first

from chassis.db import database  # noqa: E402
from iam.clients.keyring import Keyring  # noqa: E402
from iam.clients.passwords import PooledPasswords, hasher_for  # noqa: E402
from iam.clients.seal import AesSealer  # noqa: E402
from iam.clients.throttle import MemoryThrottle  # noqa: E402
from iam.domain.session import Issuer, Lifetimes  # noqa: E402
from iam.domain.tenant import Tenant  # noqa: E402
from iam.domain.user import Grant, User  # noqa: E402
from iam.ports import Means, OpenWork  # noqa: E402
from iam.store.work import sql_work  # noqa: E402
from iam.usecases.logins import Login, Logins  # noqa: E402
from iam.usecases.opening import Opening  # noqa: E402
from schemas.migrate import migrate  # noqa: E402

PASSWORD = "correct horse battery staple"
AT_ONCE = 8
ISSUER = Issuer(
    name="http://bench",
    audience="bench",
    lifetimes=Lifetimes(access=timedelta(minutes=10), refresh=timedelta(days=1)),
)
TARGETS = {"hashes": None, "logins": 45, "refreshes": 500}
Step = Callable[[], Awaitable[object]]


def now() -> datetime:
    return datetime.now(UTC)


async def _at_once(_: int) -> None:
    """Nobody follows the change log here."""


def _nothing() -> None:
    """And nobody waits for facts."""


async def person(work: OpenWork, hashed: str) -> User:
    """Store a user of a tenant of their own; return them."""
    tenant, at = uuid4(), now()
    made = User(
        id=uuid4(),
        tenant=tenant,
        email=f"{tenant.hex}@bench.test",
        password=hashed,
        grants=(Grant("user"),),
        created_at=at,
        updated_at=at,
    )
    async with work() as w:
        await w.tenants.put(_tenant(tenant, at))
        await w.users.put(made)
    return made


def _tenant(id_: UUID, at: datetime) -> Tenant:
    return Tenant(id=id_, subdomain=f"b{id_.hex[:20]}", name="B", created_at=at, updated_at=at)


async def steps(logins: Logins, user: User, name: str) -> Step:
    """Return what is done again and again for one user."""
    typed = Login(name=user.email, password=PASSWORD)
    if name == "hashes":
        return lambda: logins.passwords.verify(PASSWORD, user.password)
    if name == "logins":
        return lambda: logins.login(typed)
    held = await logins.login(typed)

    async def refresh() -> None:
        nonlocal held
        held = await logins.refresh(held.refresh)

    return refresh


async def chain(step: Step, until: float) -> int:
    """Take a step again and again; return how often."""
    count = 0
    while time.perf_counter() < until:
        await step()
        count += 1
    return count


async def rate(steps: list[Step], seconds: float) -> tuple[float, float]:
    """Return how many a second, and the processor's milliseconds for one."""
    begun, worked = time.perf_counter(), time.process_time()
    done = sum(await asyncio.gather(*(chain(step, begun + seconds) for step in steps))) or 1
    return done / (time.perf_counter() - begun), (time.process_time() - worked) * 1000 / done


async def measure(url: str, seconds: float, rounds: int) -> None:
    passwords = PooledPasswords(hasher_for("standard"))
    ring = Keyring(AesSealer("s" * 32, "bench"), now)
    ring.take([ring.make(now(), now())])
    means = Means(now, uuid7, lambda: secrets.token_urlsafe(32))
    async with database(url, "iam") as sessions:
        work = sql_work(sessions, ISSUER, _nothing, _nothing, _at_once)
        logins = Logins(work, passwords, MemoryThrottle(), Opening(ISSUER, ring, means))
        hashed = await passwords.hash(PASSWORD)
        users = [await person(work, hashed) for _ in range(AT_ONCE)]
        for name in TARGETS:
            todo = [await steps(logins, user, name) for user in users]
            found = [await rate(todo, seconds) for _ in range(rounds)]
            tell(name, *(statistics.median(column) for column in zip(*found, strict=True)))
    passwords.close()


def tell(name: str, a_second: float, cost: float) -> None:
    """Print a figure beside its target (per core: what one costs says more where the machine is shared)."""
    aim = f"target {TARGETS[name]} /s a core" if TARGETS[name] else "the floor of a login"
    sys.stdout.write(
        f"{name:10} {a_second:7.0f} /s  {cost:6.2f} ms of processor each, so {1000 / cost:5.0f} /s a core  ({aim})\n"
    )


def main() -> None:
    """Be the command line."""
    parser = argparse.ArgumentParser(description="Logins and refreshes a second.")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    admin = os.environ["TEST_DATABASE_URL"]
    host = admin.rpartition("@")[2]
    url = f"postgresql://bench_iam:bench-only@{host}"
    asyncio.run(migrate("iam", url, admin))
    asyncio.run(measure(url, asked.seconds, asked.rounds))


if __name__ == "__main__":
    main()
