"""Evaluating in plain REST."""

import httpx
import pytest

from flags.domain.flag import Change, Draft
from flags.usecases.flags import Aim

ONE, MANY = "/api/v1/feature-flags/evaluate", "/api/v1/feature-flags/evaluate/bulk"
DEEP = {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}}}}


def browser_of(app, key):
    transport = httpx.ASGITransport(app)
    headers = {"x-api-key": key}
    return httpx.AsyncClient(transport=transport, base_url="http://flags.test", headers=headers)


async def test_one_flag_is_answered_with_its_reason(sdk, shop, ofrep):
    got = await sdk.post(ONE, json={"key": "hello", "context": {"targetingKey": "u"}})
    assert got.status_code == 200
    assert got.json() == {
        "key": "hello",
        "value": "Grüezi",
        "variant": "de",
        "reason": "STATIC",
        "error": None,
        "metadata": {},
        "revision": got.json()["revision"],
        "age": 0,
    }
    assert b'"value":1.0' in (await sdk.post(ONE, json={"key": "rate"})).content


async def test_every_answer_is_counted(sdk, shop, usages, counting, ana, here):
    await sdk.post(ONE, json={"key": "hello"})
    await sdk.post(MANY, json={"keys": ["hello", "nope"]})
    await sdk.post(MANY, json={})
    await counting.flush()
    found = await usages.of_flag(ana, here, "hello", "hour", (None, None))
    assert [(c.variant, c.reason, c.count) for c in found.counts] == [("de", "STATIC", 3)]


async def test_many_come_in_the_order_asked_for_or_by_key(sdk, shop):
    got = (await sdk.post(MANY, json={"keys": ["rate", "nope", "limit"]})).json()["flags"]
    assert [(f["key"], f["reason"]) for f in got] == [
        ("rate", "STATIC"),
        ("nope", "ERROR"),
        ("limit", "STATIC"),
    ]
    assert got[1]["error"]["code"] == "FLAG_NOT_FOUND"
    everything = (await sdk.post(MANY, json={})).json()["flags"]
    assert {f["key"] for f in everything} == {"shop/checkout.v2", "rate", "limit", "hello", "theme"}
    assert (await sdk.post(MANY, json={"keys": []})).json()["flags"] == []


async def test_a_client_side_key_sees_only_what_is_marked(documented, keys, shop):
    async with browser_of(documented, keys.mint("client")) as browser:
        assert [f["key"] for f in (await browser.post(MANY, json={})).json()["flags"]] == [
            "shop/checkout.v2"
        ]
        hidden = await browser.post(ONE, json={"key": "limit"})
        assert (hidden.status_code, hidden.json()["code"]) == (404, "flags.not_found")
        [named] = (await browser.post(MANY, json={"keys": ["limit"]})).json()["flags"]
        assert named["error"]["code"] == "FLAG_NOT_FOUND"


async def test_a_split_without_a_unit_says_so(sdk, shop, flags, rulesets, ana, here):
    weights = [{"variant": "de", "weight": 50_000}, {"variant": "en", "weight": 50_000}]
    change = Change(switch={"rules": [{"split": {"weights": weights}}]})
    await flags.update(ana, Aim(flag="hello", place=here), change)
    await rulesets.poll()
    got = (await sdk.post(ONE, json={"key": "hello", "context": {}})).json()
    assert (got["value"], got["reason"]) == (None, "ERROR")
    assert got["error"]["code"] == "TARGETING_KEY_MISSING"
    got = (await sdk.post(ONE, json={"key": "hello", "context": {"targetingKey": "u"}})).json()
    assert got["reason"] == "SPLIT"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"key":"limit"}', 200),
        (b'{"key":"limit","context":{"x":NaN}}', 422),
        (b'{"key":"limit","context":{"targetingKey":7}}', 422),
        (b'{"key":"limit","context":[]}', 422),
        (b'{"key":"limit","nonsense":1}', 422),
        (b'{"key":""}', 422),
        (b'{"key":"a/b/\xc3\xbc"}', 404),
        (b'{"key":"' + b"x" * 1000 + b'"}', 404),
        (b'{"key":"' + b"x" * 1001 + b'"}', 422),
        (b"{", 422),
        (b"", 422),
    ],
)
async def test_whatever_is_sent_is_answered(sdk, shop, body, status):
    got = await sdk.post(ONE, content=body, headers={"content-type": "application/json"})
    assert got.status_code == status, got.text
    assert status == 200 or got.json()["detail"]


async def test_a_deep_context_and_a_large_one_are_no_trouble(sdk, shop):
    context = {**DEEP, "long": "ü" * 100_000}
    assert (await sdk.post(ONE, json={"key": "limit", "context": context})).status_code == 200


async def test_a_person_is_told_that_a_key_is_needed(documented, shop, keys):
    async with browser_of(documented, "sy_srv_nonsense") as web:
        assert (await web.post(ONE, json={"key": "limit"})).status_code == 401
        assert (await web.post(MANY, json={})).status_code == 401


async def test_an_old_state_says_how_old_it_is(sdk, ofrep, shop):
    await sdk.post(ONE, json={"key": "limit"})
    for desk in ofrep.desks._desks.values():
        desk.held.at -= 100
        desk.look_again = 0
    got = await sdk.post(ONE, json={"key": "limit"})
    assert 99 < int(got.headers["age"]) < 110
    assert got.json()["age"] == int(got.headers["age"])


async def test_a_flag_that_is_made_now_is_served(sdk, shop, flags, rulesets, ana, here):
    await sdk.post(ONE, json={"key": "limit"})
    await flags.create(ana, here, Draft(key="now", name="Now"))
    await flags.enable(ana, Aim(flag="now", place=here))
    await rulesets.poll()
    assert (await sdk.post(ONE, json={"key": "now"})).json()["value"] is True
