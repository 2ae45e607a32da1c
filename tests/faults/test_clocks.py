"""Clocks five minutes apart, ahead and behind: people work on, schedules fire once, the log keeps its order (R12).

The services whose clocks are wrong are asked directly, each by itself, so that it is known who answered. Nothing here
is a matter of speed: what waits, waits for what must come in the end.
"""

import asyncio
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import httpx
import pytest

from tests.faults.clock import clocks
from tests.faults.replicas import ROOT, Replica, running
from tests.faults.test_upgrade import Database
from tests.newcomer import registered
from tests.waiting import until

pytestmark = pytest.mark.journey

APART = 300  # seconds
SECOND = timedelta(seconds=1)
WRITES = 5  # of each kind: by who is ahead, by both in turn, by who is behind
DUE = 4  # changes that are scheduled for the same time
LATER = (409, 429, 503, 504)  # ask again, with the same key
URL = "/api/v1/feature-flags"
LISTS = ("users/me", "feature-flags", "experiments", "audit-logs", "vms")


class At:
    """Somebody who asks one process directly, as often as it takes."""

    def __init__(self, web, replica):
        self._web, self._url = web, f"http://127.0.0.1:{replica.http}"

    async def ask(self, method, path, **options):
        """Return the first answer that is one; what is asked twice has an idempotency key."""
        headers = {"idempotency-key": uuid4().hex} | options.pop("headers", {})

        async def answer():
            said = await self._web.request(method, f"{self._url}{path}", headers=headers, **options)
            return None if said.status_code in LATER else said

        return await until(answer, 120, f"an answer to {method} {path}")

    async def is_wrong_by(self, ahead, begun):
        """Check that the clock of a process that was started after `begun` is so many seconds ahead."""
        said = (await self.ask("GET", "/healthz")).json()["started_at"]
        right = datetime.fromisoformat(said) - timedelta(seconds=ahead)
        assert begun - SECOND < right < datetime.now(UTC) + SECOND, said


async def test_who_signs_with_a_wrong_clock_is_believed_everywhere(platform, tmp_path, finding):
    """One iam is five minutes ahead, one five behind; the gate and the five services are right."""
    await until(platform.healthy, 60)
    times = clocks(tmp_path, APART, -APART)
    signers = [Replica(platform, "iam", tmp_path, **time.env) for time in times]
    begun = datetime.now(UTC)
    async with running(*signers):
        await asyncio.gather(*(signer.start() for signer in signers))
        for signer, ahead in zip(signers, (APART, -APART), strict=True):
            url = f"http://127.0.0.1:{signer.http}"
            async with httpx.AsyncClient(base_url=url, timeout=20) as web:
                at = At(web, signer)
                await at.is_wrong_by(ahead, begun)
                login = await registered(web)
                await everybody_believes(platform, at, login)
    finding(
        "R12",
        "an iam whose clock is 5 min ahead and one whose clock is 5 min behind, the others right",
        f"both registered an organization; the gate and all services took their tokens ({', '.join(LISTS)}), a"
        " refreshed one as well, and none after its session was ended",
    )


async def everybody_believes(platform, signer, login):
    """The token opens each service behind the gate, as does the next; after the logout neither opens anything."""
    again = {"refresh_token": login["refresh_token"]}
    async with httpx.AsyncClient(base_url=platform.url, timeout=20) as web:
        first = {"authorization": f"Bearer {login['access_token']}"}
        await until(lambda: all_say(web, first, 200), 120, "the first token is believed")
        said = await signer.ask("POST", "/api/v1/auth/refresh", json=again)
        second = {"authorization": f"Bearer {said.raise_for_status().json()['access_token']}"}
        await until(lambda: all_say(web, second, 200), 120, "the second token is believed")
        ended = await signer.ask("POST", "/api/v1/auth/logout", headers=second)
        assert ended.status_code in (200, 204), ended.text
        for token in (first, second):
            await until(lambda t=token: all_say(web, t, 401), 120, "the session is over")


async def all_say(web, token, status):
    said = [await web.get(f"/api/v1/{path}", headers=token) for path in LISTS]
    return all(s.status_code == status for s in said)


