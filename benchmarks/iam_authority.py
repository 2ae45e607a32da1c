"""How soon is a change of authority in force in another process, and what does a replica of 10,000 tenants cost?

    python -m yard with --database-only -- python benchmarks/iam_authority.py [--changes 200] [--tenants 10000]

`revocation`: a real iam (its own process, PostgreSQL, Valkey, gRPC) and a replica in this one. A user is given and
taken a role over REST; timed is from sending the request until the replica here decides otherwise, and apart from
that the part after iam has answered. `snapshot`: tenants with three users each, two memberships and one project,
written to the database; timed is from the first request of a stream to `ready`, and what the replica weighs.
"""

import argparse
import asyncio
import contextlib
import os
import resource
import secrets
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
from load import PASSWORD, registration

ROOT = Path(__file__).parent.parent
SOURCES = [ROOT / s for s in ("libs/authz", "libs/chassis", "protos", "services/iam")]
sys.path[:0] = [str(source) for source in SOURCES]

from authz.standing import Standing  # noqa: E402 - the path comes first
from chassis.authority import Authority  # noqa: E402
from chassis.rpc import neighbour  # noqa: E402
from switchyard.iam.v1 import iam_pb2_grpc  # noqa: E402

SECRET = secrets.token_hex(24)


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def iam(admin_url: str) -> Iterator[tuple[str, str, str]]:
    """Run an iam in a process of its own; yield where its REST and its gRPC are, and its database."""
    at = urlsplit(admin_url)
    url = urlunsplit(at._replace(netloc=f"iam:bench-only@{at.netloc.rpartition('@')[2]}"))
    http, rpc = free_port(), free_port()
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, SOURCES)),
        "IAM_DATABASE_URL": url,
        "IAM_ADMIN_DATABASE_URL": admin_url,
        "SWITCHYARD_REDIS_URL": os.environ["TEST_REDIS_URL"],
        "SWITCHYARD_MESH_SECRET": SECRET,
        "SWITCHYARD_PROFILE": "test",
        "IAM_HTTP_PORT": str(http),
        "IAM_GRPC_PORT": str(rpc),
        "SWITCHYARD_IAM_ADDRESS": f"127.0.0.1:{rpc}",
        "SWITCHYARD_AUDIT_ADDRESS": "127.0.0.1:9",
        "SWITCHYARD_LOG_LEVEL": "ERROR",
        "IAM_PASSWORD_PROFILE": "test",
    }
    subprocess.run([sys.executable, "-m", "iam", "migrate"], env=env, check=True)
    process = subprocess.Popen([sys.executable, "-m", "iam", "serve"], env=env)
    try:
        yield f"http://127.0.0.1:{http}", f"127.0.0.1:{rpc}", url
    finally:
        process.terminate()
        process.wait(20)


