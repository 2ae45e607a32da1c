"""The OFREP door: what clients promise themselves of it, and what must not get past it."""

import time

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.limits import Limiter
from chassis.identity import Identity
from flags.api.asking import MOST_BYTES
from flags.api.desks import Desks
from flags.api.ofrep import Ofrep
from flags.api.rendered import PREFIX
from flags.domain.flag import Change, Draft
from flags.usecases.flags import Aim

BODY = {"context": {"targetingKey": "user-1", "plan": "pro"}}


class NoIam:
    """iam, which must not be asked."""

    async def ResolveKey(self, request, timeout):
        raise AssertionError("iam was asked during a warm request")


def client_of(app, key=None):
    headers = {"x-api-key": key} if key else {}
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://flags.test", headers=headers)


async def changed(flags, rulesets, ana, place, key, **switch):
    await flags.update(ana, Aim(flag=key, place=place), Change(switch=switch))
    await rulesets.poll()


class TestOneFlag:
    @pytest.mark.parametrize(
        ("key", "value", "variant"),
        [
            ("shop/checkout.v2", True, "on"),
            ("limit", 3, "few"),
            ("hello", "Grüezi", "de"),
            ("theme", {"b": 1, "a": []}, "dark"),
        ],
    )
    async def test_each_type_is_answered_in_full(self, sdk, shop, key, value, variant):
        got = await sdk.post(f"{PREFIX}/{key}", json=BODY)
        assert (got.status_code, got.headers["content-type"]) == (200, "application/json")
        assert got.json() == {
            "key": key,
            "value": value,
            "variant": variant,
            "reason": "STATIC",
            "metadata": {"environment": "production", "project": "default"},
        }

    async def test_a_float_is_written_as_one(self, sdk, shop):
        assert b'"value":1.0,' in (await sdk.post(f"{PREFIX}/rate", json=BODY)).content

    async def test_a_disabled_flag_serves_its_off_variant_and_says_so(
        self, sdk, shop, flags, rulesets, ana, here
    ):
        await flags.disable(ana, Aim(flag="hello", place=here))
        await rulesets.poll()
        got = (await sdk.post(f"{PREFIX}/hello", json=BODY)).json()
        assert (got["value"], got["variant"], got["reason"]) == ("Hi", "en", "DISABLED")

    @pytest.mark.parametrize("body", [b"", b"{}", b'{"context":{}}', b'{"context":null}'])
    async def test_an_empty_context_is_fine(self, sdk, shop, body):
        assert (await sdk.post(f"{PREFIX}/limit", content=body)).status_code == 200

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"{", "PARSE_ERROR"),
            (b"[]", "PARSE_ERROR"),
            (b'{"context":NaN}', "PARSE_ERROR"),
            (b"\xff", "PARSE_ERROR"),
            (b'{"context":[]}', "INVALID_CONTEXT"),
            (b'{"context":"x"}', "INVALID_CONTEXT"),
            (b'{"context":{"targetingKey":7}}', "INVALID_CONTEXT"),
        ],
    )
    @pytest.mark.parametrize("key", ["limit", "no-such-flag"])
    async def test_a_bad_request_is_400_in_ofreps_words(self, sdk, shop, body, code, key):
        got = await sdk.post(f"{PREFIX}/{key}", content=body)
        said = got.json()
        assert (got.status_code, said["errorCode"], said["key"]) == (400, code, key)
        assert said["errorDetails"]

    @pytest.mark.parametrize(
        "key", ["no-such-flag", "shop/checkout", "limit/x", "%00", "ü", "a//b"]
    )
    async def test_an_unknown_flag_is_404_in_ofreps_words(self, sdk, shop, key):
        got = await sdk.post(f"{PREFIX}/{key}", json=BODY)
        assert (got.status_code, got.json()["errorCode"]) == (404, "FLAG_NOT_FOUND")
        assert got.json()["errorDetails"]

    async def test_a_trailing_slash_changes_nothing(self, sdk, shop):
        assert (await sdk.post(f"{PREFIX}/limit/", json=BODY)).json()["value"] == 3

    async def test_a_body_may_come_in_parts_but_not_without_end(self, sdk, shop):
        async def parts(size):
            yield b'{"context":{"x":"'
            for _ in range(size // 1000):
                yield b"a" * 1000
            yield b'"}}'

        assert (await sdk.post(f"{PREFIX}/limit", content=parts(5000))).status_code == 200
        got = await sdk.post(f"{PREFIX}/limit", content=parts(MOST_BYTES + 5000))
        assert (got.status_code, got.json()["code"]) == (413, "flags.context_too_large")

    async def test_another_method_is_405_and_a_neighbouring_path_404(self, sdk, shop):
        assert (await sdk.get(f"{PREFIX}/limit")).status_code == 405
        assert (await sdk.post(f"{PREFIX}x", json=BODY)).json()["code"] == "no_such_path"

    async def test_a_request_id_comes_back(self, sdk, shop):
        sent = {"x-request-id": "my-own-request-id"}
        got = await sdk.post(f"{PREFIX}/limit", json=BODY, headers=sent)
        assert got.headers.get_list("x-request-id") == ["my-own-request-id"]
        odd = await sdk.post(f"{PREFIX}/limit", json=BODY, headers={"x-request-id": "no id"})
        assert odd.headers["x-request-id"] != "no id"


class TestAllFlags:
    async def test_all_flags_come_at_once(self, sdk, shop):
        got = await sdk.post(PREFIX, json=BODY)
        said = got.json()["flags"]
        assert {f["key"] for f in said} == {"shop/checkout.v2", "rate", "limit", "hello", "theme"}
        for one in said:
            assert (await sdk.post(f"{PREFIX}/{one['key']}", json=BODY)).json() == one

    async def test_what_has_not_changed_is_not_sent_again(self, sdk, shop):
        tag = (await sdk.post(PREFIX, json=BODY)).headers["etag"]
        assert tag.startswith('"')
        for sent in (tag, f'"x", {tag}', f"W/{tag}"):
            again = await sdk.post(PREFIX, json=BODY, headers={"if-none-match": sent})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)

    async def test_the_etag_covers_revision_context_and_key(
        self, sdk, ofrep, documented, keys, shop, flags, rulesets, ana, here
    ):
        async def tag(client, body=BODY):
            return (await client.post(PREFIX, json=body)).headers["etag"]

        first = await tag(sdk)
        assert await tag(sdk, {"context": {"targetingKey": "user-1", "plan": "free"}}) != first
        app = ofrep.before(documented)
        async with client_of(app, keys.mint("client")) as browser:
            assert await tag(browser) != first
        async with client_of(app, keys.mint(environment="development")) as other:
            assert await tag(other) != first
        async with client_of(app, keys.mint()) as same:
            assert await tag(same) == first
        await changed(flags, rulesets, ana, here, "limit", default_variant="many")
        assert await tag(sdk) != first

    async def test_a_client_side_key_sees_only_what_is_marked(self, ofrep, documented, keys, shop):
        async with client_of(ofrep.before(documented), keys.mint("client")) as browser:
            said = (await browser.post(PREFIX, json=BODY)).json()["flags"]
            assert [f["key"] for f in said] == ["shop/checkout.v2"]
            hidden = await browser.post(f"{PREFIX}/limit", json=BODY)
            nothing = await browser.post(f"{PREFIX}/none", json=BODY)
            assert hidden.status_code == nothing.status_code == 404
            assert hidden.text.replace("limit", "none") == nothing.text

    async def test_a_tenant_without_flags_has_none(self, sdk):
        assert (await sdk.post(PREFIX, json={})).json()["flags"] == []

    async def test_a_bad_request_is_400_without_a_key(self, sdk):
        said = (await sdk.post(PREFIX, content=b"{")).json()
        assert (said["errorCode"], "key" in said) == ("PARSE_ERROR", False)


