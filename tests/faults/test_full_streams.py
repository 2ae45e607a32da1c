"""The disk is full on which Valkey keeps what it was given: exposures are taken all the same, and counted once (R11).

Valkey that cannot write its append-only file goes on reading, and refuses whatever would change something. Then the
database takes what the stream would have taken, and changes are announced as before, since that writes nothing.
"""

import asyncio
import contextlib
import itertools
import os
import time
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest
from redis import asyncio as redis

from experiments.clients.streams import StreamAway, streams_at
from experiments.ports.measuring import Parcel
from tests.faults.asking import problem
from tests.faults.lengths import length
from tests.faults.mixed import Mix
from tests.faults.table import slower
from tests.faults.test_away import SOON, Spell, dead, org, told
from tests.faults.test_full_logs import LOGS, full, on_a_small_disk
from tests.faults.test_replicas import written
from tests.waiting import until
from yard.stores import valkey_binary

__all__ = ["org"]  # the fixture

pytestmark = pytest.mark.journey

FULL_FOR = length(1, 30)  # seconds after Valkey was killed and is back
SHARD = 5  # of the parcels that the test itself puts, where no service looks
BATCH = 20  # exposures that are sent at once
TOLD = 5  # batches, or toggles, that show that it goes on
LARGE = bytes(100_000)  # more than the rest of a page of the disk
CHECKS = "valkey-check-aof"  # what Valkey's server is under this name


class Stream:
    """The stream as experiments has it, in a database of its own; `kept` is what it took for certain."""

    def __init__(self, stream):
        self._stream, self.kept = stream, []

    async def takes(self):
        """Whether it takes one more parcel."""
        body = uuid4().bytes + LARGE
        try:
            await self._stream.put([Parcel("test", SHARD, 1, body)])
        except StreamAway:
            return False
        self.kept.append(body)
        return True

    async def refuses(self):
        return not await self.takes()

    async def has_all(self):
        """Whether it has everything that it took; what it did not promise may be there as well."""
        try:
            there = {parcel.body for parcel in await self._stream.read(SHARD, 10**6)}
        except StreamAway:
            return False
        assert set(self.kept) <= there
        return True


@contextlib.asynccontextmanager
async def stream_of_ours():
    """Lend a stream on the platform's Valkey, and forget it afterwards."""
    url = os.environ["TEST_REDIS_URL"]
    try:
        async with streams_at(url) as stream:
            yield Stream(stream)
    finally:
        async with redis.from_url(url) as store:
            await store.delete(f"experiments:intake:{SHARD}")


class Page:
    """A page that tells who was shown what and what they bought, again and again until it is taken."""

    def __init__(self, org):
        self._org, self.taken, self.refused = org, [], 0

    async def prepare(self):
        """Start an experiment."""
        for path, body in PREPARED.items():
            (await self._org.post(f"/api/v1/{path}", json=body)).raise_for_status()

    @contextlib.asynccontextmanager
    async def telling(self):
        """Tell all the while."""
        task = asyncio.create_task(self._tell())
        try:
            yield
        finally:
            task.cancel()
            ended = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(ended[0], asyncio.CancelledError), ended

    async def _tell(self):
        for n in itertools.count():
            units, now = [f"{n}.{i}" for i in range(BATCH)], datetime.now(UTC).isoformat()
            shown = {"experiment": "page", "variant": "control", "timestamp": now}
            bought = {"name": "bought", "timestamp": now}
            await self._taken("exposures", [{**shown, "unit": unit} for unit in units])
            await self._taken("events", [{**bought, "unit": u, "event_id": u} for u in units])
            self.taken += units
            await asyncio.sleep(0.1)

    async def _taken(self, name, items):
        while not (said := await self._said(name, items)):
            self.refused += 1
            await asyncio.sleep(0.5)
        assert said["rejected"] == []

    async def _said(self, name, items):
        """Return what was answered; nothing where it was refused, or not soon, on a busy machine."""
        try:
            said = await self._org.post(f"/api/v1/{name}", json={name: items})
        except httpx.TimeoutException:
            return None
        return None if said.is_error and problem(said) else said.json()

    async def all_counted(self):
        """Whether each unit and each purchase is counted, once; the last batch may have been taken unheard."""
        said = await self._org.get("/api/v1/experiments/page/results")
        if said.status_code != 200:
            return False
        arms = [arm for metric in said.json()["metrics"] for arm in metric["arms"]]
        units, bought = (
            said.json()["units"],
            sum(round((a["value"] or 0) * a["units"]) for a in arms),
        )
        assert max(units, bought) <= len(self.taken) + BATCH
        return min(units, bought) >= len(self.taken)


