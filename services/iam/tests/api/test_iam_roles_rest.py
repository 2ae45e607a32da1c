from uuid import uuid4

import pytest

ROLES = "/api/v1/roles"


@pytest.fixture
def boss(iam):
    return iam.user(iam.tenant(), "boss@acme.test", roles=["admin"])


@pytest.fixture
def ann(iam, boss):
    return iam.user(iam.world.tenants[boss.tenant], username="ann")


@pytest.fixture
async def keeper(web, asking, boss):
    body = {"name": "Keeper", "permission_ids": ["flag:toggle", "view_audit_logs"]}
    made = await web.post(ROLES, json=body, headers=asking(boss))
    assert made.status_code == 201
    return made


async def test_a_role_is_made_read_changed_and_deleted(web, asking, boss, keeper):
    said, me = keeper.json(), asking(boss)
    path = f"{ROLES}/{said['id']}"
    assert (keeper.headers["location"], keeper.headers["etag"]) == (path, '"1"')
    assert (said["name"], said["is_system_role"], said["user_count"]) == ("Keeper", False, 0)
    assert {"id": "flag:toggle", "name": "flag:toggle", "module": "flag"} in said["permissions"]
    assert {p["id"] for p in said["permissions"]} == {"flag:toggle", "audit:read"}
    assert (await web.get(path, headers=me)).json() == said
    assert (await web.get(path, headers={**me, "if-none-match": '"1"'})).status_code == 304
    changed = await web.patch(path, json={"name": "Warden"}, headers={**me, "if-match": '"1"'})
    assert (changed.status_code, changed.json()["name"]) == (200, "Warden")
    stale = await web.patch(path, json={"name": "x"}, headers={**me, "if-match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "iam.role_stale")
    assert (await web.delete(path, headers=me)).status_code == 204
    assert (await web.get(path, headers=me)).status_code == 404


async def test_who_knows_how_many_had_a_role_is_told_when_more_have_it(
    web, asking, boss, keeper, ann
):
    me = asking(boss)
    for role in (keeper.json()["id"], "viewer"):
        path = f"{ROLES}/{role}"
        before = await web.get(path, headers=me)
        known = {**me, "if-none-match": before.headers["etag"]}
        assert (await web.get(path, headers=known)).status_code == 304
        body = {"user_ids": [str(ann.id)]}
        assert (await web.put(f"{path}/users", json=body, headers=me)).status_code == 200
        after = await web.get(path, headers=known)
        assert (after.status_code, after.json()["user_count"]) == (200, 1)


async def test_a_role_that_was_given_meanwhile_is_still_the_version_that_was_read(
    web, asking, boss, keeper, ann
):
    me, path = asking(boss), f"{ROLES}/{keeper.json()['id']}"
    given = await web.put(f"{path}/users", json={"user_ids": [str(ann.id)]}, headers=me)
    read = await web.get(path, headers=me)
    for tag, name in ((keeper.headers["etag"], "One"), ('"2"', "Two")):
        changed = await web.patch(path, json={"name": name}, headers={**me, "if-match": tag})
        assert (changed.status_code, changed.json()["name"]) == (200, name)
    assert (given.status_code, read.headers["etag"]) == (200, '"1000000001"')
    late = await web.delete(path, headers={**me, "if-match": read.headers["etag"]})
    assert (late.status_code, late.json()["code"]) == (412, "iam.role_stale")


async def test_the_list_of_roles_is_bare_and_says_which_are_the_systems(web, asking, boss, keeper):
    listed = (await web.get(ROLES, headers=asking(boss))).json()
    system = {role["name"]: role["is_system_role"] for role in listed}
    assert (system["admin"], system["Keeper"]) == (True, False)


async def test_the_permissions_of_a_role_answer_204(web, asking, boss, keeper):
    me, path = asking(boss), f"{ROLES}/{keeper.json()['id']}/permissions"
    assert (await web.put(f"{path}/vm:read", headers=me)).status_code == 204
    assert (await web.delete(f"{path}/flag:toggle", headers=me)).status_code == 204
    more = {"permission_ids": ["user:read"]}
    assert (await web.post(path, json=more, headers=me)).status_code == 204
    ids = {p["id"] for p in (await web.get(path, headers=me)).json()}
    assert ids == {"audit:read", "vm:read", "user:read"}
    assert (await web.put(path, json=more, headers=me)).status_code == 204
    assert [p["id"] for p in (await web.get(path, headers=me)).json()] == ["user:read"]
    assert (await web.put(f"{path}/vm:explode", headers=me)).status_code == 422
    assert (await web.put(f"{path}/x%27--", headers=me)).status_code == 422


async def test_users_of_a_role_are_the_same_both_ways(web, asking, boss, ann, keeper):
    me, path = asking(boss), f"{ROLES}/{keeper.json()['id']}/users"
    body = {"user_ids": [str(ann.id)]}
    put = await web.put(path, json=body, headers=me)
    assert (put.status_code, put.json()) == (200, body)
    assert (await web.get(path, headers=me)).json() == body
    held = await web.delete(f"{ROLES}/{keeper.json()['id']}", headers=me)
    assert (held.status_code, held.json()["code"]) == (409, "iam.role_assigned")
    bad = await web.put(path, json={"user_ids": [str(uuid4())]}, headers=me)
    assert (bad.status_code, bad.json()["code"]) == (422, "iam.unknown_user")


async def test_a_user_is_given_roles_one_by_one(web, iam, asking, boss, ann, keeper):
    me, role = asking(boss), keeper.json()["id"]
    path = f"/api/v1/tenants/{boss.tenant}/users/{ann.id}/roles"
    assert (await web.put(f"{path}/{role}", headers=me)).status_code == 204
    later = {"role_id": "developer", "expires_at": "2030-01-01T00:00:00Z", "reason": "on call"}
    assert (await web.post(path, json=later, headers=me)).status_code == 204
    given = {g["role"]: g for g in (await web.get(path, headers=me)).json()}
    assert set(given) == {"user", "Keeper", "developer"}
    assert given["developer"]["expires_at"] == "2030-01-01T00:00:00Z"
    assert given["developer"]["granted_by"] == str(boss.id)
    assert (await web.delete(f"{path}/{role}", headers=me)).status_code == 204
    again = await web.delete(f"{path}/{role}", headers=me)
    assert (again.status_code, again.json()["code"]) == (404, "iam.role_not_held")
    past = {"role_id": "viewer", "expires_at": "2020-01-01T00:00:00Z"}
    refused = await web.post(path, json=past, headers=me)
    assert (refused.status_code, refused.json()["code"]) == (422, "iam.bad_window")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "a\nb"},
        {"name": "x", "permission_ids": ["'; DROP"]},
        {"name": "x", "is_system_role": True},
        {"name": "x", "permission_ids": "user:read"},
        {"name": 7},
    ],
)
async def test_a_role_that_is_none_is_422(web, asking, boss, body):
    assert (await web.post(ROLES, json=body, headers=asking(boss))).status_code == 422


async def test_the_order_is_401_403_422_404(web, asking, boss, ann):
    path = f"{ROLES}/%27%3B--"
    assert (await web.get(path)).status_code == 401
    denied = await web.get(path, headers=asking(ann))
    assert denied.json()["detail"] == "Insufficient permissions: role:read required"
    assert denied.status_code == 403
    assert (await web.get(path, headers=asking(boss))).status_code == 422
    assert (await web.get(f"{ROLES}/{uuid4()}", headers=asking(boss))).status_code == 404
    system = await web.patch(f"{ROLES}/viewer", json={"name": "x"}, headers=asking(boss))
    assert (system.status_code, system.json()["code"]) == (403, "iam.system_role")
    assert (await web.delete(f"{ROLES}/viewer", headers=asking(boss))).status_code == 403