class TestWhoAsks:
    async def ask(self, app, headers):
        async with client_of(app) as client:
            return await client.post(f"{PREFIX}/limit", json=BODY, headers=headers)

    async def test_a_key_may_come_as_a_bearer_token(self, ofrep, documented, keys, shop):
        headers = {"authorization": f"Bearer {keys.mint()}"}
        assert (await self.ask(ofrep.before(documented), headers)).status_code == 200

    async def test_nobody_is_401(self, ofrep, documented, keys, shop):
        app = ofrep.before(documented)
        expired = keys.mint(expires=time.time() - 1)
        for headers in ({}, {"x-api-key": "sy_srv_nonsense"}, {"x-api-key": expired}):
            got = await self.ask(app, headers)
            said = got.json()
            assert got.status_code == 401
            assert got.headers["content-type"] == "application/problem+json"
            assert said["error"]["message"] == "Authorization failed: Unauthorized"
            assert (said["errorCode"], said["errorDetails"]) == ("GENERAL", said["detail"])
            assert got.headers["x-request-id"] == said["request_id"]

    async def test_a_key_that_may_not_evaluate_is_403(self, ofrep, documented, keys, shop):
        headers = {"x-api-key": keys.mint(scopes=frozenset({"flag:read"}))}
        got = await self.ask(ofrep.before(documented), headers)
        assert got.status_code == 403
        assert got.json()["detail"] == "Insufficient permissions: flag:evaluate required"

    async def test_a_key_and_a_token_at_once_are_refused_each_time(
        self, ofrep, documented, keys, shop
    ):
        app, key = ofrep.before(documented), keys.mint()
        assert (await self.ask(app, {"x-api-key": key})).status_code == 200
        both = {"x-api-key": key, "authorization": "Bearer a.b.c"}
        for _ in range(2):
            got = await self.ask(app, both)
            assert (got.status_code, got.json()["errorCode"]) == (400, "GENERAL")

    async def test_a_revoked_key_is_refused_at_once(self, ofrep, documented, keys, shop):
        app, key = ofrep.before(documented), keys.mint()
        assert (await self.ask(app, {"x-api-key": key})).status_code == 200
        keys.revoke(key)
        ofrep.desks.identity.iam = GoneFromIam()
        assert (await self.ask(app, {"x-api-key": key})).status_code == 401

    async def test_a_key_at_its_desk_waits_for_news_that_it_asks_for(
        self, ofrep, documented, keys, shop
    ):
        key = keys.mint()
        async with client_of(ofrep.before(documented), key) as sdk:
            assert (await sdk.post(f"{PREFIX}/rate", json={})).status_code == 200
            keys.authority.epoch = 7
            fresh = await sdk.post(f"{PREFIX}/rate", json={}, headers={"x-authz-epoch": "7"})
            assert fresh.status_code == 200
            ahead = {"x-authz-epoch": "9" * 18}
            assert (await sdk.post(f"{PREFIX}/rate", json={}, headers=ahead)).status_code == 503
            garbage = await sdk.post(f"{PREFIX}/rate", json={}, headers={"x-authz-epoch": "x"})
            assert garbage.status_code == 400

    async def test_a_key_ends_when_it_expires(self, ofrep, documented, keys, shop, monkeypatch):
        app, key = ofrep.before(documented), keys.mint(expires=time.time() + 1000)
        assert (await self.ask(app, {"x-api-key": key})).status_code == 200
        later = time.monotonic() + 2000
        monkeypatch.setattr("flags.api.ofrep.time.monotonic", lambda: later)
        ofrep.desks.identity.clock = lambda: time.time() + 2000
        assert (await self.ask(app, {"x-api-key": key})).status_code == 401

    async def test_a_key_is_not_asked_more_than_agreed(self, rulesets, keys, documented, shop):
        identity = Identity(keys.authority, None, NoIam())
        app = Ofrep(Desks(rulesets, identity, Limiter(3))).before(documented)
        headers = {"x-api-key": keys.mint()}
        got = [await self.ask(app, headers) for _ in range(5)]
        assert [g.status_code for g in got][:3] == [200] * 3
        assert got[-1].status_code == 429
        assert int(got[-1].headers["retry-after"]) >= 1
        assert got[0].headers["ratelimit"] == '"default";r=2;t=1'
        assert got[0].headers["ratelimit-policy"] == '"default";q=3;w=1'

    async def test_iam_and_database_may_be_away_once_warm(
        self, sdk, shop, work, rulesets, keys, ofrep
    ):
        assert (await sdk.post(f"{PREFIX}/limit", json=BODY)).status_code == 200
        work.away = True
        keys.authority._heard = None
        for _ in range(3):
            assert (await sdk.post(f"{PREFIX}/limit", json=BODY)).json()["value"] == 3

    async def test_a_cold_replica_without_a_database_is_503(self, sdk, work):
        work.away = True
        got = await sdk.post(f"{PREFIX}/limit", json=BODY)
        assert (got.status_code, got.json()["errorCode"]) == (503, "GENERAL")
        assert "retry-after" in got.headers


