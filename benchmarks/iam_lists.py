"""How long a page of 50 takes among 10,000 things that ACLs govern: in the database, in the store, and over HTTP.

    python -m yard with --database-only -- python benchmarks/iam_lists.py [--rows 10000] [--times 200]

Target: p50 below 5 ms. Somebody without any role asks; an ACL lets them list every other thing, half of those by name,
half through a group. Rows are made by SQL, as nobody waits for 10,000 requests. `first`, `middle`, `last` are pages.
"""

import argparse
import json
from dataclasses import dataclass
from uuid import UUID

import asyncpg
import uvloop
import wire

from chassis.db import database
from chassis.pages import PageAsk
from iam.domain.gitops import C, EntityQuery
from iam.store.gitops import SqlEntities

THINGS = """
INSERT INTO iam.entity (id, tenant, collection, key, key_folded, fields, labels, annotations, acl, inherits, readers,
                        created_at, updated_at, version)
SELECT gen_random_uuid(), $1, 'service_accounts', 'sa_' || n, 'sa_' || n, '{"name": "", "description": ""}',
       '{"env": "prod"}', '{}',
       jsonb_build_array(jsonb_build_object('permissions', 7, 'principals', jsonb_build_array(who.id), 'scope', '')),
       true, ARRAY[who.id], now(), now(), 1
FROM generate_series(1, $4::int) AS n,
     LATERAL (SELECT CASE n % 4 WHEN 0 THEN $2::uuid WHEN 2 THEN $3::uuid ELSE $1::uuid END AS id) AS who
"""


async def figures(rows: int, times: int) -> None:
    """Print the medians beside the target."""
    async with wire.iam() as iam:
        boss, said = await iam.founded("bench")
        body = {"email": "ann@bench.example", "username": "ann", "password": wire.ALSO}
        ann = await boss.must("POST", "/api/v1/users", body)
        group = await boss.must("POST", "/api/v1/global/groups", {"id": "g_ops"})
        await boss.must(
            "POST", "/api/v1/global/memberships", {"principal": "u_ann", "group": "g_ops"}
        )
        path = f"/api/v1/tenants/{said['organization']['id']}/users/{ann['id']}/roles/user"
        await boss.ask("DELETE", path)
        tenant, names = UUID(said["organization"]["id"]), [UUID(ann["id"]), UUID(group["uuid"])]
        db = await asyncpg.connect(iam.database)
        await db.execute(THINGS, tenant, *names, rows)
        await db.execute("VACUUM ANALYZE iam.entity")
        login = {"username": "ann", "password": wire.ALSO, "tenant_subdomain": "bench"}
        token = (await iam.wire().must("POST", "/api/v1/auth/login", login))["access_token"]
        web = iam.wire(authorization=f"Bearer {token}")
        print(
            f"{rows} things, of which {rows // 2} are to be listed; the target is a median below 5 ms"
        )
        query = EntityQuery(tenant=tenant, collection=C.SERVICE_ACCOUNTS, readers=frozenset(names))
        bench = Bench(iam, db, web, query, times)
        for name, place in (("first", 0), ("middle", rows // 4), ("last", rows // 2 - 50)):
            await bench.page(name, place)
        await db.close()


@dataclass(frozen=True)
class Bench:
    """What is asked, by whom, and how often."""

    iam: wire.Iam
    db: asyncpg.Connection
    web: wire.Wire
    query: EntityQuery
    times: int

    async def page(self, name: str, place: int) -> None:
        """Print the figures of the page that begins after `place` things."""
        found = await self.db.fetch(IDS, self.query.tenant, list(self.query.readers or ()))
        after = str(found[place - 1]["id"]) if place else ""
        here = await self.in_the_store((after,) if after else None)
        path = await self.turned_to(place)
        used = self.iam.cpu()
        http = await wire.median(lambda: self.web.must("GET", path), self.times)
        core = (self.iam.cpu() - used) / self.times * 1000
        print(
            f"{name:7} database {await self.in_the_database(after):6.2f} ms   store p50 {here:6.2f} ms   "
            f"over HTTP p50 {http:6.2f} ms ({core:.2f} ms of iam's own processor time)",
            flush=True,
        )

    async def in_the_store(self, after: tuple[str, ...] | None) -> float:
        """Return the median milliseconds of the store's own list."""
        async with database(self.iam.database, "iam") as sessions, sessions() as session:
            entities = SqlEntities(session, lambda *_: None)

            async def ask() -> None:
                found = await entities.list(self.query, PageAsk(limit=50, page=1, after=after))
                assert len(found.items) == 50
                session.expunge_all()

            await ask()
            return await wire.median(ask, self.times)

    async def turned_to(self, place: int) -> str:
        """Return the path of a page, found as a client finds it."""
        path = "/api/v1/global/service_accounts?limit=50"
        for _ in range(place // 50):
            said = await self.web.must("GET", path)
            path = f"/api/v1/global/service_accounts?limit=50&cursor={said['next_cursor']}"
        return path

    async def in_the_database(self, after: str) -> float:
        """Return the milliseconds that PostgreSQL itself says it takes, the best of five."""
        question = EXPLAIN.format(after=f"AND id > '{after}'" if after else "")
        names = list(self.query.readers or ())
        plans = [await self.db.fetchval(question, self.query.tenant, names) for _ in range(5)]
        said = [json.loads(plan)[0] for plan in plans]
        return min(one["Planning Time"] + one["Execution Time"] for one in said)


IDS = """
SELECT id FROM iam.entity WHERE tenant = $1 AND collection = 'service_accounts' AND readers && $2 ORDER BY id
"""
EXPLAIN = """
EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM iam.entity
WHERE tenant = $1 AND collection = 'service_accounts' AND deleted_at IS NULL AND readers && $2 {after}
ORDER BY id LIMIT 51
"""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=200)
    asked = parser.parse_args()
    uvloop.run(figures(asked.rows, asked.times))
