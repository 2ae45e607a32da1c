"""The REST doors, in process: every status, in the promised order."""

from dataclasses import replace
from uuid import uuid4

import httpx
import pytest

from chassis.http import Wiring, rest_app
from flags.api.rest import routers
from tests.openapi import wrong

URL = "/api/v1/feature-flags"


@pytest.fixture
def app(identity, flags, projects, segments, revisions, explaining):
    uses = {type(use): use for use in (flags, projects, segments, revisions, explaining)}
    return rest_app("flags", routers, Wiring(identity=identity, uses=uses))


@pytest.fixture
async def web(app):
    transport = httpx.ASGITransport(app)
    headers = {"authorization": "Bearer ana"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://flags.test", headers=headers
    ) as client:
        yield client


@pytest.fixture
async def flag(web):
    return (await web.post(URL, json={"key": "dark-mode", "name": "Dark mode"})).json()


async def test_the_smallest_body_makes_a_flag(web, ana):
    made = await web.post(URL, json={"key": "dark-mode", "name": "Dark mode"})
    said = made.json()
    assert made.status_code == 201
    assert made.headers["location"] == f"{URL}/{said['id']}"
    assert made.headers["etag"] == '"1"'
    assert said | {"id": "", "created_at": "", "updated_at": ""} == {
        "id": "",
        "key": "dark-mode",
        "name": "Dark mode",
        "description": "",
        "type": "boolean",
        "status": "disabled",
        "variants": {"on": True, "off": False},
        "default_variant": "on",
        "off_variant": "off",
        "owner_id": ana.subject,
        "tags": [],
        "lifecycle": "active",
        "client_side": False,
        "json_schema": None,
        "targeted": False,
        "prerequisites": [],
        "targets": [],
        "rules": [],
        "warnings": [],
        "project": "default",
        "environment": "production",
        "environments": {
            name: {
                "status": "disabled",
                "default_variant": "on",
                "off_variant": "off",
                "version": 1,
            }
            for name in ("production", "development")
        },
        "version": 1,
        "created_at": "",
        "updated_at": "",
    }


@pytest.mark.parametrize("name", ["id", "key"])
async def test_a_flag_is_read_by_id_or_key_and_not_sent_twice(web, flag, name):
    read = await web.get(f"{URL}/{flag[name]}/")
    assert (read.status_code, read.json(), read.headers["etag"]) == (200, flag, '"1"')
    again = await web.get(f"{URL}/{flag[name]}", headers={"if-none-match": '"1"'})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", '"1"')


async def test_what_an_environment_brings_is_sent_and_the_tag_still_demands_a_version(web, flag):
    path, tags = f"{URL}/dark-mode", ['"1"']
    for change in ("post", "delete", "post"):
        if change == "post":
            await web.post("/api/v1/environments", json={"key": "qa", "name": "QA"})
        else:
            assert (await web.delete("/api/v1/environments/qa")).status_code == 204
        got = await web.get(path, headers={"if-none-match": tags[-1]})
        assert (got.status_code, "qa" in got.json()["environments"]) == (200, change == "post")
        tags.append(got.headers["etag"])
        again = await web.get(path, headers={"if-none-match": f'"x", W/{tags[-1]}'})
        assert (again.status_code, again.headers["etag"]) == (304, tags[-1])
    assert tags[2] == '"1"'
    switched = await web.post(f"{path}/enable", headers={"if-match": tags[-1]})
    assert (switched.status_code, switched.json()["version"]) == (200, 2)
    stale = await web.post(f"{path}/disable", headers={"if-match": tags[-1]})
    assert (stale.status_code, stale.json()["code"]) == (412, "flags.stale")
    assert switched.headers["etag"] == (await web.get(path)).headers["etag"] != tags[-1]


async def test_a_key_may_contain_slashes_and_is_then_reached_by_id(web):
    made = (await web.post(URL, json={"key": "shop/checkout/v2", "name": "x"})).json()
    assert (await web.get(f"{URL}/{made['id']}")).json()["key"] == "shop/checkout/v2"
    assert (await web.get(f"{URL}/shop/checkout/v2")).status_code == 404


