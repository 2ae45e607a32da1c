"""Change requests in REST."""

from dataclasses import replace

import httpx
import pytest

from chassis.http import Wiring, rest_app
from flags.api.rest import routers

URL = "/api/v1/change-requests"
FLAGS = "/api/v1/feature-flags"
BODY = {"flag": "f", "title": "Launch", "change": {"status": "enabled", "name": "New"}}
RAMP = {"variant": "off", "stages": [{"weight": 1000, "hold_seconds": 60}, {"weight": 100_000}]}


@pytest.fixture
async def web(identity, ana, flags, projects, requests):
    identity.people["bob"] = replace(ana, subject="bob", name="bob")
    uses = {type(use): use for use in (flags, projects, requests)}
    app = rest_app("flags", routers, Wiring(identity=identity, uses=uses))
    headers = {"authorization": "Bearer ana"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://flags.test", headers=headers
    ) as client:
        assert (await client.post(FLAGS, json={"key": "f", "name": "F"})).status_code == 201
        limits = await client.patch("/api/v1/environments/production", json={"approvals": 1})
        assert limits.status_code == 200
        yield client


BOB = {"authorization": "Bearer bob"}


async def test_a_request_goes_from_proposal_to_what_was_proposed(web):
    made = await web.post(URL, json=BODY)
    assert made.status_code == 201, made.text
    path, told = made.headers["location"], made.json()
    assert (told["status"], told["required"], told["kind"]) == ("open", 1, "change")
    early = await web.post(f"{path}/apply")
    assert (early.status_code, early.json()["code"]) == (409, "flags.approvals_missing")
    own = await web.post(f"{path}/approve", json={"version": 1})
    assert (own.status_code, own.json()["code"]) == (403, "flags.own_change_request")
    unread = await web.post(f"{path}/approve", json={}, headers=BOB)
    assert unread.status_code == 422
    approved = await web.post(f"{path}/approve", json={"version": 1, "comment": "ok"}, headers=BOB)
    assert [a["comment"] for a in approved.json()["approvals"]] == ["ok"]
    stale = await web.post(f"{path}/apply", headers={"if-match": '"1"'})
    assert stale.status_code == 412
    applied = await web.post(f"{path}/apply")
    assert (applied.json()["status"], applied.json()["made"]) == ("applied", "version 2")
    flag = (await web.get(f"{FLAGS}/f")).json()
    assert (flag["status"], flag["name"]) == ("enabled", "New")
    again = await web.get(path, headers={"if-none-match": applied.headers["etag"]})
    assert again.status_code == 304
    listed = (await web.get(URL, params={"status": "applied"})).json()
    assert (listed["total"], listed["items"][0]["title"]) == (1, "Launch")


async def test_an_edit_is_of_the_author_and_voids(web):
    path = (await web.post(URL, json=BODY)).headers["location"]
    await web.post(f"{path}/approve", json={"version": 1}, headers=BOB)
    edit = {"rollout": RAMP, "title": "Slowly"}
    assert (await web.patch(path, json=edit, headers=BOB)).status_code == 403
    edited = (await web.patch(path, json=edit)).json()
    assert (edited["kind"], edited["approvals"], edited["change"]) == ("rollout", [], None)
    assert edited["rollout"]["otherwise"] == "on"
    unseen = await web.post(f"{path}/approve", json={"version": 1}, headers=BOB)
    assert (unseen.status_code, unseen.json()["code"]) == (412, "flags.change_request_stale")
    rejected = await web.post(f"{path}/reject", json={"comment": "no"}, headers=BOB)
    assert (rejected.json()["status"], rejected.json()["comment"]) == ("rejected", "no")
    assert (await web.post(f"{path}/cancel")).json()["status"] == "cancelled"
    assert (await web.post(f"{path}/cancel")).status_code == 409


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"flag": "nope"}, 404),
        ({"change": {}}, 422),
        ({"change": None}, 422),
        ({"rollout": RAMP}, 422),
        ({"title": ""}, 422),
        ({"at": "2020-01-01T00:00:00Z"}, 422),
        ({"change": {"tenant_id": "x"}}, 422),
    ],
)
async def test_what_cannot_be_proposed_is_refused(web, change, status):
    assert (await web.post(URL, json={**BODY, **change})).status_code == status
    assert (await web.get(URL)).json()["items"] == []


async def test_one_that_is_not_there_is_404_and_no_id_is_422(web):
    missing = f"{URL}/00000000-0000-7000-8000-000000000000"
    assert (await web.get(missing)).status_code == 404
    assert (await web.post(f"{missing}/apply")).status_code == 404
    assert (await web.get(f"{URL}/x'--")).status_code == 422
