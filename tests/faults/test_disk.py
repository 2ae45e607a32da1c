"""A full disk (R11): PostgreSQL cannot store, a replica cannot keep its state, and evaluation goes on from memory.

The tables of flags and the snapshots of a replica lie on a small disk in memory, which somebody fills to the last byte.
The replica is asked directly, so that every answer is its own.
"""

import contextlib
import signal
from collections import Counter
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest

from flags.store.sealed import read
from flags.store.snapshots import PLACE
from tests.faults.disks import mounted
from tests.faults.replicas import ROOT, Replica, running
from tests.faults.test_poison import gauge_at
from tests.faults.test_upgrade import Database
from tests.newcomer import registered
from tests.waiting import until

pytestmark = pytest.mark.journey

URL = "/api/v1/feature-flags"
EVALUATE = "/ofrep/v1/evaluate/flags/f"
BODY = {"context": {"targetingKey": "u"}}
SIZE = 48  # MiB
LONG = "x" * 900  # characters of a description: a few of them fill a page
ROOM = 300_000  # bytes that are left at first: some of what is asked for finds a place
REFUSED = 5  # writes, before it is taken that there is no place left
EVALUATED = 100


@pytest.fixture
def disk(platform):
    """A disk with a folder for PostgreSQL's tables and one for a replica's snapshots."""
    with mounted(platform.data / f"small-{uuid4().hex[:8]}", SIZE) as made:
        made.tables = made.folder("tables", platform.data / "postgres")
        made.snapshots = made.folder("ours", platform.data)
        yield made


class Small(Database):
    """A database whose tables lie in a folder."""

    @contextlib.asynccontextmanager
    async def made_in(self, folder):
        await self._do(self._server, f"CREATE TABLESPACE {self.name} LOCATION '{folder}'")
        try:
            await self._do(self._server, f"CREATE DATABASE {self.name} TABLESPACE {self.name}")
            try:
                yield self
            finally:
                await self._do(self._server, f"DROP DATABASE {self.name} WITH (FORCE)")
        finally:
            await self._do(self._server, f"DROP TABLESPACE {self.name}")

    async def grow(self):
        """Put a table of some MiB into it."""
        rows = "SELECT repeat('x', 900) FROM generate_series(1, 9999)"
        await self._do(self.admin, f"CREATE TABLE public.more AS {rows}")


class Org:
    """An organization with a flag that is on; it asks one replica of flags. `made` are keys that it was promised."""

    def __init__(self, web, replica):
        self._web, self._url = web, f"http://127.0.0.1:{replica.http}"
        self.key, self.token, self.made, self.tried = {}, {}, ["f"], {"f"}

    async def prepared(self, platform):
        async with httpx.AsyncClient(base_url=platform.url, timeout=20) as gate:
            await registered(gate)
            self.token = {"authorization": gate.headers["authorization"]}
            made = (await gate.post("/api/v1/api-keys", json={"name": "k"})).raise_for_status()
            self.key = {"x-api-key": made.json()["key"]}
        flag = await until(lambda: self._write("POST", URL, {"key": "f", "name": "F"}), 120)
        self.path = f"{URL}/{flag.json()['id']}"
        await until(lambda: self._write("POST", f"{self.path}/enable", {}), 120)
        return self

    async def _write(self, method, path, body):
        """Return the answer if it is a success."""
        said = await self._web.request(method, f"{self._url}{path}", json=body, headers=self.token)
        return said if said.status_code in (200, 201) else None

    async def evaluates(self):
        """Return whether the flag is on, as it is served."""
        said = await self._web.post(f"{self._url}{EVALUATE}", json=BODY, headers=self.key)
        return said.status_code == 200 and said.json()["value"] is True

    async def refused(self):
        """Make one more flag; return the answer if it is that there is no room for it."""
        key = f"f{len(self.tried):05}"
        self.tried.add(key)
        headers = self.token | {"idempotency-key": uuid4().hex}
        body = {"key": key, "name": key, "description": LONG}
        said = await self._web.post(f"{self._url}{URL}", json=body, headers=headers)
        assert said.status_code in (201, 503), said.text
        if said.status_code == 201:
            self.made.append(key)
        return said if said.status_code == 503 else None

    async def keys(self):
        """Return the keys of all flags that there are."""
        found, params = [], {"limit": 100}
        while True:
            said = await self._web.get(f"{self._url}{URL}", params=params, headers=self.token)
            found += [flag["key"] for flag in said.raise_for_status().json()["items"]]
            if not (cursor := said.json().get("next_cursor")):
                return found
            params["cursor"] = cursor

    async def writes(self):
        """Whether a write is acknowledged."""
        return await self._write("POST", f"{self.path}/toggle", {"reason": "there is room again"})

    async def metric(self, name):
        return await gauge_at(self._url, name)