class GoneFromIam:
    """iam, which knows no key."""

    async def ResolveKey(self, request, timeout):
        import grpc
        from grpc import aio

        raise aio.AioRpcError(grpc.StatusCode.NOT_FOUND, aio.Metadata(), aio.Metadata())


@pytest.mark.parametrize("path", ["", "/limit", "/shop/checkout.v2", "/none", "/limit/"])
@pytest.mark.parametrize("body", [b'{"context":{"targetingKey":"u"}}', b"{", b""])
async def test_the_documented_routes_answer_as_the_raw_door_does(
    ofrep, documented, keys, shop, path, body
):
    key, told = keys.mint(), []
    for app in (ofrep.before(documented), documented):
        async with client_of(app, key) as client:
            sent = {"x-request-id": "the-same-id"}
            got = await client.post(f"{PREFIX}{path}", content=body, headers=sent)
            told.append((got.status_code, got.content, got.headers.get("etag")))
    assert told[0] == told[1]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    body=st.binary(max_size=60)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.dictionaries(
                st.sampled_from(["context", "targetingKey", "x"]) | st.text(max_size=3),
                inner,
                max_size=3,
            )
            | st.lists(inner, max_size=3)
        ),
        max_leaves=6,
    ).map(lambda said: orjson.dumps(said)),
    path=st.text(max_size=20),
    header=st.binary(max_size=20),
)
async def test_nothing_that_is_sent_is_a_500(ofrep, keys, body, path, header):
    key = keys.mint().encode()
    for headers in (
        {b"x-api-key": key, b"if-none-match": header, b"traceparent": header},
        {b"x-api-key": header, b"x-request-id": header},
        {b"authorization": header},
    ):
        status, _, _ = await ofrep.reply(f"{PREFIX}/{path}", headers, body)
        assert status in (200, 400, 401, 404), headers
        status, _, _ = await ofrep.reply(PREFIX, headers, body)
        assert status in (200, 304, 400, 401), headers


class TestUsage:
    async def test_every_answer_is_counted_once_alone_or_in_the_bulk(
        self, sdk, flags, usages, counting, ana, here
    ):
        half = {
            "weights": [
                {"variant": "on", "weight": 100_000},
                {"variant": "off", "weight": 0},
            ]
        }
        await flags.create(ana, here, Draft(key="static", name="S"))
        await flags.create(ana, here, Draft(key="split", name="S", rules=({"split": half},)))
        await flags.enable(ana, Aim(flag="split", place=here))
        for key in ("static", "split", "split/", "nope"):
            await sdk.post(f"{PREFIX}/{key}", json=BODY)
        bulk = await sdk.post(PREFIX, json=BODY)
        headers = {"if-none-match": bulk.headers["etag"]}
        assert (await sdk.post(PREFIX, json=BODY, headers=headers)).status_code == 304
        await counting.flush()
        told = [
            {(c.variant, c.reason): c.count for c in found.counts}
            for key in ("static", "split")
            if (found := await usages.of_flag(ana, here, key, "hour", (None, None)))
        ]
        assert told == [{("off", "DISABLED"): 2}, {("on", "SPLIT"): 3}]