async def test_toggle_enable_and_disable(web, flag):
    path = f"{URL}/{flag['id']}"
    toggled = await web.post(f"{path}/toggle", json={"reason": "incident 7"})
    assert (toggled.json()["status"], toggled.headers["etag"]) == ("enabled", '"2"')
    assert (await web.post(f"{path}/enable")).headers["etag"] == '"2"'
    assert (await web.post(f"{path}/disable", json={})).json()["status"] == "disabled"
    there = await web.post(f"{path}/enable", params={"environment": "development"})
    assert (there.json()["status"], there.json()["environment"]) == ("enabled", "development")
    assert (await web.get(path)).json()["status"] == "disabled"


async def test_what_is_sent_changes_and_what_is_absent_stays(web, flag, work):
    body = {"name": "Night", "tags": ["ui", "ui"], "client_side": True, "off_variant": "on"}
    changed = (await web.patch(f"{URL}/dark-mode", json=body)).json()
    assert (changed["name"], changed["tags"], changed["client_side"]) == ("Night", ["ui"], True)
    assert (changed["description"], changed["off_variant"], changed["version"]) == ("", "on", 2)
    assert changed["environments"]["development"]["off_variant"] == "off"
    same = await web.patch(f"{URL}/dark-mode", json={})
    assert (same.json(), len(work.facts)) == (changed, 2)
    archived = await web.patch(f"{URL}/dark-mode", json={"lifecycle": "archived"})
    assert archived.json()["lifecycle"] == "archived"
    refused = await web.post(f"{URL}/dark-mode/toggle")
    assert (refused.status_code, refused.json()["code"]) == (409, "flags.archived")


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/toggle"),
        ("POST", "/enable"),
        ("POST", "/disable"),
    ],
)
async def test_a_change_for_another_version_is_412(web, flag, method, rest):
    body = {} if method == "DELETE" else {"json": {}}
    path = f"{URL}/{flag['id']}{rest}"
    stale = await web.request(method, path, headers={"if-match": '"7"'}, **body)
    assert (stale.status_code, stale.json()["code"]) == (412, "flags.stale")
    right = await web.request(method, path, headers={"if-match": '"1"'}, **body)
    assert right.status_code in (200, 204)


async def test_a_deleted_flag_is_gone(web, flag):
    assert (await web.delete(f"{URL}/{flag['id']}")).status_code == 204
    assert (await web.get(f"{URL}/{flag['id']}")).status_code == 404


async def test_lists_are_numbered_pages_or_cursors(web):
    for n in range(5):
        await web.post(URL, json={"key": f"f{n}", "name": f"F {n}"})
    first = (await web.get(URL, params={"limit": 2, "sort": "key"})).json()
    assert ([f["key"] for f in first["items"]], first["total"], first["page"], first["limit"]) == (
        ["f0", "f1"],
        5,
        1,
        2,
    )
    third = (await web.get(URL, params={"limit": 2, "sort": "key", "page": 3})).json()
    assert [f["key"] for f in third["items"]] == ["f4"]
    assert "next_cursor" not in third
    cursor = {"limit": 2, "sort": "key", "cursor": first["next_cursor"]}
    second = (await web.get(URL, params=cursor)).json()
    assert ([f["key"] for f in second["items"]], second["has_more"]) == (["f2", "f3"], True)
    assert (await web.get(URL, params={"search": "F 3"})).json()["total"] == 1
    elsewhere = await web.get(URL, params=cursor | {"sort": "name"})
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (400, "bad_cursor")
    both = await web.get(URL, params=cursor | {"page": 1})
    assert (both.status_code, both.json()["code"]) == (400, "page_and_cursor")


async def test_status_is_that_of_the_chosen_environment(web, flag):
    await web.post(f"{URL}/dark-mode/enable", params={"environment": "development"})

    async def total(**params):
        return (await web.get(URL, params=params)).json()["total"]

    assert await total(status="enabled") == 0
    assert await total(status="enabled", environment="development") == 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/key"),
        ({"key": "a b", "name": "x"}, "/key"),
        ({"key": "a/../b", "name": "x"}, "/key"),
        ({"key": "/a", "name": "x"}, "/key"),
        ({"key": "a//b", "name": "x"}, "/key"),
        ({"key": "k" * 101, "name": "x"}, "/key"),
        ({"key": "k", "name": " "}, "/name"),
        ({"key": "k", "name": 1}, "/name"),
        ({"key": "k", "name": "x", "client_side": 1}, "/client_side"),
        ({"key": "k", "name": "x", "type": "colour"}, "/type"),
        ({"key": "k", "name": "x", "owner_id": "me"}, "/owner_id"),
        ({"key": "k", "name": "x", "tenant_id": "mine"}, "/tenant_id"),
        ({"key": "k", "name": "x", "lifecycle": "archived"}, "/lifecycle"),
        ({"key": "k", "name": "x", "variants": {"a": 1}}, "/variants/a"),
        ({"key": "k", "name": "x", "variants": {}}, "/variants"),
        ({"key": "k", "name": "x", "off_variant": "gone"}, "/off_variant"),
        ({"key": str(uuid4()), "name": "x"}, "/key"),
    ],
)
async def test_a_bad_body_is_422_and_says_where(web, body, pointer):
    refused = await web.post(URL, json=body)
    assert refused.status_code == 422
    assert pointer in [e["pointer"] for e in refused.json()["errors"]]


