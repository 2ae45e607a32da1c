"""The REST doors of agents, in process."""

from uuid import uuid4

import pytest

PATH = "/api/v1/agents"
SMALL = {"agent_type": "writer", "name": "Writer", "description": "writes"}
CARD = {
    "name": "Writer",
    "description": "Writes what it is told to",
    "version": "1.0.0",
    "supportedInterfaces": [
        {
            "url": "https://writer.example/a2a",
            "protocolBinding": "JSONRPC",
            "protocolVersion": "1.0",
        }
    ],
    "capabilities": {"streaming": True},
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["text/markdown"],
    "skills": [{"id": "write", "name": "Write", "description": "Writes", "tags": ["text"]}],
    "securitySchemes": {"key": {"apiKeySecurityScheme": {"location": "header", "name": "X-Key"}}},
    "securityRequirements": [{"schemes": {"key": {"list": []}}}],
    "signatures": [{"protected": "eyJhbGciOiJFUzI1NiJ9", "signature": "c2ln"}],
}
FIELDS = {
    "id", "agent_type", "name", "description", "is_free_agent", "owner_tenant_id", "configuration_template",
    "version", "status", "card", "created_at", "updated_at",
}  # fmt: skip


def as_(name):
    return {"authorization": f"Bearer {name}"}


def without(name):
    return {key: value for key, value in CARD.items() if key != name}


@pytest.mark.parametrize("path", [PATH, "/api/agents"])
async def test_the_smallest_body_makes_a_proprietary_agent_under_both_roots(client, path, tenant):
    answer = await client.post(path, json=SMALL)
    made = answer.json()
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
    assert answer.headers["location"] == f"{path}/{made['id']}"
    assert set(made) == FIELDS
    assert (made["is_free_agent"], made["owner_tenant_id"]) == (False, str(tenant))
    assert (await client.get(answer.headers["location"])).json() == made
    assert (await client.get(path)).json()["items"] == [made]


async def test_a_foreign_agent_is_404_to_the_byte_like_one_that_never_was(client):
    made = (await client.post(PATH, json={**SMALL, "card": CARD})).json()
    never = str(uuid4())
    for method, tail, body in (
        ("GET", "", None),
        ("GET", "/card", None),
        ("PATCH", "", {"name": "mine"}),
        ("DELETE", "", None),
    ):
        said = []
        for one in (made["id"], never):
            headers = {**as_("otto"), "x-request-id": "the-same-one"}
            answer = await client.request(method, f"{PATH}/{one}{tail}", json=body, headers=headers)
            said.append((answer.status_code, answer.content.replace(one.encode(), b"?")))
        assert said[0] == said[1]
        assert said[0][0] == 404
    answer = await client.post(
        f"{PATH}/resolve", json={"agent_types": ["writer"]}, headers=as_("otto")
    )
    assert answer.json() == {"allowed": [], "denied": ["writer"]}


async def test_an_organization_makes_no_free_agent_and_the_platform_does(client):
    free = {**SMALL, "is_free_agent": True}
    refused = await client.post(PATH, json=free)
    assert (refused.status_code, refused.json()["code"]) == (403, "compute.free_agent_forbidden")
    made = (await client.post(PATH, json=free, headers=as_("root"))).json()
    assert (made["is_free_agent"], made["owner_tenant_id"]) == (True, None)
    assert (await client.get(f"{PATH}/{made['id']}", headers=as_("otto"))).json() == made
    changed = await client.patch(f"{PATH}/{made['id']}", json={"name": "Mine"})
    assert changed.status_code == 403