async def test_evaluation_goes_on_while_the_disk_is_full(platform, tmp_path, disk, finding):
    await until(platform.healthy, 60)
    async with (
        Small(platform).made_in(disk.tables) as database,
        httpx.AsyncClient(timeout=20) as web,
    ):
        await database.migrate(platform, ROOT)
        env = {"FLAGS_DATABASE_URL": database.url}
        replica = Replica(platform, "flags", disk.snapshots, jobs=True, **env)
        async with running(replica):
            await replica.start()
            known, late = [await Org(web, replica).prepared(platform) for _ in range(2)]
            await until(known.evaluates, 60, "the replica knows the flag")
            await until(lambda: kept(replica) == 1, 60, "what it knows is on the disk")
            disk.fill(but=ROOM)
            refused = await full(database, known)
            taken = disk.fill()
            await served(known)
            await until(late.evaluates, 60, "what it did not know yet is read")
            await until(lambda: late.metric("flags_snapshots_not_kept"), 60, "it is told")
            await replica.end(signal.SIGKILL)
            await replica.start()
            await until(known.evaluates, 60, "the replica knows what it kept")
            await served(known)
            assert await known.metric("flags_snapshots_refused_total") == 0
            disk.clear()
            for org in (known, late):
                await until(org.evaluates, 60, "the flag is served")
                await until(org.writes, 60, "writing goes on")
            await until(lambda: kept(replica) == 2, 60, "all is on the disk again")
            await lost_nothing(platform, web, known)
    finding(
        "R11",
        f"a disk on which flags' tables and a replica's snapshots lie, filled with {taken:.0f} MiB of something else;"
        " the replica killed and started again meanwhile",
        f"writes 503 with Retry-After ({refused} times), of {len(known.made)} acknowledged flags none was lost, all are"
        f" in the log; {2 * EVALUATED} evaluations, none failed; no snapshot was torn; a place that could not be kept"
        " was served and told of (`flags_snapshots_not_kept`); writing went on when there was room",
    )


def kept(replica):
    """Return how many places are on the disk; none of what is there is torn."""
    folder = Path(replica.env["FLAGS_SNAPSHOT_DIR"])
    names = list(folder.glob("*.place"))
    for name in names:
        with contextlib.suppress(FileNotFoundError):  # it is being replaced
            read(name, PLACE)
    return len(names)


async def full(database, org):
    """Make flags until there is no room for any; return how many were refused."""
    refusals = []

    async def no_room():
        if (said := await org.refused()) is None:
            refusals.clear()
            return False
        assert said.headers["content-type"] == "application/problem+json"
        assert int(said.headers["retry-after"]) >= 1
        refusals.extend([said] * (said.json()["code"] == "database_unavailable"))
        return len(refusals) >= REFUSED

    await until(no_room, 180, "writes are refused")
    with pytest.raises(asyncpg.DiskFullError):  # it may have no room even for a new connection
        await database.grow()
    return len(refusals)


async def served(org):
    """The flag is served again and again, without one failure."""
    assert all([await org.evaluates() for _ in range(EVALUATED)])


async def lost_nothing(platform, web, org):
    """Each flag that was promised is there and in the log, once; each that is there was asked for."""
    there = Counter(await org.keys())
    assert set(org.made) <= set(there) <= org.tried
    assert set(there.values()) == {1}

    async def told():
        found, params = [], {"entity_type": "feature_flag", "limit": 100}
        while True:
            said = await web.get(
                f"{platform.url}/api/v1/audit-logs", params=params, headers=org.token
            )
            found += said.raise_for_status().json()["items"]
            if not (cursor := said.json().get("next_cursor")):
                break
            params["cursor"] = cursor
        names = Counter(e["entity_name"] for e in found if e["action_type"] == "created")
        return names if set(org.made) <= set(names) else None

    assert await until(told, 120, "all is in the log") == there
