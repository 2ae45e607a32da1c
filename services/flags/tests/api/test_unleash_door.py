"""Unleash's API: who may ask what, tags, streams, and what front ends get."""

import asyncio
import re
from dataclasses import replace

import httpx
import orjson
import pytest

from flags.api.unleash import Unleash, hydrations
from flags.usecases.flags import Aim

FEATURES, FRONTEND = "/api/client/features", "/api/frontend"


def web_of(app, key):
    transport, headers = httpx.ASGITransport(app), {"authorization": key}
    return httpx.AsyncClient(transport=transport, base_url="http://flags.test", headers=headers)


@pytest.fixture
async def server(documented, keys, shop):
    async with web_of(documented, keys.mint()) as web:
        yield web


@pytest.fixture
async def browser(documented, keys, shop):
    async with web_of(documented, keys.mint("client")) as web:
        yield web


async def test_features_come_with_a_tag_and_are_not_sent_twice(server, flags, rulesets, ana, here):
    got = await server.get(FEATURES)
    said = got.json()
    assert (said["version"], said["segments"]) == (2, [])
    assert {f["name"] for f in said["features"]} == {
        "shop/checkout.v2",
        "rate",
        "limit",
        "hello",
        "theme",
    }
    tag = {"if-none-match": got.headers["etag"]}
    again = await server.get(FEATURES, headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    await flags.disable(ana, Aim(flag="limit", place=here))
    await rulesets.poll()
    changed = await server.get(FEATURES, headers=tag)
    assert changed.status_code == 200
    assert {f["name"]: f["enabled"] for f in changed.json()["features"]}["limit"] is False


@pytest.mark.parametrize("path", [FEATURES, "/api/client/streaming"])
async def test_a_client_side_key_may_not_have_the_rules(browser, path):
    got = await browser.get(path)
    assert (got.status_code, got.json()["code"]) == (403, "flags.features_for_servers")


async def test_a_front_end_gets_what_is_enabled_and_marked_for_it(browser, server):
    said = (await browser.get(FRONTEND, params={"userId": "u"})).json()["toggles"]
    variant = {"name": "disabled", "enabled": False, "feature_enabled": True}
    assert said == [
        {"name": "shop/checkout.v2", "enabled": True, "impressionData": False, "variant": variant}
    ]
    everything = (await server.post(FRONTEND, json={"context": {}})).json()["toggles"]
    variants = {t["name"]: t["variant"] for t in everything}
    assert variants["rate"]["payload"] == {"type": "number", "value": "1.0"}
    assert variants["hello"]["payload"] == {"type": "string", "value": "Grüezi"}


async def test_the_context_of_a_front_end_is_ours_by_other_names(
    server, flags, rulesets, ana, here
):
    from flags.domain.flag import Change

    clauses = [
        {"op": "eq", "attribute": "targetingKey", "value": "ana"},
        {"op": "eq", "attribute": "plan", "value": "pro"},
        {"op": "num_gt", "attribute": "age", "value": 17},
    ]
    rules = [{"when": {"all": clauses}, "variant": "en"}]
    await flags.update(ana, Aim(flag="hello", place=here), Change(switch={"rules": rules}))
    await rulesets.poll()

    async def served(answer):
        return {t["name"]: t["variant"]["name"] for t in answer.json()["toggles"]}["hello"]

    query = {"userId": "ana", "properties[plan]": "pro", "properties[age]": "18"}
    assert await served(await server.get(FRONTEND, params=query)) == "en"
    body = {"context": {"userId": "ana", "properties": {"plan": "pro", "age": 18}}}
    assert await served(await server.post(FRONTEND, json=body)) == "en"
    assert await served(await server.get(FRONTEND, params={"userId": "ana"})) == "de"


@pytest.mark.parametrize(
    "context",
    [
        {},
        {"userId": 7},
        {"userId": None, "properties": None},
        {"properties": [1]},
        {"properties": {"userId": "x", "deep": {"a": {"b": [1]}}}},
        {"userId": "ü" * 1000},
    ],
)
async def test_whatever_a_front_end_says_is_answered(server, context):
    got = await server.post(FRONTEND, json={"context": context, "unknown": 1})
    assert len(got.json()["toggles"]) == 5


async def test_sdks_register_and_tell_what_they_counted(server):
    body = {
        "appName": "a",
        "instanceId": "i",
        "strategies": ["default"],
        "started": "x",
        "interval": 1,
    }
    assert (await server.post("/api/client/register", json=body)).status_code == 202
    bucket = {
        "start": "x",
        "stop": "y",
        "toggles": {"hello": {"yes": 2, "no": 1, "variants": {"de": 2}}},
    }
    assert (
        await server.post("/api/client/metrics", json={"appName": "a", "bucket": bucket})
    ).status_code == 202
    assert (
        await server.post("/api/client/metrics", json={"appName": "a", "bucket": None})
    ).status_code == 202
    for path, wrong in (
        ("register", {}),
        ("metrics", {"bucket": {"toggles": {"f": {"yes": -1}}}}),
        ("metrics", {"bucket": 7}),
    ):
        assert (await server.post(f"/api/client/{path}", json=wrong)).status_code == 422


@pytest.fixture
def used(usages, counting, ana, here):
    """What is told of a flag's use: (variant, reason) → count."""

    async def told(flag):
        await counting.flush()
        found = await usages.of_flag(ana, here, flag, "hour", (None, None))
        return {(one.variant, one.reason): one.count for one in found.counts}

    return told


@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_what_a_front_end_is_told_is_counted(browser, server, used, verb):
    body = {} if verb == "GET" else {"json": {"context": {}}}
    assert (await browser.request(verb, FRONTEND, **body)).status_code == 200
    assert await used("shop/checkout.v2") == {("on", "STATIC"): 1}
    assert await used("hello") == {}
    assert (await server.request(verb, FRONTEND, **body)).status_code == 200
    assert await used("shop/checkout.v2") == {("on", "STATIC"): 2}
    assert await used("hello") == {("de", "STATIC"): 1}


async def test_what_sdks_count_is_part_of_the_usage(server, browser, used):
    toggles = {
        "shop/checkout.v2": {"yes": 3, "no": 2},
        "hello": {"yes": 5, "no": 1, "variants": {"de": 2, "en": 1, "gone": 9}},
        "limit": {"yes": 0, "no": 0, "variants": {}},
        "rate": {"yes": 1, "no": 0, "variants": {"one": 7}},
        "nobody-knows": {"yes": 1},
    }
    body = {"appName": "a", "bucket": {"toggles": toggles}}
    for _ in range(2):
        assert (await server.post("/api/client/metrics", json=body)).status_code == 202
    on_off = {("on", "UNKNOWN"): 6, ("off", "UNKNOWN"): 4}
    assert await used("shop/checkout.v2") == on_off
    assert await used("hello") == {
        ("de", "UNKNOWN"): 4,
        ("en", "UNKNOWN"): 2,
        ("", "UNKNOWN"): 6,
    }
    assert await used("limit") == {}
    assert await used("rate") == {("one", "UNKNOWN"): 14}
    # A client-side key counts what it may see, and nothing else.
    assert (await browser.post("/api/client/metrics", json=body)).status_code == 202
    assert await used("rate") == {("one", "UNKNOWN"): 14}
    assert (await used("shop/checkout.v2"))["on", "UNKNOWN"] == 9


async def test_a_front_end_registers_and_is_not_counted_twice(browser, used):
    said = {"appName": "a", "bucket": {"toggles": {"shop/checkout.v2": {"yes": 3, "no": 2}}}}
    assert (await browser.post(f"{FRONTEND}/client/register", json=said)).status_code == 202
    assert (await browser.post(f"{FRONTEND}/client/metrics", json=said)).status_code == 202
    assert await used("shop/checkout.v2") == {}
    wrong = {"bucket": {"toggles": {"hello": 7}}}
    assert (await browser.post(f"{FRONTEND}/client/metrics", json=wrong)).status_code == 422


async def test_a_row_that_makes_no_sense_is_asked_for_under_no_name(server, used, work, shop):
    flag = next(f for f in work.kept_flags.values() if f.key == "hello")
    work.kept_flags[flag.id] = replace(flag, variants={"de": 7})
    toggles = {"hello": {"yes": 2, "no": 1, "variants": {"de": 2}}}
    body = {"bucket": {"toggles": toggles}}
    assert (await server.post("/api/client/metrics", json=body)).status_code == 202
    assert await used("hello") == {("", "UNKNOWN"): 3}


@pytest.mark.parametrize(
    "toggled",
    [{"yes": 10**9 + 1}, {"variants": {"de": -1}}, {"no": 1.5}, {"variants": ["de"]}, 7],
)
async def test_counts_that_are_none_are_refused_and_nothing_counted(server, used, toggled):
    body = {"bucket": {"toggles": {"hello": {"yes": 1}, "limit": toggled}}}
    assert (await server.post("/api/client/metrics", json=body)).status_code == 422
    assert await used("hello") == {}


@pytest.mark.parametrize("key", ["", "sy_srv_nonsense", "Basic dTpw"])
async def test_nobody_is_401(documented, shop, key):
    async with web_of(documented, key) as web:
        for path in (FEATURES, FRONTEND, "/api/client/streaming"):
            assert (await web.get(path)).status_code == 401


async def test_the_stream_sends_everything_at_once_and_after_each_change(
    ofrep, keys, shop, flags, rulesets, ana, here
):
    desk = await ofrep.desks.of({b"x-api-key": keys.mint().encode()}, "/")
    events = hydrations(Unleash(ofrep.desks), desk)

    async def heard():
        async with asyncio.timeout(20):
            lines = (await anext(events)).decode().strip().splitlines()
        said = dict(line.split(": ", 1) for line in lines)
        [hydration] = orjson.loads(said["data"])["events"]
        return said["event"], {f["name"]: f["enabled"] for f in hydration["features"]}

    assert re.fullmatch(rb"retry: [1-5]\d{3}\n\n", await anext(events))
    name, before = await heard()
    assert (name, before["limit"]) == ("unleash-connected", True)
    await flags.disable(ana, Aim(flag="limit", place=here))
    await rulesets.poll()
    name, after = await heard()
    assert (name, after["limit"]) == ("unleash-updated", False)
    rulesets.close()
    with pytest.raises(StopAsyncIteration):
        await heard()
