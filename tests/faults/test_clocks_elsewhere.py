"""Clocks that are wrong at the gate, and in experiments: who is let in, and that each start is made once (R12).

Three replicas of experiments on one database: the platform's own, whose clock is right, one ahead and one behind. What
they have done is read through the gate and in the log. Nothing here is a matter of speed: what waits, waits for what
must come.
"""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count

import httpx
import pytest

from tests.faults.asking import BODY, EVALUATE, SOON
from tests.faults.clock import clocks
from tests.faults.replicas import Gate, Replica, running
from tests.faults.test_clocks import APART, LISTS, At, all_say, entries, set_all
from tests.faults.test_replicas import organized
from tests.newcomer import Patient, registered
from tests.waiting import until

pytestmark = pytest.mark.journey

DUE = 4  # experiments that are to start at the same time
AHEAD, BEHIND = APART, -APART
URL = "/api/v1/experiments"
SOONEST = 3  # seconds in which something is due at the earliest


class Lab:
    """An organization that plans experiments, through the gate or at one replica."""

    def __init__(self, web, platform, token):
        self.web, self.platform, self.token = web, platform, token
        self._numbers, self.made = count(), {}

    async def draft(self):
        """Return the key of a new experiment, on a flag of its own."""
        key = f"e{next(self._numbers)}"
        await self._post("feature-flags", {"key": key, "name": key})
        made = await self._post("experiments", {"key": key, "name": key, "metrics": METRICS})
        self.made[key] = made["id"]
        return key

    async def _post(self, path, body):
        said = await self.web.post(f"{self.platform.url}/api/v1/{path}", json=body)
        return said.raise_for_status().json()

    async def prepare(self):
        await self._post("metrics", METRIC)

    async def due(self, at, key, seconds):
        """Have it start in so many seconds of the right time, told to one replica; whether that was in time."""
        start = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
        said = await at.ask("PUT", f"{URL}/{key}/schedule", json={"start_date": start})
        assert said.status_code in (200, 422), said.text
        return said.status_code == 200

    async def soon(self, at, ahead):
        """Have one start in a moment by the clock of a replica, which then looks for whatever is due."""
        key, seconds = await self.draft(), SOONEST
        while not await self.due(at, key, ahead + seconds):
            seconds *= 2  # where all is slow the moment was over
            assert seconds < APART
        return key

    async def started(self, keys):
        """Wait until the log tells of their starts; return how often it does of each."""

        async def all_told():
            found = {key: await self.starts(key) for key in keys}
            return found if all(found.values()) else None

        return await until(all_told, SOON, "they were started")

    async def starts(self, key):
        """Return how often the log has that the clock started one."""
        found = await entries(self.platform, self.web, self.made[key])
        return sum(e["action_type"] == "started" for e in found)


METRIC = {"key": "purchase", "name": "Purchases", "kind": "proportion", "event": "bought"}
METRICS = [{"key": "purchase"}]


async def test_experiments_start_once_whatever_the_clocks_say(platform, tmp_path, finding):
    await until(platform.healthy, SOON)
    times = clocks(tmp_path, AHEAD, BEHIND)
    replicas = [Replica(platform, "experiments", tmp_path, jobs=True, **time.env) for time in times]
    begun = datetime.now(UTC)
    async with (
        running(*replicas),
        httpx.AsyncClient(timeout=20, transport=Patient()) as web,
    ):
        await asyncio.gather(*(replica.start() for replica in replicas))
        lab = await laboratory(web, platform)
        one, other = (At(web, replica) for replica in replicas)
        await one.is_wrong_by(AHEAD, begun)
        await other.is_wrong_by(BEHIND, begun)
        early = await begun_too_soon(lab, one, other)
        late = await begun_together(lab, times, (one, other))
        told = {key: await lab.starts(key) for key in lab.made}
    assert set(told.values()) == {1}, told
    finding(
        "R12",
        "three replicas of experiments on one database, one right, one 5 min ahead and one 5 min behind; then the two"
        " wrong clocks jump by 10 min, to and fro",
        f"{early + late} experiments with a start date, of which {DUE} became due for two replicas at once: each was"
        " started once, and is so once in the log; one that was started by the clock that is ahead was paused and"
        " resumed by the one that is behind, and is told of in that order",
    )


