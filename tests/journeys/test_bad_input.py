"""Bad input through the gateway: the stages and documents of the API, and nothing changed."""

import asyncio
import json
import time
from uuid import uuid4

import httpx
import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey

pytestmark = pytest.mark.journey

FLAGS = "/api/v1/feature-flags"


def told(answer, status, code=None):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert said["status"] == status
    assert isinstance(said["detail"], str)
    assert said["error"]["status"] == status
    assert said["request_id"] == answer.headers["x-request-id"]
    assert code is None or said["code"] == code
    return said


@pytest.mark.parametrize(
    "body",
    [
        "{",
        "",
        "[]",
        "null",
        '{"key": 1, "name": "x"}',
        '{"key": "x"}',
        '{"key": "x", "name": "x", "tenant_id": "y"}',
        '{"key": "x", "name": "x", "owner_id": "y"}',
        '{"key": "x", "name": "x", "enabled": true}',
        '{"key": "x", "key": "y", "name": "x"}',
        '{"key": "x", "name": NaN}',
        '{"key": "x\\u0000", "name": "x"}',
        '{"key": "has space", "name": "x"}',
        '{"key": "x", "name": "\\ud800"}',
        '{"key": "x", "name": "x", "variants": ' + "[" * 10_000 + "]" * 10_000 + "}",
        '{"key": "' + "k" * 1000 + '", "name": "x"}',
    ],
)
async def test_what_cannot_be_accepted_is_422_and_changes_nothing(org, body):
    answer = await org.web.post(FLAGS, content=body, headers={"content-type": "application/json"})
    told(answer, 422)
    assert (await org.web.get(FLAGS)).json()["items"] == []


@pytest.mark.parametrize(
    "path",
    [f"{FLAGS}/1'%20OR%20'1'='1", f"{FLAGS}/x;DROP%20TABLE%20flag", "/api/v1/vms/1%20OR%201=1"],
)
async def test_sql_in_an_id_is_422(org, path):
    told(await org.web.get(path), 422)


@pytest.mark.parametrize(
    "path", [FLAGS, "/api/v1/vms", "/api/v1/experiments", "/api/v1/audit-logs"]
)
@pytest.mark.parametrize(
    "query", ["page=0", "limit=101", "limit=x", "cursor=abc", "page=1&cursor=abc"]
)
async def test_a_page_that_cannot_be_is_refused(org, path, query):
    answer = await org.web.get(f"{path}?{query}")
    told(answer, 400 if "cursor" in query else 422)


class TestTokens:
    """Tokens that are not ours, in every form, on a path that exists and one whose id does not."""

    def forged(self, org):
        header, claims, signature = org.token.split(".")
        said = json.loads(_b64decode(claims))
        mine = ECKey.generate_key("P-256")
        kid = json.loads(_b64decode(header))["kid"]
        head = {"alg": "ES256", "typ": "at+jwt", "kid": kid}
        none = _b64(json.dumps({"alg": "none", "typ": "at+jwt"}).encode())
        yield f"{none}.{claims}."
        yield f"{header}.{claims}."
        yield f"{header}.{_b64(json.dumps(said | {'sub': str(uuid4())}).encode())}.{signature}"
        yield jwt.encode(head, said, mine)
        yield jwt.encode({**head, "kid": "other"}, said, mine)
        yield jwt.encode({**head, "alg": "HS256"}, said, OctKey.generate_key(256))
        registry = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
        own = {**head, "jwk": mine.as_dict(private=False)}
        yield jws.serialize_compact(own, json.dumps(said), mine, registry=registry)
        yield org.token + "A"
        yield "a.b.c"
        yield "x" * 9000

    async def test_a_forged_token_is_401(self, org, url):
        for token in self.forged(org):
            async with httpx.AsyncClient(base_url=url) as web:
                for path in (FLAGS, f"{FLAGS}/{uuid4()}", f"{FLAGS}/bad'id"):
                    answer = await web.get(path, headers={"authorization": f"Bearer {token}"})
                    said = told(answer, 401)
                    assert said["error"]["message"] == "Authorization failed: Unauthorized"
                    assert said["error"]["type"] == "authorization_error"

    async def test_a_token_in_the_query_is_no_token(self, org, url):
        async with httpx.AsyncClient(base_url=url) as web:
            told(await web.get(f"{FLAGS}?access_token={org.token}"), 401)

    async def test_spoofed_identity_headers_are_worth_nothing(self, org, url):
        spoofed = {
            "x-user-id": "root",
            "x-tenant-id": org.id,
            "x-key-id": "k",
            "x-scope": "flag:evaluate",
            "x-roles": "super_admin",
            "x-jwt-payload": "e30",
            "x-auth-user": "root",
            "x-forwarded-user": "root",
            "x-envoy-original-path": "/healthz",
        }
        async with httpx.AsyncClient(base_url=url, headers=spoofed) as web:
            told(await web.get(FLAGS), 401)
            told(await web.post("/ofrep/v1/evaluate/flags", json={}), 401)

    async def test_spoofed_headers_beside_a_real_token_change_nothing(self, org, other):
        await org.flag("mine")
        answer = await org.web.get(
            FLAGS, headers={"x-tenant-id": other.id, "x-roles": "super_admin"}
        )
        assert [f["key"] for f in answer.json()["items"]] == ["mine"]

    async def test_an_ended_session_is_over_within_a_second(self, org, eventually):
        assert (await org.web.get(FLAGS)).status_code == 200
        await org.web.post("/api/v1/auth/logout", json={"refresh_token": org.refresh_token})
        begun = time.monotonic()

        async def over():
            return (await org.web.get(FLAGS)).status_code == 401

        await eventually(over, 3)
        assert time.monotonic() - begun < 1.5

    async def test_a_revoked_key_is_over_within_two_seconds(self, org, url, eventually):
        key = await org.key()
        async with httpx.AsyncClient(base_url=url, headers={"x-api-key": key}) as sdk:

            async def works():
                return (await sdk.post("/ofrep/v1/evaluate/flags", json={})).status_code == 200

            await eventually(works)
            [made] = (await org.web.get("/api/v1/api-keys")).json()["items"]
            gone = await org.web.delete(f"/api/v1/api-keys/{made['id']}")
            assert gone.status_code == 204
            begun = time.monotonic()

            async def over():
                return (await sdk.post("/ofrep/v1/evaluate/flags", json={})).status_code == 401

            await eventually(over, 5)
            assert time.monotonic() - begun < 2


