"""No log of any process has a secret that went through: not the gate's access log, not a service's, not a store's."""

import json
import os
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.newcomer import PASSWORD, registration
from tests.waiting import until

pytestmark = pytest.mark.journey


@pytest.fixture(scope="session")
def logs():
    if not (state := os.environ.get("SWITCHYARD_STATE")):
        pytest.skip("SWITCHYARD_STATE is not set: `make test` starts a platform and sets it")
    return Path(json.loads(Path(state).read_text())["paths"]["log"])


def holding(logs, text):
    """Return the names of the log files that have the text."""
    return [f.name for f in sorted(logs.iterdir()) if text.encode() in f.read_bytes()]


async def ok(asked):
    answer = await asked
    assert answer.status_code < 300, answer.text
    return answer.json()


def unique(word):
    return f"{word}-{uuid4().hex}"


async def people(org, nobody):
    """What lets people in: passwords, tokens, invitations; right ones, wrong ones, and in the wrong place."""
    body = {**registration(), "admin_password": unique("Pass")}
    login = await ok(nobody.post("/api/v1/organizations/register", json=body))
    wrong, strange = unique("Wrong"), unique("Strange")
    asked = {"username": body["admin_email"], "password": wrong}
    assert (await nobody.post("/api/v1/auth/login", json=asked)).status_code == 401
    await nobody.post("/api/v1/auth/login", content=f'{{"password": "{strange}"')
    await nobody.post("/api/v1/auth/login", json={"username": [strange], "password": {strange: 1}})
    again = await ok(
        nobody.post("/api/v1/auth/refresh", json={"refresh_token": login["refresh_token"]})
    )
    sent = {"email": f"new@{org.slug}.example", "role_id": "user"}
    invited = (await ok(org.web.post("/api/v1/invitations", json=sent)))["token"]
    await nobody.get("/api/v1/invitations/verify", params={"token": invited})
    accepted = {"token": invited, "password": unique("Chosen"), "first_name": "N"}
    await ok(nobody.post("/api/v1/invitations/accept", json=accepted))
    return {
        "a password": body["admin_password"],
        "a wrong password": wrong,
        "a password in what is no JSON": strange,
        "an access token": login["access_token"],
        "a renewed access token": again["access_token"],
        "a refresh token": login["refresh_token"],
        "a renewed refresh token": again["refresh_token"],
        "an invitation": invited,
        "a chosen password": accepted["password"],
        "the usual password": PASSWORD,
    }


async def things(org, nobody):
    """What things are opened with: API keys in each place, a stream's secret, a report's link, user data."""
    key = await org.key()
    flag = await org.flag()
    path = f"/ofrep/v1/evaluate/flags/{flag['key']}"
    for headers in ({"x-api-key": key}, {"authorization": key}, {"authorization": f"Bearer {key}"}):
        await nobody.post(path, json={"context": {"targetingKey": "u"}}, headers=headers)
    await nobody.get("/api/v1/feature-flags", params={"api_key": key, "access_token": org.token})
    receiver = {"url": "https://siem.example/hook"}
    stream = await ok(org.web.post("/api/v1/audit/streams", json=receiver))
    data, link = unique("userdata"), unique("link")
    await nobody.get(f"/api/v1/shared-reports/{link}")
    machine = {"name": unique("vm"), "template": "none", "user_data": data, "size": "tiny"}
    await org.web.post("/api/v1/vms", json=machine)
    return {
        "an API key": key,
        "the caller's token, in a query too": org.token,
        "the secret of a stream": stream["secret"],
        "a link to a report": link,
        "user data": data,
    }


async def test_no_log_has_a_secret_that_went_through(org, url, logs):
    async with httpx.AsyncClient(base_url=url, timeout=20) as nobody:
        planted = await people(org, nobody) | await things(org, nobody)
        last = unique("last")
        await nobody.get("/api/v1/invitations/verify", headers={"x-request-id": last})
        # Envoy writes its log when it has enough to write, or after ten seconds: then all before is there too.
        await until(lambda: "gateway.log" in holding(logs, last), 60, "the access log is written")
    assert "shared-reports" in (logs / "gateway.log").read_text()
    assert {what: found for what, text in planted.items() if (found := holding(logs, text))} == {}