@contextlib.asynccontextmanager
async def following(address: str) -> AsyncGenerator[Authority]:
    """Yield a replica that follows iam, once it is whole."""
    known = Authority()
    async with neighbour(address, "flags", SECRET) as channel:
        task = asyncio.create_task(known.follow(iam_pb2_grpc.IamStub(channel)))
        try:
            while not known.usable:  # noqa: ASYNC110 - nothing tells of the first whole state
                await asyncio.sleep(0.02)
            yield known
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def ready(url: str) -> None:
    """Wait until iam serves."""
    async with httpx.AsyncClient(base_url=url) as web:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await web.get("/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.1)


async def organization(url: str) -> tuple[httpx.AsyncClient, str]:
    """Register an organization with one more user; return its administrator's client and the user's id."""
    said = registration()
    web = httpx.AsyncClient(base_url=url, timeout=10)
    made = (await web.post("/api/v1/organizations/register", json=said)).raise_for_status()
    web.headers["authorization"] = f"Bearer {made.json()['access_token']}"
    user = {"email": f"u@{said['subdomain']}.example", "password": PASSWORD}
    user |= {"first_name": "U", "last_name": "V"}
    made = (await web.post("/api/v1/users", json=user)).raise_for_status()
    return web, made.json()["id"]


def standing(known: Authority, user: str) -> Standing:
    """Return what a user may do by this replica."""
    subject = known.state.subjects[user]
    return known.state.standing(subject, subject.tenant, None, time.time())


async def revocations(url: str, known: Authority, count: int) -> tuple[list[float], list[float]]:
    """Return milliseconds from the request, and from its answer, until the replica decides otherwise."""
    web, user = await organization(url)
    await known.until(lambda state: user in state.subjects, 5)
    from_request, from_answer = [], []
    async with contextlib.aclosing(web):
        for n in range(count):
            wanted = n % 2 == 0
            path, verb = f"/api/v1/users/{user}", ["org_admin"] if wanted else ["user"]
            begun = time.perf_counter()
            seen = asyncio.create_task(_seen(known, user, wanted))
            (await web.patch(path, json={"roles": verb})).raise_for_status()
            answered = time.perf_counter()
            at = await seen
            from_request.append((at - begun) * 1000)
            from_answer.append(max(0.0, at - answered) * 1000)
    return from_request, from_answer


async def _seen(known: Authority, user: str, wanted: bool) -> float:
    decided = await known.until(lambda _: standing(known, user).may("user:create") is wanted, 10)
    assert decided
    return time.perf_counter()


FILL = """
WITH t AS (
    INSERT INTO iam.tenant (id, subdomain, name, full_name, address, phone, email, active,
                            created_at, updated_at, version)
    SELECT gen_random_uuid(), 'bench-' || n, 'n', '', '{}', '', '', true, now(), now(), 1
    FROM generate_series(1, $1::int) n RETURNING id, subdomain
), u AS (
    INSERT INTO iam."user" (id, tenant, email, email_key, first_name, last_name, password, active,
                            created_at, updated_at, version)
    SELECT gen_random_uuid(), t.id, n || '@' || t.subdomain, n || '@' || t.subdomain, '', '', '!',
           true, now(), now(), 1
    FROM t, generate_series(1, 3) n RETURNING id, tenant
), g AS (
    SELECT gen_random_uuid() AS id, tenant, (array_agg(id))[1:2] AS members FROM u GROUP BY tenant
), m AS (
    INSERT INTO iam.entity (id, tenant, collection, fields, labels, annotations, acl, inherits,
                            parent, principal, readers, created_at, updated_at, version)
    SELECT gen_random_uuid(), g.tenant, 'memberships', '{}', '{}', '{}', '[]', true,
           g.id, unnest(g.members), '{}', now(), now(), 1 FROM g
), p AS (
    INSERT INTO iam.entity (id, tenant, collection, key, key_folded, fields, labels, annotations,
                            acl, inherits, readers, created_at, updated_at, version)
    SELECT gen_random_uuid(), g.tenant, 'projects', 'shop', 'shop', '{}', '{}', '{}',
           json_build_array(json_build_object('permissions', 31, 'principals',
                            json_build_array(g.id), 'scope', ''))::jsonb,
           true, '{}', now(), now(), 1 FROM g
)
INSERT INTO iam.role_binding (principal, role, scope)
SELECT id, 'developer', 'tenant' FROM u
"""


async def filled(url: str, tenants: int) -> None:
    """Put tenants with users, memberships and projects into iam's database."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute(FILL, tenants)
        await connection.execute('ANALYZE iam.tenant, iam."user", iam.entity, iam.role_binding')
    finally:
        await connection.close()


def weight() -> float:
    """Return what this process weighs at most so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def shown(name: str, values: Sequence[float]) -> None:
    """Print p50 and p99."""
    ordered = sorted(values)
    p50, p99 = statistics.median(ordered), ordered[len(ordered) * 99 // 100]
    print(f"{name:28} p50 {p50:7.1f} ms   p99 {p99:7.1f} ms   ({len(ordered)} changes)")


async def measured(admin_url: str, changes: int, tenants: int) -> None:
    """Print both figures."""
    with iam(admin_url) as (url, address, database):
        await ready(url)
        async with following(address) as known:
            whole, after = await revocations(url, known, changes)
            shown("from the request", whole)
            shown("from iam's answer", after)
        await filled(database, tenants)
        before, begun, busy = weight(), time.perf_counter(), time.process_time()
        async with following(address) as known:
            taken, state = time.perf_counter() - begun, known.state
            print(
                f"snapshot of {len(state.tenants)} tenants, {len(state.subjects)} subjects: "
                f"{taken:.1f} s ({time.process_time() - busy:.1f} s of the replica's CPU), "
                f"{weight() - before:.0f} MiB"
            )
            whole, _ = await revocations(url, known, changes // 4)
            shown("with all these, from request", whole)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--tenants", type=int, default=10_000)
    asked = parser.parse_args()
    asyncio.run(measured(os.environ["TEST_DATABASE_URL"], asked.changes, asked.tenants))


if __name__ == "__main__":
    main()
