from uuid import uuid4

import pytest

from iam.domain.grants import Grant

T = "/api/v1/tenants"


@pytest.fixture
def acme(iam):
    return iam.tenant()


@pytest.fixture
def boss(iam, acme):
    return iam.user(acme, "boss@acme.test", roles=["admin"])


@pytest.fixture
def me(asking, boss):
    return asking(boss)


@pytest.fixture
def root(iam, asking):
    platform = iam.tenant("platform")
    return asking(iam.user(platform, "r@p.test", grants=(Grant("super_admin", "platform"),)))


@pytest.fixture
def ann(iam):
    return iam.user(iam.tenant("home"), "ann@home.test", username="ann")


async def test_a_guest_comes_by_the_platform_and_goes(web, acme, me, root, ann):
    path = f"{T}/{acme.id}/guests"
    made = await web.post(path, json={"user_id": str(ann.id), "role_id": "viewer"}, headers=root)
    assert made.status_code == 201, made.text
    said = made.json()
    assert (said["is_guest"], said["tenant_id"], said["roles"]) == (True, str(acme.id), ["viewer"])
    assert made.headers["location"] == f"{path}/{ann.id}"
    again = await web.post(path, json={"user_id": str(ann.id)}, headers=root)
    assert (again.status_code, again.json()["code"]) == (409, "iam.already_member")
    listed = (await web.get(path, headers=me)).json()
    assert [u["email"] for u in listed["items"]] == ["ann@home.test"]
    gone = f"{path}/{ann.id}"
    assert (await web.delete(gone, headers=me)).status_code == 204
    assert (await web.delete(gone, headers=me)).status_code == 404
    assert (await web.get(path, headers=me)).json()["items"] == []


async def test_an_administrator_of_a_tenant_knows_no_users_of_others(web, acme, me, ann):
    path = f"{T}/{acme.id}/guests"
    for who in (str(ann.id), str(uuid4())):
        said = await web.post(path, json={"user_id": who}, headers=me)
        assert (said.status_code, said.json()["code"]) == (403, "iam.platform_only")


async def test_one_joins_with_the_account_that_one_has_and_sees_both_tenants(
    web, asking, acme, me, ann
):
    invited = {"email": "ann@home.test", "role_id": "viewer"}
    token = (await web.post("/api/v1/invitations", json=invited, headers=me)).json()["token"]
    guest = asking(ann)
    made = await web.post("/api/v1/invitations/join", json={"token": token}, headers=guest)
    assert (made.status_code, made.json()["roles"]) == (201, ["viewer"])
    again = await web.post("/api/v1/invitations/join", json={"token": token}, headers=guest)
    assert (again.status_code, again.json()["code"]) == (404, "iam.bad_invitation")
    listed = (await web.get(T, headers=guest)).json()
    assert [t["subdomain"] for t in listed] == ["acme", "home"]
    one = await web.get(f"{T}/{acme.id}", headers=guest)
    assert (one.status_code, one.headers["etag"]) == (200, '"1"')
    cached = await web.get(f"{T}/{acme.id}", headers={**guest, "if-none-match": '"1"'})
    assert cached.status_code == 304
    assert (await web.get(f"{T}/{uuid4()}", headers=guest)).status_code == 404