async def test_what_is_done_with_wrong_clocks_is_done_once_and_in_order(
    platform, tmp_path, finding
):
    """Two replicas of flags on a database of their own, one ahead, one behind: nobody else carries its facts."""
    await until(platform.healthy, 60)
    fast, slow = clocks(tmp_path, APART, -APART)
    async with Database(platform).made() as database:
        await database.migrate(platform, ROOT)
        own = {"FLAGS_DATABASE_URL": database.url}
        ahead, behind = (
            Replica(platform, "flags", tmp_path, jobs=True, **own, **time.env)
            for time in (fast, slow)
        )
        begun = datetime.now(UTC)
        async with running(ahead, behind), httpx.AsyncClient(timeout=20) as web:
            await ahead.start()
            await registered_at(platform, web)
            one, other = At(web, ahead), At(web, behind)
            flag = await a_flag(one)
            told = [await toggled([one], flag, n) for n in range(WRITES)]
            await in_the_log(platform, web, flag, told)
            await behind.start()
            for at, wrong in ((one, APART), (other, -APART)):
                await at.is_wrong_by(wrong, begun)
            told += [await toggled([one, other], flag, WRITES + n) for n in range(WRITES)]
            await due_at_once(platform, web, flag, (fast, slow), (one, other))
            await ahead.end(signal.SIGKILL)
            told += [await toggled([other], flag, 2 * WRITES + n) for n in range(WRITES)]
            await in_the_log(platform, web, flag, told)
    finding(
        "R12",
        "two replicas of flags, one 5 min ahead and one 5 min behind; then both clocks jump by 10 min, to and fro",
        f"{len(told)} keyed writes by the one, by either in turn (each sent to both) and by the other after the first"
        " was killed: each done once, and in the log once and in the order in which they were made;"
        f" {DUE} schedules that became due for both at once were done once each",
        partly="ten minutes between iam and a service are more than is promised (docs/adr/0077)",
    )


async def registered_at(platform, web):
    """Register an organization through the gate, whose clock is right."""
    async with httpx.AsyncClient(base_url=platform.url, timeout=20) as gate:
        await registered(gate)
        web.headers["authorization"] = gate.headers["authorization"]


async def a_flag(at):
    """Make a flag as soon as the organization is known there; return its id."""
    await until(lambda: knows(at), 60, "the organization is known")
    made = await at.ask("POST", "/api/v1/feature-flags", json={"key": "f", "name": "F"})
    assert made.status_code == 201, made.text
    return made.json()["id"]


async def knows(at):
    return (await at.ask("GET", "/api/v1/feature-flags")).status_code == 200


async def toggled(places, flag, n):
    """Switch the flag over at the first of the places in turn, and send it to the others too; return the reason."""
    turned, path = places[n % len(places) :] + places[: n % len(places)], f"{URL}/{flag}/toggle"
    body, key = {"reason": f"no {n}"}, {"idempotency-key": uuid4().hex}
    said = [await at.ask("POST", path, json=body, headers=key) for at in turned]
    assert {s.status_code for s in said} == {200}, [s.text for s in said]
    assert len({s.json()["version"] for s in said}) == 1
    return body["reason"]


async def entries(platform, web, flag):
    """Return what the log has of the flag, in its own order, the oldest first."""
    found, params = [], {"entity_id": flag, "limit": 100}
    while True:
        said = await web.get(f"{platform.url}/api/v1/audit-logs", params=params)
        found += said.raise_for_status().json()["items"]
        if not (cursor := said.json().get("next_cursor")):
            return found[::-1]
        params["cursor"] = cursor


async def in_the_log(platform, web, flag, told):
    """Wait until the log has what was done to the flag: each once, in the order in which it was done."""

    async def all_there():
        found = [e for e in await entries(platform, web, flag) if e["reason"].startswith("no ")]
        return found if len(found) >= len(told) else None

    found = await until(all_there, 120, "all is in the log")
    assert [e["reason"] for e in found] == told
    assert [e["seq"] for e in found] == sorted(e["seq"] for e in found)
    for before, after in pairwise(found):
        assert before["new_value"] == after["old_value"]


async def scheduled(at, flag, reason, seconds):
    """Have the flag changed in so many seconds of the right time; return the schedule, None if that was over."""
    due = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    body = {"at": due, "change": {"description": reason}, "reason": reason}
    made = await at.ask("POST", f"{URL}/{flag}/schedules", json=body)
    assert made.status_code in (201, 422), made.text
    return made.json() if made.status_code == 201 else None


async def done(at, flag, schedules):
    """Whether all of some schedules were done."""
    listed = (await at.ask("GET", f"{URL}/{flag}/schedules?limit=100")).json()["items"]
    status = {one["id"]: one["status"] for one in listed}
    assert set(status.values()) <= {"pending", "done"}, listed
    return all(status[one["id"]] == "done" for one in schedules)


async def due_at_once(platform, web, flag, times, places):
    """Have changes become due for both at the same moment, then set both clocks back and forth again."""
    set_all(times, -APART)
    reasons = [f"due {n}" for n in range(DUE)]
    made = [await scheduled(places[n % 2], flag, why, APART / 2) for n, why in enumerate(reasons)]
    assert all(made)
    for ahead in (APART, -APART, APART):
        set_all(times, ahead)
        soon = await until(lambda a=ahead: scheduled(places[0], flag, "soon", a + 2), 60)
        await until(lambda s=soon: done(places[1], flag, [s]), 120, "the clockwork turns")
        assert await done(places[1], flag, made)
    for time, ahead in zip(times, (APART, -APART), strict=True):
        time.set(ahead)

    async def told():
        found = await entries(platform, web, flag)
        done = [e["reason"] for e in found if e["action_type"] == "change_executed"]
        return done if done.count("soon") >= 3 else None

    wanted = Counter({why: 1 for why in reasons} | {"soon": 3})
    assert Counter(await until(told, 120, "the log tells of it")) == wanted


def set_all(times, ahead):
    for time in times:
        time.set(ahead)
