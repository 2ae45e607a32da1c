"""Keys, sessions and passwords through the real gateway: in force at once, over at once."""

import asyncio
import time

import httpx
import pytest

from authz.apikeys import mint

PASSWORD = "correct horse battery staple"
EVALUATE = "/ofrep/v1/evaluate/flags"
EVERYWHERE = ("/api/v1/users/me", "/api/v1/feature-flags", "/api/v1/experiments", "/api/v1/vms")


def nobody(url):
    return httpx.AsyncClient(base_url=url, timeout=10)


@pytest.mark.journey
async def test_a_key_opens_in_the_moment_in_which_it_was_made(org, url):
    """A hundred keys, each used before the gateway can have heard of it; then each after it was rotated."""
    refused = []
    async with nobody(url) as web:

        async def use(key, what):
            answer = await web.post(EVALUATE, headers={"x-api-key": key}, json={"context": {}})
            if answer.status_code != 200:
                refused.append((what, answer.status_code, answer.text))

        for _ in range(100):
            made = (await org.web.post("/api/v1/api-keys", json={"name": "young"})).json()
            await use(made["key"], "made")
        for _ in range(20):
            path = f"/api/v1/api-keys/{made['id']}/rotate"
            await use((await org.web.post(path)).json()["key"], "rotated")
        management = {"name": "young", "kind": "management"}
        for _ in range(20):
            key = await org.key(**management)
            answer = await web.get("/api/v1/feature-flags", headers={"x-api-key": key})
            if answer.status_code != 200:
                refused.append(("management", answer.status_code, answer.text))
    assert refused == []


@pytest.mark.journey
async def test_a_key_that_was_never_made_or_is_no_more_opens_nothing(org, url, eventually):
    made = (await org.web.post("/api/v1/api-keys", json={"name": "short"})).json()
    headers = {"x-api-key": made["key"]}
    async with nobody(url) as web:
        assert (await web.post(EVALUATE, headers=headers, json={})).status_code == 200
        assert (await org.web.delete(f"/api/v1/api-keys/{made['id']}")).status_code == 204

        async def refused():
            return (await web.post(EVALUATE, headers=headers, json={})).status_code == 401

        await eventually(refused, 2.0)
        invented = await web.post(EVALUATE, headers={"x-api-key": mint("server")[1]}, json={})
        assert invented.status_code == 401
        assert invented.headers["content-type"] == "application/problem+json"


@pytest.mark.journey
async def test_it_is_seen_when_a_key_was_used_last(org, url, eventually):
    made = (await org.web.post("/api/v1/api-keys", json={"name": "seen"})).json()
    assert made["last_used_at"] is None
    async with nobody(url) as web:
        await web.post(EVALUATE, headers={"x-api-key": made["key"]}, json={})

    async def seen():
        (key,) = (await org.web.get("/api/v1/api-keys")).json()["items"]
        return key["last_used_at"]

    assert await eventually(seen, 30.0) > made["created_at"]


@pytest.mark.journey
async def test_a_session_that_another_ended_is_over_everywhere_within_a_second(org, eventually):
    ann = await org.person("developer")
    me = (await ann.get("/api/v1/users/me")).json()
    (session,) = (await org.web.get(f"/api/v1/sessions?user_id={me['id']}")).json()["items"]
    assert (session["current"], session["device"]) == (False, "Python")
    assert [(await ann.get(path)).status_code for path in EVERYWHERE] == [200] * len(EVERYWHERE)
    assert (await org.web.delete(f"/api/v1/sessions/{session['id']}")).status_code == 204
    begun = time.monotonic()
    for path in EVERYWHERE:

        async def over(path=path):
            return (await ann.get(path)).status_code == 401

        await eventually(over, 5.0)
    assert time.monotonic() - begun < 1.0


@pytest.mark.journey
async def test_a_lost_password_is_replaced_by_a_token_and_all_else_is_over(org, url, eventually):
    ann = await org.person("developer")
    me = (await ann.get("/api/v1/users/me")).json()
    made = await org.web.post(f"/api/v1/users/{me['id']}/password-reset")
    assert made.status_code == 201, made.text
    new = "an entirely different sentence"
    async with nobody(url) as web:
        body = {"token": made.json()["token"], "password": new}
        answers = [await web.post("/api/v1/auth/password-reset", json=body) for _ in range(2)]
        assert [a.status_code for a in answers] == [204, 400]

        async def over():
            return (await ann.get("/api/v1/users/me")).status_code == 401

        await eventually(over, 1.0)
        login = {"email": me["email"], "tenant_subdomain": org.slug}
        for password, status in ((PASSWORD, 401), (new, 200)):
            said = await web.post("/api/v1/auth/login", json={**login, "password": password})
            assert said.status_code == status

    async def told():
        listed = await org.web.get("/api/v1/audit-logs", params={"limit": 100})
        actions = {entry["action_type"] for entry in listed.json()["items"]}
        return len([a for a in actions if "password_reset" in a]) >= 2

    await eventually(told)


@pytest.mark.journey
async def test_parallel_refreshes_through_the_gateway_are_one_family(org, url):
    async with nobody(url) as web:
        body = {"refresh_token": org.refresh_token}
        asked = (web.post("/api/v1/auth/refresh", json=body) for _ in range(100))
        answers = await asyncio.gather(*asked)
    assert [a.status_code for a in answers] == [200] * 100
    assert len({a.json()["refresh_token"] for a in answers}) == 1