async def test_the_platform_searches_pages_and_switches_tenants(web, iam, acme, me, root):
    for n in range(3):
        iam.tenant(f"zz{n}")
    first = (await web.get(T, params={"search": "zz", "limit": 2}, headers=root)).json()
    assert ([t["slug"] for t in first["items"]], first["total"]) == (["zz0", "zz1"], 3)
    asked = {"search": "zz", "limit": 2, "cursor": first["next_cursor"]}
    rest = (await web.get(T, params=asked, headers=root)).json()
    assert ([t["slug"] for t in rest["items"]], rest["has_more"]) == (["zz2"], False)
    off = await web.patch(f"{T}/{acme.id}", json={"is_active": False}, headers=root)
    assert (off.status_code, off.json()["is_active"]) == (200, False)
    own = await web.patch(f"{T}/{acme.id}", json={"is_active": True}, headers=me)
    assert own.status_code == 403
    users = await web.get("/api/v1/users", params={"tenant": "all"}, headers=root)
    assert {u["email"] for u in users.json()["items"]} >= {"boss@acme.test", "r@p.test"}
    own = await web.get("/api/v1/users", headers=me)
    assert [u["email"] for u in own.json()["items"]] == ["boss@acme.test"]
    for whose in ("all", str(uuid4())):
        said = await web.get("/api/v1/users", params={"tenant": whose}, headers=me)
        assert (said.status_code, said.json()["code"]) == (403, "iam.platform_only")
    bad = await web.get("/api/v1/users", params={"tenant": "none"}, headers=root)
    assert bad.status_code == 422
    roles = await web.get("/api/v1/roles", params={"tenant": str(acme.id)}, headers=root)
    assert {r["name"]: r["user_count"] for r in roles.json()}["admin"] == 1


async def test_outside_groups_give_roles(web, iam, acme, boss, me):
    ann = iam.user(acme)
    line = {"idp": "okta", "value": "devs", "role_id": "developer"}
    made = await web.post("/api/v1/external-roles", json=line, headers=me)
    assert made.status_code == 201, made.text
    said = made.json()
    assert (said["scope"], said["rule"], said["claim"]) == ("tenant", "union", "groups")
    assert (await web.get("/api/v1/external-roles", headers=me)).json() == [said]
    assert (await web.get(made.headers["location"], headers=me)).json() == said
    again = await web.post("/api/v1/external-roles", json=line, headers=me)
    assert (again.status_code, again.json()["code"]) == (409, "iam.external_role_taken")
    path = f"/api/v1/users/{ann.id}/external-groups"
    synced = await web.post(path, json={"idp": "okta", "groups": ["devs"]}, headers=me)
    assert [(g["role"], g["source"]) for g in synced.json()] == [("developer", "okta")]
    gone = await web.post(path, json={"idp": "okta", "groups": []}, headers=me)
    assert (gone.status_code, gone.json()) == (200, [])
    assert (await web.delete(made.headers["location"], headers=me)).status_code == 204
    assert (await web.get(made.headers["location"], headers=me)).status_code == 404


async def test_names_that_look_like_others_are_refused_and_nothing_changes(web, iam, acme, me):
    assert (await web.post("/api/v1/roles", json={"name": "Scope"}, headers=me)).status_code == 201
    facts = len(iam.world.facts)
    for name in ("ѕсоре", "аdmin"):  # noqa: RUF001 - Cyrillic
        said = await web.post("/api/v1/roles", json={"name": name}, headers=me)
        assert (said.status_code, said.json()["code"]) == (409, "iam.role_name_taken")
    said = await web.post("/api/v1/roles", json={"name": "SCOPE\u200b"}, headers=me)
    assert (said.status_code, said.json()["code"]) == (422, "iam.bad_name")
    iam.tenant("apple", name="Apple")
    body = {
        "name": "Аpple",  # noqa: RUF001
        "subdomain": "pear",
        "admin_email": "a@pear.test",
        "admin_password": "correct horse battery",
    }
    said = await web.post("/api/v1/organizations/register", json=body)
    assert (said.status_code, said.json()["code"]) == (409, "iam.confusable_name")
    renamed = await web.patch(f"{T}/{acme.id}", json={"name": "Аpple"}, headers=me)  # noqa: RUF001
    assert (renamed.status_code, renamed.json()["code"]) == (409, "iam.confusable_name")
    assert len(iam.world.facts) == facts
    same = await web.post("/api/v1/organizations/register", json={**body, "name": "Apple"})
    assert same.status_code == 201, same.text
