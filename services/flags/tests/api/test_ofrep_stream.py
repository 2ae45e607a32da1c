"""OFREP's stream of changes: who may listen, what is heard, and for how long."""

import asyncio
import time

import orjson
import pytest

from authz.limits import Limiter
from chassis.identity import Identity, NoAuthority
from flags.api.desks import Desks
from flags.api.ofrep import Ofrep
from flags.api.ofrep_stream import events_of
from flags.api.rendered import PREFIX
from flags.api.tickets import HOUR, PATH, BadTicket, Tickets
from flags.domain.flag import Draft
from flags.usecases.flags import Aim

DIGEST = "ab" * 32


async def stream_of(sdk):
    return (await sdk.post(PREFIX, json={})).json()["eventStreams"][0]


async def test_the_bulk_says_where_the_stream_is_and_says_the_same_again(sdk, shop):
    stream = await stream_of(sdk)
    assert (stream["type"], stream["inactivityDelaySec"]) == ("sse", 120)
    assert stream["url"].startswith(f"{PATH}?token=")
    assert await stream_of(sdk) == stream


@pytest.mark.parametrize("token", ["", "x", "A" * 70, "é", "%00", "A" * 199])
async def test_a_token_that_is_none_is_401(sdk, shop, token):
    got = await sdk.get(PATH, params={"token": token})
    assert (got.status_code, got.json()["code"]) == (401, "flags.bad_ticket")


def test_a_ticket_holds_for_its_hour_and_the_next():
    tickets = Tickets(b"secret")
    token = tickets.made(DIGEST, 100)
    for hour in (100, 101.9):
        assert tickets.read(token, hour * HOUR) == DIGEST
    for hour in (99, 102):
        with pytest.raises(BadTicket):
            tickets.read(token, hour * HOUR)
    with pytest.raises(BadTicket):
        Tickets(b"other").read(token, 100 * HOUR)


@pytest.fixture
async def desk(ofrep, sdk, shop):
    """The desk of the SDK's key."""
    token = (await stream_of(sdk))["url"].partition("=")[2]
    return await ofrep.desks.by_digest(ofrep.tickets.read(token, time.time()), PATH)


async def heard(events):
    async with asyncio.timeout(20):
        return await anext(events)


def said(event):
    lines = dict(line.split(": ", 1) for line in event.decode().strip().splitlines())
    return lines["id"], lines["event"], orjson.loads(lines["data"])


async def test_each_change_is_told_with_its_revision(ofrep, desk, flags, rulesets, ana, here):
    events = events_of(ofrep, desk, "")
    assert 1000 <= int((await heard(events)).removeprefix(b"retry: ")) <= 5000
    first, name, data = said(await heard(events))
    assert (name, data["type"]) == ("message", "refetchEvaluation")
    assert (data["etag"], abs(data["lastModified"] - time.time()) < 60) == (f'"{first}"', True)
    await flags.disable(ana, Aim(flag="limit", place=here))
    await rulesets.poll()
    assert int(said(await heard(events))[0]) > int(first)
    await events.aclose()


async def test_who_knows_the_revision_is_told_nothing_who_knows_an_old_one_is(ofrep, desk):
    now = str(desk.ruleset.revision)
    for known, expected in ((now, b": alive\n\n"), ("1", None), ("ü" * 50, None)):
        events = events_of(ofrep, desk, known)
        await heard(events)
        event = await heard(events)
        assert event == expected if expected else said(event)[0] == now
        await events.aclose()


async def test_a_revoked_key_hears_no_more(ofrep, desk, keys, flags, rulesets, ana, here):
    events = events_of(ofrep, desk, "")
    await heard(events)
    await heard(events)
    keys.authority.state.keys.clear()
    keys.authority.generation += 1
    await flags.create(ana, here, Draft(key="new", name="New"))
    await rulesets.poll()
    with pytest.raises(StopAsyncIteration):
        await heard(events)
    with pytest.raises(Exception, match="unknown or was revoked"):
        await ofrep.desks.by_digest(desk.digest, PATH)


async def test_a_key_of_which_nobody_can_tell_is_not_refused_as_wrong(ofrep, keys, monkeypatch):
    monkeypatch.setattr(keys.authority, "_clock", lambda: time.monotonic() + 60)
    with pytest.raises(NoAuthority):
        await ofrep.desks.by_digest(DIGEST, PATH)


async def test_the_end_of_the_process_ends_the_stream(ofrep, desk, rulesets):
    events = events_of(ofrep, desk, "")
    await heard(events)
    await heard(events)
    waiting = asyncio.create_task(anext(events))
    await asyncio.sleep(0)
    rulesets.close()
    with pytest.raises(StopAsyncIteration):
        await waiting


async def test_who_has_heard_of_a_change_is_answered_from_it(
    sdk, ofrep, desk, flags, work, ana, here
):
    """The announcement is on its way to this replica still when the client asks."""
    await flags.disable(ana, Aim(flag="limit", place=here))
    newest = work.kept_projects[here.tenant, "default"].environment("production").revision
    for etag in (f'"{newest}"', str(newest)):
        got = await sdk.post(PREFIX, json={}, params={"flagConfigEtag": etag})
        [limit] = [f for f in got.json()["flags"] if f["key"] == "limit"]
        assert limit["reason"] == "DISABLED"


async def test_a_public_key_that_invents_a_revision_wakes_nobody(ofrep, desk, shop, keys, work):
    events, reads = events_of(ofrep, desk, str(desk.ruleset.revision)), work.reads
    await heard(events)
    assert await heard(events) == b": alive\n\n"
    waiting = asyncio.create_task(anext(events))
    key = {b"x-api-key": keys.mint("client").encode()}
    for number in range(5):
        status, _, _ = await ofrep.reply(
            PREFIX, key, b"{}", b"flagConfigEtag=%d" % (10**9 + number)
        )
        assert status == 200
    for _ in range(10):
        await asyncio.sleep(0)
    assert (waiting.done(), work.reads) == (False, reads)
    waiting.cancel()


async def test_who_is_over_the_limit_is_refused_before_anything_is_looked_for(
    rulesets, keys, shop, work
):
    desks = Desks(rulesets, Identity(keys.authority, None, None), Limiter(100))
    ofrep, key = Ofrep(desks), {b"x-api-key": keys.mint().encode()}
    assert (await ofrep.reply(PREFIX, key, b"{}"))[0] == 200
    [desk] = desks._desks.values()
    desk.bucket.arrival = time.monotonic() + 3600
    assert (await ofrep.reply(PREFIX, key, b"{}", b"flagConfigEtag=99999"))[0] == 429
    assert work.looks == 0


@pytest.mark.parametrize("etag", ["x", "9" * 30, "-1", "", "%ff", '"'])
async def test_a_strange_etag_does_no_harm(sdk, shop, etag):
    assert (await sdk.post(PREFIX, json={}, params={"flagConfigEtag": etag})).status_code == 200


async def test_an_old_state_says_how_old_it_is(sdk, ofrep, desk):
    held = desk.held
    held.at -= 3600
    for known in ofrep.desks._desks.values():
        known.look_again = 0
    for path in (PREFIX, f"{PREFIX}/limit"):
        got = await sdk.post(path, json={})
        assert 3595 < int(got.headers["age"]) < 3700
    held.at += 3600
    for known in ofrep.desks._desks.values():
        known.look_again = 0
    assert "age" not in (await sdk.post(PREFIX, json={})).headers