PREPARED = {  # on a flag of its own: the load wants the other to be on for everybody
    "feature-flags": {"key": "page", "name": "Page"},
    "metrics": {"key": "purchase", "name": "Purchases", "kind": "count", "event": "bought"},
    "experiments": {"key": "page", "name": "Page", "metrics": [{"key": "purchase"}]},
    "experiments/page/start": None,
}


async def whole(platform, folder):
    """Check with Valkey's own means that its append-only file ends where an entry ends; nobody may be writing to it."""
    (checker := folder / CHECKS).unlink(missing_ok=True)
    checker.symlink_to(valkey_binary())
    files = (platform.data / LOGS["valkey"]).glob("*.incr.aof")
    latest = max(files, key=lambda file: int(file.name.split(".")[-3]))
    checking = await asyncio.create_subprocess_exec(
        checker, latest, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await checking.communicate()
    assert checking.returncode == 0, said.decode(errors="replace")


async def killed(platform, folder):
    """Kill Valkey; its file is whole while it is dead."""
    with dead(platform, "valkey"):
        await until(lambda: not platform.listens("valkey"), SOON, "Valkey has ended")
        await whole(platform, folder)
    await until(lambda: platform.listens("valkey"), SOON, "Valkey is back")


async def goes_on(platform, mix, page):
    """Changes are made, and what pages tell is taken; people log in."""
    begun, before = time.monotonic(), len(page.taken)

    def some_more():
        made = [a for a in mix.of("write", begun, time.monotonic()) if a.status == 200]
        return len(made) >= TOLD and len(page.taken) >= before + TOLD * BATCH

    await until(some_more, 5 * SOON, "changes are made, exposures are taken")
    body = {"username": "root", "password": os.environ["SWITCHYARD_ADMIN_PASSWORD"]}
    async with httpx.AsyncClient(base_url=platform.url, timeout=20) as web:

        async def logged_in():
            return (await web.post("/api/v1/auth/login", json=body)).status_code == 200

        await until(logged_in, SOON, "people log in")


async def test_what_was_taken_is_counted_once_though_valkeys_disk_was_full(
    platform, org, tmp_path, finding
):
    page = Page(org)
    await page.prepare()
    async with on_a_small_disk(platform, "valkey") as disk, stream_of_ours() as stream:
        await until(stream.takes, SOON, "the stream takes parcels")
        async with Mix(org).running() as mix, page.telling():
            spell = Spell(mix)
            async with spell.of(full(disk)):
                await until(stream.refuses, SOON, "the stream refuses parcels")
                await goes_on(platform, mix, page)
                await killed(platform, tmp_path)
                await until(stream.has_all, SOON, "it has what it took")
                await until(stream.refuses, SOON, "the stream refuses parcels again")
                await goes_on(platform, mix, page)
                await asyncio.sleep(FULL_FOR)  # how long it is full is the fault
            served = spell.evaluated()
            await until(stream.takes, SOON, "the stream takes parcels again")
        await written(org, mix)
        await until(page.all_counted, SOON, "each unit and each purchase is counted")
        await killed(platform, tmp_path)
        await until(stream.has_all, SOON, "it has what it took")
    failed = [a for a in mix.answers if a.status >= 500]
    assert len(failed) < len(mix.answers) / 2, told(failed)
    finding(
        "R11",
        "the disk of Valkey's append-only file filled under the mixed load, and Valkey killed meanwhile",
        f"it refuses what would change something, and its file was whole when it was dead; {served}; of writes"
        f" {told(spell.meanwhile('write'))}; people logged in; {len(page.taken)} exposures and as many purchases taken"
        f" ({page.refused} times a batch was sent again), each counted once; {len(stream.kept)} parcels that the stream"
        f" took for certain were there after each kill; {len(mix.changes)} writes acknowledged, each logged once",
        partly=(f"{len(failed)} requests failed ({told(failed)}), wanted 0; " if failed else "")
        + slower(spell.normal, 10, "the way back"),
    )
