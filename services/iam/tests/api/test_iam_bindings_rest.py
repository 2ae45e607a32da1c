from datetime import timedelta
from uuid import uuid4

import pytest

T = "/api/v1/tenants"


@pytest.fixture
def acme(iam):
    return iam.tenant()


@pytest.fixture
def boss(iam, acme):
    return iam.user(acme, "boss@acme.test", username="boss", roles=["admin"])


@pytest.fixture
def ann(iam, acme):
    return iam.user(acme, username="ann")


@pytest.fixture
def me(asking, boss):
    return asking(boss)


@pytest.fixture
async def shop(web, me):
    made = await web.post("/api/v1/global/projects", json={"id": "shop"}, headers=me)
    assert made.status_code == 201, made.text
    made = await web.post("/api/v1/global/groups", json={"id": "g_ops"}, headers=me)
    assert made.status_code == 201, made.text


async def given(web, path, headers, **query):
    answer = await web.get(path, params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return {(g["role"], g["scope"]) for g in answer.json()}


async def test_a_role_is_given_and_taken_at_a_project(web, acme, ann, me, shop):
    path = f"{T}/{acme.id}/users/{ann.id}/roles"
    here = {"scope": "project:shop"}
    made = await web.post(path, params=here, json={"role_id": "developer"}, headers=me)
    assert (made.status_code, made.content) == (204, b"")
    again = await web.put(f"{path}/developer", params=here, headers=me)
    assert again.status_code == 204
    assert await given(web, path, me) == {("developer", "project:shop"), ("user", "tenant")}
    assert await given(web, path, me, **here) == {("developer", "project:shop")}
    holders = "/api/v1/roles/developer/users"
    assert (await web.get(holders, headers=me)).json() == {"user_ids": []}
    assert (await web.get(holders, params=here, headers=me)).json() == {"user_ids": [str(ann.id)]}
    gone = await web.delete(f"{path}/developer", headers=me)
    assert (gone.status_code, gone.json()["code"]) == (404, "iam.role_not_held")
    for expected in (204, 404):
        gone = await web.delete(f"{path}/developer", params=here, headers=me)
        assert gone.status_code == expected


@pytest.mark.parametrize("who", ["u_ann", "g_ops"])
async def test_any_principal_is_meant_by_its_key(web, acme, ann, me, shop, who):
    path = f"{T}/{acme.id}/principals/{who}/roles"
    ends = "2026-02-01T00:00:00Z"
    made = await web.post(path, json={"role_id": "viewer", "expires_at": ends}, headers=me)
    assert made.status_code == 204, made.text
    (viewer,) = [g for g in (await web.get(path, headers=me)).json() if g["role"] == "viewer"]
    assert (viewer["expires_at"], viewer["source"], viewer["through"]) == (ends, "", None)
    assert (await web.delete(f"{path}/viewer", headers=me)).status_code == 204


@pytest.mark.parametrize(
    ("scope", "code"),
    [
        ("project:none", "iam.unknown_project"),
        ("everywhere", "iam.bad_scope_of_role"),
        ("object:flag", "iam.bad_scope_of_role"),
    ],
)
async def test_a_scope_that_is_none_is_refused_and_nothing_changes(
    web, iam, acme, ann, me, scope, code
):
    path = f"{T}/{acme.id}/users/{ann.id}/roles/viewer"
    facts = len(iam.world.facts)
    said = await web.put(path, params={"scope": scope}, headers=me)
    assert (said.status_code, said.json()["code"]) == (422, code)
    assert len(iam.world.facts) == facts


async def test_nobody_without_the_permission_learns_whether_somebody_is_there(
    web, asking, acme, ann
):
    nobody = asking(ann)
    for who in (str(ann.id), str(uuid4()), "g_none"):
        for method, path in (
            ("GET", f"{T}/{acme.id}/principals/{who}/roles"),
            ("PUT", f"{T}/{acme.id}/principals/{who}/roles/viewer"),
            ("DELETE", f"{T}/{uuid4()}/principals/{who}/roles/viewer"),
        ):
            said = await web.request(method, path, headers=nobody)
            assert said.status_code == 403, said.text


async def test_another_tenants_principal_is_not_there(web, iam, asking, acme, me):
    other = iam.tenant("other")
    bob = iam.user(other, "bob@other.test")
    there = await web.put(f"{T}/{other.id}/principals/{bob.id}/roles/viewer", headers=me)
    here = await web.put(f"{T}/{acme.id}/principals/{bob.id}/roles/viewer", headers=me)
    missing = await web.put(f"{T}/{acme.id}/principals/{uuid4()}/roles/viewer", headers=me)
    assert (there.status_code, here.status_code, missing.status_code) == (404, 404, 404)
    assert here.json()["detail"] == missing.json()["detail"]


async def test_a_role_through_a_group_is_shown_and_taken_at_the_group_only(
    web, iam, acme, ann, me, shop
):
    await web.put(f"{T}/{acme.id}/principals/g_ops/roles/viewer", headers=me)
    edge = {"principal": "u_ann", "group": "g_ops"}
    await web.post("/api/v1/global/memberships", json=edge, headers=me)
    path = f"{T}/{acme.id}/users/{ann.id}/roles"
    (viewer,) = [g for g in (await web.get(path, headers=me)).json() if g["role"] == "viewer"]
    assert viewer["through"] is not None
    gone = await web.delete(f"{path}/viewer", headers=me)
    assert (gone.status_code, gone.json()["code"]) == (409, "iam.role_held_through_group")


async def test_a_role_that_would_end_before_it_begins_is_refused(web, iam, acme, ann, me):
    past = (iam.clock.at - timedelta(days=1)).isoformat()
    said = await web.put(
        f"{T}/{acme.id}/principals/u_ann/roles/viewer", json={"expires_at": past}, headers=me
    )
    assert (said.status_code, said.json()["code"]) == (422, "iam.bad_window")
