"""Nothing acknowledged is lost when any process is killed: acknowledged = stored = audited, each once.

Every process is killed -9 once, then a service with its relay, audit or PostgreSQL at random, 25 times in all
(SWITCHYARD_KILLS for more, SWITCHYARD_SEED to repeat a run). Eight clients toggle flags all the while, each toggle with
an idempotency key that is used again until there is an answer. Afterwards the log holds exactly the acknowledged
toggles, each once, and each begins where the last one ended; it has no gap, and an export of it, checked without the
server, comes to the root that was signed.
"""

import asyncio
import itertools
import os
import random
import time
from collections import Counter
from uuid import uuid4

import httpx
import orjson
import pytest

from audit.domain.evidence import Verifier
from tests.faults.table import slower
from tests.newcomer import registered
from tests.waiting import until

VICTIMS = [
    "flags",
    "audit",
    "iam",
    "key-agent",
    "gateway",
    "valkey",
    "postgres",
    "experiments",
    "compute",
]
RANDOM = ["flags", "audit", "postgres"]
KILLS = max(len(VICTIMS), int(os.environ.get("SWITCHYARD_KILLS", "25")))
SEED = int(os.environ.get("SWITCHYARD_SEED", "0")) or time.time_ns() % 10**6
WRITERS = 8


class Ledger:
    """A client that remembers what was acknowledged."""

    def __init__(self, web, flag):
        self.web, self.flag = web, flag
        self.acknowledged = []
        self.stop = False

    async def write(self):
        for n in itertools.count():
            if self.stop:
                return
            reason = f"{self.flag} no {n}"
            await self.toggle(reason)
            self.acknowledged.append(reason)

    async def toggle(self, reason):
        """Ask until there is an answer; 401 comes while a killed iam's sessions are not yet known again."""
        headers = {"idempotency-key": uuid4().hex}
        while True:
            try:
                answer = await self.web.post(
                    f"/api/v1/feature-flags/{self.flag}/toggle",
                    json={"reason": reason},
                    headers=headers,
                )
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code == 200:
                return
            assert answer is None or answer.status_code in (409, 429, 503, 504), answer.text
            await asyncio.sleep(0.02)


async def prepared(web):
    await registered(web)
    ids = []
    for n in range(WRITERS):
        flag = await web.post("/api/v1/feature-flags", json={"key": f"f{n}", "name": f"F{n}"})
        ids.append(flag.raise_for_status().json()["id"])
    return ids


async def entries(web, flag):
    """Return every toggle of a flag in the log, oldest first."""
    found, params = [], {"entity_id": flag, "limit": 100}
    while True:
        said = (await web.get("/api/v1/audit-logs", params=params)).raise_for_status().json()
        found += [e for e in said["items"] if e["action_type"].startswith("toggle_")]
        if not said.get("next_cursor"):
            return sorted(found, key=lambda e: e["seq"])
        params = {"entity_id": flag, "limit": 100, "cursor": said["next_cursor"]}


@pytest.mark.journey
async def test_killing_any_process_loses_nothing_that_was_acknowledged(platform, finding):
    await until(platform.healthy, 30, "healthy at the start")
    async with httpx.AsyncClient(base_url=platform.url, timeout=15) as web:
        ledgers = [Ledger(web, flag) for flag in await prepared(web)]
        writing = [asyncio.create_task(ledger.write()) for ledger in ledgers]
        dice = random.Random(SEED)
        print(f"{KILLS} kills, seed {SEED}")
        back = {}
        for victim in [*VICTIMS, *dice.choices(RANDOM, k=KILLS - len(VICTIMS))]:
            before = sum(len(ledger.acknowledged) for ledger in ledgers)
            killed, begun = platform.kill(victim), time.monotonic()
            await until(lambda v=victim, k=killed: platform.is_back(v, k), 30, f"{victim} is back")
            await until(platform.healthy, 30, f"healthy after {victim}")
            back[victim] = max(back.get(victim, 0), time.monotonic() - begun)
            await until(
                lambda b=before: sum(len(ledger.acknowledged) for ledger in ledgers) > b + 8,
                30,
                f"writing goes on after {victim}",
            )
        for ledger in ledgers:
            ledger.stop = True
        await asyncio.gather(*writing)
        for ledger in ledgers:
            await holds(web, ledger)
        told = sum(len(ledger.acknowledged) for ledger in ledgers)
        await proves(web, await tenant_of(web), told)
        tell(finding, told, back)


def tell(finding, told, back):
    gate = back.pop("gateway")
    slowest = max(back, key=back.get)
    finding(
        "R1",
        f"kill -9 to each process, then some at random ({KILLS}, seed {SEED}), eight clients writing with keys",
        f"{told} changes acknowledged; 0 lost, 0 double, 0 gaps, the exported log comes to the signed root;"
        " the platform was ready after at most "
        + ", ".join(f"{back[name]:.1f} s ({name})" for name in sorted(back, key=back.get)[::-1]),
        partly=slower(back[slowest], 5, "the slowest"),
    )
    finding("R2", "kill -9", f"all healthy after {gate:.1f} s", partly=slower(gate, 2, "it"))


async def tenant_of(web):
    listed = (await web.get("/api/v1/audit-logs?limit=1")).raise_for_status().json()
    return listed["items"][0]["tenant"]


async def proves(web, tenant, told):
    """An export of the whole log, entry by entry and without the server, comes to the root that is signed."""
    body = {"username": "root", "password": os.environ["SWITCHYARD_ADMIN_PASSWORD"]}
    login = (await web.post("/api/v1/auth/login", json=body)).raise_for_status().json()
    root = {"authorization": f"Bearer {login['access_token']}"}
    where = {"params": {"tenant_id": tenant}, "headers": root}
    vkey = (await web.get("/api/v1/audit/vkey", **where)).raise_for_status().text
    export = (await web.get("/api/v1/audit-logs/export", **where)).raise_for_status()
    lines = export.content.splitlines(keepends=True)
    found = Verifier(vkey).verify(lines)
    assert found.entries == found.size > told
    events = [orjson.loads(line)["leaf"]["id"] for line in lines if line.startswith(b'{"size"')]
    assert len(set(events)) == len(events)


async def holds(web, ledger):
    """The log has each acknowledged toggle once and nothing else, and each begins where the last ended."""

    async def all_there():
        found = await entries(web, ledger.flag)
        return found if len(found) >= len(ledger.acknowledged) else None

    try:
        found = await until(all_there, 30, "all entries are there")
    except AssertionError:
        found = await entries(web, ledger.flag)
    assert Counter(e["reason"] for e in found) == Counter(ledger.acknowledged)
    for before, after in itertools.pairwise(found):
        assert before["new_value"] == after["old_value"]
    now = (await web.get(f"/api/v1/feature-flags/{ledger.flag}")).json()
    assert now["status"] == found[-1]["new_value"]