class TestStages:
    async def test_without_the_permission_an_unknown_id_is_403(self, org):
        viewer = await org.person("viewer")
        said = told(await viewer.post(f"{FLAGS}/{uuid4()}/toggle", json={}), 403)
        assert said["detail"] == "Insufficient permissions: flag:toggle required"
        told(await viewer.post(f"{FLAGS}/{uuid4()}/toggle", content="{"), 403)

    async def test_what_belongs_to_another_tenant_looks_like_nothing_at_all(self, org, other):
        flag = await other.flag()
        theirs = told(await org.web.get(f"{FLAGS}/{flag['id']}"), 404)
        nobodys = told(await org.web.get(f"{FLAGS}/{uuid4()}"), 404)
        same = {"type", "title", "status", "code", "errors"}
        assert {k: theirs[k] for k in same} == {k: nobodys[k] for k in same}
        told(await org.web.post(f"{FLAGS}/{flag['id']}/toggle", json={}), 404)
        told(await org.web.delete(f"{FLAGS}/{flag['id']}"), 404)
        assert (await other.web.get(f"{FLAGS}/{flag['id']}")).json()["status"] == "disabled"

    async def test_a_stale_version_is_412_and_changes_nothing(self, org):
        flag = await org.flag()
        path = f"{FLAGS}/{flag['id']}"
        etag = (await org.web.get(path)).headers["etag"]
        first = await org.web.patch(path, json={"name": "one"}, headers={"if-match": etag})
        assert first.status_code == 200
        told(await org.web.patch(path, json={"name": "two"}, headers={"if-match": etag}), 412)
        assert (await org.web.get(path)).json()["name"] == "one"
        unchanged = await org.web.get(path, headers={"if-none-match": first.headers["etag"]})
        assert unchanged.status_code == 304

    async def test_a_repeated_key_has_one_effect_and_the_same_answer(self, org):
        headers = {"idempotency-key": uuid4().hex}
        body = {"key": "once", "name": "Once"}
        first = await org.web.post(FLAGS, json=body, headers=headers)
        again = await org.web.post(FLAGS, json=body, headers=headers)
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.json() == again.json()
        assert again.headers["idempotent-replayed"] == "true"
        told(await org.web.post(FLAGS, json={"key": "x", "name": "X"}, headers=headers), 422)
        told(await org.web.post(FLAGS, json=body), 409)

    async def test_a_key_used_fifty_times_at_once_has_one_effect(self, org, eventually):
        flag = await org.flag()
        headers = {"idempotency-key": uuid4().hex}
        path = f"{FLAGS}/{flag['id']}/toggle"
        answers = await asyncio.gather(
            *(org.web.post(path, json={"reason": "once"}, headers=headers) for _ in range(50))
        )
        assert {a.status_code for a in answers} <= {200, 409}
        assert (await org.web.get(f"{FLAGS}/{flag['id']}")).json()["status"] == "enabled"

    async def test_a_secret_that_is_answered_again_is_the_same_secret(self, org):
        headers = {"idempotency-key": uuid4().hex}
        first = await org.web.post("/api/v1/api-keys", json={"name": "k"}, headers=headers)
        again = await org.web.post("/api/v1/api-keys", json={"name": "k"}, headers=headers)
        assert first.json()["key"] == again.json()["key"]
        assert len((await org.web.get("/api/v1/api-keys")).json()["items"]) == 1

    async def test_an_unknown_path_is_404_and_a_wrong_method_405(self, org):
        told(await org.web.get("/api/v1/no-such-thing"), 404)
        told(await org.web.put(FLAGS, json={}), 405)

    async def test_a_trailing_slash_makes_no_difference(self, org):
        assert (await org.web.get(f"{FLAGS}/")).status_code == 200
        assert (await org.web.get("/api/v1/users/me/")).status_code == 200

    async def test_a_request_id_comes_back_and_a_bad_one_is_replaced(self, org):
        good = await org.web.get(FLAGS, headers={"x-request-id": "abc-123-def"})
        assert good.headers["x-request-id"] == "abc-123-def"
        bad = await org.web.get(FLAGS, headers={"x-request-id": "no"})
        assert len(bad.headers["x-request-id"]) >= 8


def _b64(value):
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _b64decode(text):
    from base64 import urlsafe_b64decode

    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


async def test_a_typo_in_the_query_toggles_nothing(org):
    await org.flag("typo")
    path = "/api/v1/feature-flags/typo"
    refused = await org.web.post(f"{path}/toggle?enviroment=development", json={})
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_query")
    assert "environment" in refused.json()["detail"]
    assert (await org.web.get(path)).json()["status"] == "disabled"