async def laboratory(web, platform):
    """Register an organization that flags and experiments know."""
    gate = httpx.AsyncClient(base_url=platform.url, timeout=20, transport=Patient())
    async with gate:
        await registered(gate)
        web.headers["authorization"] = token = gate.headers["authorization"]

    async def known():
        said = [
            await web.get(f"{platform.url}/api/v1/{p}") for p in ("feature-flags", "experiments")
        ]
        return all(s.status_code == 200 for s in said)

    await until(known, SOON, "the organization is known")
    lab = Lab(web, platform, token)
    await lab.prepare()
    return lab


async def begun_too_soon(lab, one, other):
    """Who is ahead starts one too soon for all others, who go on from there; return how many were started."""
    key = await lab.soon(one, AHEAD)
    assert await lab.started([key]) == {key: 1}
    for verb in ("pause", "resume"):
        said = await other.ask("POST", f"{URL}/{key}/{verb}", json={"reason": verb})
        assert said.status_code == 200, said.text

    async def all_told():
        found = [e["action_type"] for e in await entries(lab.platform, lab.web, lab.made[key])]
        return found if "resumed" in found else None

    told = await until(all_told, SOON, "the log tells of it")
    assert [did for did in told if did in DONE] == list(DONE)
    return 1


DONE = ("started", "paused", "resumed")


async def begun_together(lab, times, places):
    """Have some become due for both at the same moment, then set both clocks to and fro; return how many started."""
    set_all(times, BEHIND)
    keys = [await lab.draft() for _ in range(DUE)]
    for n, key in enumerate(keys):
        assert await lab.due(places[n % 2], key, APART / 2)
    for ahead in (AHEAD, BEHIND, AHEAD):
        set_all(times, ahead)
        keys += await asyncio.gather(*(lab.soon(at, ahead) for at in places))
        assert Counter((await lab.started(keys)).values()) == {1: len(keys)}
    return len(keys)


async def test_a_gate_with_a_wrong_clock_lets_in_whom_it_should(platform, tmp_path, finding):
    await until(platform.healthy, SOON)
    wrong = (AHEAD, BEHIND)
    gates = [Gate(platform, tmp_path, [], env=time.env) for time in clocks(tmp_path, *wrong)]
    async with running(*gates):
        for gate, ahead in zip(gates, wrong, strict=True):
            await gate.start()
            async with organized(gate.url) as org:
                await lets_in(gate, org)
            await is_wrong_by(gate, ahead)
    finding(
        "R12",
        "a gate whose clock is 5 min ahead and one whose clock is 5 min behind, their key agent and the others right",
        f"through each an organization was registered, its token opened every service ({', '.join(LISTS)}) and its API"
        " key evaluated; neither token nor key was let in after it was withdrawn",
    )


async def lets_in(gate, org):
    """Token and key open what they should; after the logout, and after the key was withdrawn, they do not."""
    token = {"authorization": org.headers["authorization"]}

    async def evaluates(status):
        said = await org.post(EVALUATE, json=BODY, headers={"x-api-key": org.key})
        return said.status_code == status

    async with httpx.AsyncClient(base_url=gate.url, timeout=20, transport=Patient()) as web:
        await until(lambda: all_say(web, token, 200), SOON, "the token is believed")
        del org.headers["authorization"]
        await until(lambda: evaluates(200), SOON, "the key evaluates")
        keys = (await web.get("/api/v1/api-keys", headers=token)).raise_for_status().json()
        for key in keys["items"]:
            gone = await web.delete(f"/api/v1/api-keys/{key['id']}", headers=token)
            assert gone.status_code in (200, 204), gone.text
        await until(lambda: evaluates(401), SOON, "the key is withdrawn")
        ended = await web.post("/api/v1/auth/logout", headers=token)
        assert ended.status_code in (200, 204), ended.text
        await until(lambda: all_say(web, token, 401), SOON, "the session is over")


async def is_wrong_by(gate, ahead):
    """Check by its log that its clock is so many seconds ahead."""
    said = await until(gate.told, SOON, "the gate has told of something")
    wrong = datetime.fromisoformat(said[-1]["at"]) - datetime.now(UTC)
    assert abs(wrong.total_seconds() - ahead) < APART / 2, said[-1]