@pytest.mark.parametrize("name", ["name", "tags", "variants", "lifecycle", "client_side"])
async def test_a_field_cannot_be_set_to_nothing(web, flag, name):
    assert (await web.patch(f"{URL}/dark-mode", json={name: None})).status_code == 422


async def test_the_order_is_401_403_422_404_409(web, identity, ana, flag):
    nobody = {"authorization": "Bearer nobody"}
    identity.people["weak"] = replace(ana, permissions=frozenset({"flag:read"}))
    weak = {"authorization": "Bearer weak"}
    bad, unknown = f"{URL}/1' OR '1'='1/toggle", f"{URL}/{uuid4()}/toggle"
    for path in (bad, unknown, f"{URL}/dark-mode/toggle"):
        assert (await web.post(path, headers=nobody)).status_code == 401
        refused = await web.post(path, headers=weak)
        assert refused.status_code == 403
        assert refused.json()["detail"] == "Insufficient permissions: flag:toggle required"
    assert (await web.post(bad)).status_code == 422
    assert (await web.post(unknown)).status_code == 404
    taken = await web.post(URL, json={"key": "dark-mode", "name": "x"})
    assert (taken.status_code, taken.json()["code"]) == (409, "flags.key_taken")


async def test_another_tenants_flag_looks_like_none(web, identity, ana, flag):
    identity.people["bob"] = replace(ana, tenant=uuid4())
    bob = {"authorization": "Bearer bob", "x-request-id": "the-same-id"}
    theirs = await web.get(f"{URL}/{flag['id']}", headers=bob)
    await web.delete(f"{URL}/{flag['id']}")
    gone = await web.get(f"{URL}/{flag['id']}", headers={"x-request-id": "the-same-id"})
    assert (
        (theirs.status_code, theirs.content)
        == (gone.status_code, gone.content)
        == (404, gone.content)
    )


async def test_an_unknown_place_is_404_and_a_foreign_one_403(web, identity, ana):
    for params in ({"environment": "staging"}, {"project": "shop"}):
        assert (await web.get(URL, params=params)).status_code == 404
    identity.people["key"] = replace(ana, environment="development")
    bound = {"authorization": "Bearer key"}
    there = await web.get(URL, params={"environment": "production"}, headers=bound)
    assert (there.status_code, there.json()["code"]) == (403, "flags.other_place")


@pytest.mark.parametrize(
    "params", [{"search": "\x00"}, {"sort": "owner"}, {"status": "on"}, {"page": 0}, {"limit": 101}]
)
async def test_a_bad_question_is_422(web, params):
    assert (await web.get(URL, params=params)).status_code == 422


async def test_projects_and_environments(web):
    made = await web.post("/api/v1/projects", json={"key": "shop", "name": "Shop"})
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    listed = (await web.get("/api/v1/projects")).json()
    assert [p["key"] for p in listed["items"]] == ["default", "shop"]
    found = (await web.get("/api/v1/environments", params={"project": "shop"})).json()
    assert [e["key"] for e in found["items"]] == ["production", "development"]
    again = await web.post("/api/v1/projects", json={"key": "shop", "name": "Shop"})
    assert (again.status_code, again.json()["code"]) == (409, "flags.project_key_taken")


def test_the_document_is_openapi_and_describes_each_door(app):
    document = app.openapi()
    assert wrong(document) == []
    single = document["paths"]["/ofrep/v1/evaluate/flags/{key}"]["post"]
    assert single["x-path-greedy"] == "key"
    assert single["security"] == [{"apiKey": []}]
    assert "application/json" in single["responses"]["404"]["content"]
    assert "/api/v1/feature-flags/{flag}/toggle" in document["paths"]


def test_the_document_can_be_made_without_a_running_service():
    assert rest_app("flags", routers).openapi()["openapi"] == "3.1.0"
