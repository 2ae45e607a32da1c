"""A full disk (R11): PostgreSQL cannot store, evaluation goes on from memory.

The tables of flags lie on a small disk in memory, which somebody fills; that wants root, as mounting does.
"""

import asyncio
import contextlib
import subprocess
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.faults.replicas import ROOT, Gate, Replica, running
from tests.faults.test_replicas import organized
from tests.faults.test_upgrade import Database
from tests.waiting import until

pytestmark = pytest.mark.journey

EVALUATE = "/ofrep/v1/evaluate/flags/f"
BODY = {"context": {"targetingKey": "u"}}
SIZE = 40  # MiB


@contextlib.contextmanager
def small_disk(platform, folder):
    """Mount a disk of some MiB that PostgreSQL may write to; skip where that is not allowed."""
    owner = (platform.data / "postgres").stat()
    folder.mkdir()
    options = f"size={SIZE}m,mode=0700,uid={owner.st_uid},gid={owner.st_gid}"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no small disk can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)
        folder.rmdir()


class Junk:
    """What somebody fills the disk of a database with."""

    def __init__(self, there):
        self._there = there

    async def grow(self):
        """Take all there is; return how many MiB it was."""
        await self._there.execute("CREATE TABLE public.junk (bytes bytea STORAGE PLAIN)")
        for size in (7_000, 3_000, 900, 100):
            rows = f"SELECT decode(repeat('ab', {size}), 'hex') FROM generate_series(1, 20)"
            with contextlib.suppress(asyncpg.DiskFullError):
                while True:
                    await self._there.execute(f"INSERT INTO public.junk {rows}")
        return await self._there.fetchval("SELECT pg_table_size('public.junk')") / 2**20

    async def go(self):
        await self._there.execute("DROP TABLE public.junk")


async def test_evaluation_goes_on_while_the_database_has_no_room(platform, tmp_path, finding):
    await until(platform.healthy, 60)
    with small_disk(platform, platform.data / f"small-{uuid4().hex[:8]}") as disk:
        async with Database(platform).made(disk) as database:
            await database.migrate(platform, ROOT)
            env = {"FLAGS_DATABASE_URL": database.url}
            replica = Replica(platform, "flags", tmp_path, jobs=True, **env)
            gate = Gate(platform, tmp_path, [replica], only=True)
            async with running(replica, gate):
                await asyncio.gather(replica.start(), gate.start())
                async with organized(gate.url) as org:
                    await filled(database, org, finding)


async def filled(database, org, finding):
    key = {"x-api-key": org.key}
    async with (
        httpx.AsyncClient(base_url=org.base_url, timeout=20, headers=key) as sdk,
        database.connected() as there,
    ):
        await until(lambda: served(sdk), 60, "the replica knows the organization")
        junk = Junk(there)
        taken = await junk.grow()
        made = []
        refused = await until(lambda: no_room(org, made), 120, "writes are refused")
        for _ in range(100):
            assert await served(sdk)
        listed = await keys(org)
        await junk.go()
        await until(lambda: written(org), 60, "writing goes on")
    assert listed == ["f", *made]
    assert int(refused.headers["retry-after"]) >= 1
    finding(
        "R11",
        f"the disk of flags' database filled with {taken:.0f} MiB of something else",
        f"writes 503 with Retry-After, of {len(made)} acknowledged while there was still a place none was lost; 100"
        " evaluations, none failed; writing went on when there was room (that no file of a replica is torn:"
        " `services/flags/tests/store/test_snapshots.py`)",
        partly="the disk of PostgreSQL's log and Valkey's disk were not filled",
    )


async def served(sdk):
    said = await sdk.post(EVALUATE, json=BODY)
    return said.status_code == 200 and said.json()["value"] is True


async def no_room(org, made):
    """Make a flag; return the answer if it is that there is no room."""
    key = f"f{len(made):05}"
    body = {"key": key, "name": key, "description": "x" * 900}
    said = await org.post("/api/v1/feature-flags", json=body)
    assert said.status_code in (201, 409, 503, 504), said.text
    if said.status_code in (201, 409):  # 409: it was made, and who asked did not hear of it
        made.append(key)
    elif said.json()["code"] == "database_unavailable":
        return said
    return None


async def keys(org):
    params = {"limit": 100, "sort": "key"}
    said = (await org.get("/api/v1/feature-flags", params=params)).raise_for_status().json()
    return sorted(flag["key"] for flag in said["items"])


async def written(org):
    said = await org.post(f"{org.flag}/toggle", json={"reason": "there is room again"})
    return said.status_code == 200