async def test_a_change_bumps_the_version_and_deleting_deactivates(client):
    made = (await client.post(PATH, json=SMALL)).json()
    url = f"{PATH}/{made['id']}"
    after = await client.patch(url, json={"description": "d"}, headers={"if-match": '"1"'})
    assert (after.json()["version"], after.headers["etag"]) == (2, '"2"')
    stale = await client.patch(url, json={"name": "Late"}, headers={"if-match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "compute.agent_stale")
    assert (await client.delete(url)).status_code == 204
    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).json()["status"] == "inactive"
    assert (await client.get(PATH)).json()["total"] == 0
    assert (await client.get(PATH, params={"status": "all"})).json()["total"] == 1
    again = await client.patch(url, json={"status": "active"})
    assert (again.json()["status"], again.json()["version"]) == ("active", 4)


async def test_a_card_is_served_as_it_was_given(client):
    made = (await client.post(PATH, json=SMALL)).json()
    url = f"{PATH}/{made['id']}"
    missing = await client.get(f"{url}/card")
    assert (missing.status_code, missing.json()["code"]) == (404, "compute.card_not_found")
    await client.patch(url, json={"card": CARD})
    answer = await client.get(f"{url}/card")
    assert answer.json() == CARD
    known = {"if-none-match": answer.headers["etag"]}
    assert (await client.get(f"{url}/card", headers=known)).status_code == 304
    await client.patch(url, json={"card": None})
    assert (await client.get(f"{url}/card")).status_code == 404


async def test_what_the_organization_may_attach_is_told_by_type(client):
    made = (await client.post(PATH, json=SMALL)).json()
    body = {"agent_types": ["writer", "reader", "writer"]}
    answer = (await client.post(f"{PATH}/resolve", json=body)).json()
    assert (answer["allowed"], answer["denied"]) == ([made], ["reader"])


async def test_a_twin_of_a_name_is_409(client):
    await client.post(PATH, json=SMALL)
    twin = {"agent_type": "other", "name": "Wrіter"}  # noqa: RUF001 - a Cyrillic letter
    answer = await client.post(PATH, json=twin)
    assert (answer.status_code, answer.json()["code"]) == (409, "compute.agent_name_taken")


@pytest.mark.parametrize(
    "change",
    [
        {"agent_type": None},
        {"agent_type": "Writer"},
        {"agent_type": "a b"},
        {"agent_type": "а"},  # noqa: RUF001 - a Cyrillic letter
        {"name": " "},
        {"name": "x" * 101},
        {"name": "\u202eretirw"},
        {"description": "x" * 4097},
        {"is_free_agent": "yes"},
        {"is_free_agent": 1},
        {"owner_tenant_id": str(uuid4())},
        {"version": 7},
        {"configuration_template": []},
        {"configuration_template": {"x": "y" * 65536}},
        {"card": {}},
        {"card": []},
        *({"card": without(name)} for name in list(CARD)[:8]),
        {"card": {**CARD, "supportedInterfaces": []}},
        {"card": {**CARD, "supportedInterfaces": [{"url": "javascript:alert(1)"}]}},
        {"card": {**CARD, "skills": [{"id": "x"}]}},
        {"card": {**CARD, "defaultInputModes": ["text"]}},
        {"card": {**CARD, "securitySchemes": {}}},
        {"card": {**CARD, "securitySchemes": {"key": {"magic": {}}}}},
        {"card": {**CARD, "protocol_version": "1.0"}},
    ],
)
async def test_what_is_no_agent_is_422_and_changes_nothing(client, change, work):
    answer = await client.post(PATH, json={**SMALL, **change})
    assert answer.status_code == 422
    assert work.agents.kept == {}


@pytest.mark.parametrize("body", [{}, {"agent_types": []}, {"agent_types": ["x"] * 201}])
async def test_resolving_nothing_or_too_much_is_422(client, body):
    assert (await client.post(f"{PATH}/resolve", json=body)).status_code == 422


@pytest.mark.parametrize("query", ["status=gone", "sort=version", "is_free_agent=perhaps"])
async def test_a_list_asked_for_wrongly_is_422(client, query):
    assert (await client.get(f"{PATH}?{query}")).status_code == 422


async def test_lists_go_by_pages_cursors_and_filters(client):
    for name in ("c", "a", "b"):
        await client.post(PATH, json={"agent_type": name, "name": name})
    await client.post(PATH, json={**SMALL, "is_free_agent": True}, headers=as_("root"))
    page = (await client.get(PATH, params={"limit": 2})).json()
    assert ([it["name"] for it in page["items"]], page["total"]) == (["Writer", "a"], 4)
    rest = await client.get(PATH, params={"limit": 2, "cursor": page["next_cursor"]})
    assert [it["name"] for it in rest.json()["items"]] == ["b", "c"]
    own = (await client.get(PATH, params={"is_free_agent": "false"})).json()
    assert own["total"] == 3
    assert (await client.get(PATH, params={"agent_type": "b"})).json()["total"] == 1
    assert (await client.get(PATH, params={"search": "WRITES"})).json()["total"] == 1


async def test_the_stages_come_in_order(client):
    url = f"{PATH}/{uuid4()}"
    assert (await client.get(url, headers=as_("stranger"))).status_code == 401
    assert (await client.get(url, headers=as_("nora"))).status_code == 403
    assert (await client.get(f"{PATH}/1%20OR%201=1")).status_code == 422
    assert (await client.patch(url, json={}, headers=as_("vera"))).status_code == 403
    assert (await client.post(PATH, json={}, headers=as_("vera"))).status_code == 403
