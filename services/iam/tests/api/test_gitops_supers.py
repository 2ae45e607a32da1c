"""Super-permissions and debugging over REST."""

import pytest

from iam.domain.grants import Grant

P = "/api/v1/global/permissions"
D = "/api/v1/debug/collections"
NAMES = [
    *("adm_godmode", "adm_user_manager", "adm_config_editor"),
    *("usr_create_groups", "usr_create_projects"),
]


@pytest.fixture
def tenant(iam):
    return iam.tenant("platform")


@pytest.fixture
def root(iam, tenant):
    supers = (Grant("adm_godmode", "platform"), Grant("super_admin", "platform"))
    return iam.user(tenant, "root@acme.test", username="root", grants=supers)


@pytest.fixture
def ann(iam, tenant):
    return iam.user(tenant, username="ann")


@pytest.fixture
def admin(iam, tenant):
    return iam.user(tenant, "a@acme.test", username="adm", grants=(Grant("admin", "platform"),))


async def test_the_collection_is_a_view_of_who_holds_them(web, root, ann, asking, iam):
    items = (await web.get(P, headers=asking(root))).json()["items"]
    assert [item["id"] for item in items] == NAMES
    assert items[0]["principals"] == ["u_root"]
    one = await web.get(f"{P}/usr_create_groups", headers=asking(root))
    body = {"principals": ["u_ann"], "hash_code": one.json()["hash_code"]}
    given = await web.put(f"{P}/usr_create_groups", headers=asking(root), json=body)
    assert given.json()["principals"] == ["u_ann"]
    assert Grant("usr_create_groups", "platform") in iam.world.users[ann.id].grants
    stale = await web.put(f"{P}/usr_create_groups", headers=asking(root), json=body)
    assert (stale.status_code, stale.json()["code"]) == (409, "iam.gitops_hash_stale")
    headers = {**asking(root), "if-match": one.headers["etag"]}
    assert (
        await web.put(f"{P}/usr_create_groups", headers=headers, json={"principals": []})
    ).status_code == 412
    me = iam.world.users[ann.id]
    made = await web.post("/api/v1/global/groups", headers=asking(me), json={"id": "g_x"})
    assert made.status_code == 201
    assert (await web.delete(f"{P}/usr_create_groups", headers=asking(root))).status_code == 204
    me = iam.world.users[ann.id]
    made = await web.post("/api/v1/global/groups", headers=asking(me), json={"id": "g_y"})
    assert made.status_code == 404
    assert iam.world.actions()[-1] == "user.disempowered"


async def test_changing_the_roles_of_a_user_leaves_their_super_permissions(
    web, root, ann, asking, iam
):
    await web.post(f"{P}/usr_create_groups", headers=asking(root), json={"principals": ["u_ann"]})
    path = f"/api/v1/users/{ann.id}"
    answer = await web.patch(path, headers=asking(root), json={"roles": ["viewer"]})
    assert answer.json()["roles"] == ["viewer"]
    assert Grant("usr_create_groups", "platform") in iam.world.users[ann.id].grants


async def test_nobody_sees_or_gives_them_without_reaching_the_platform(web, ann, asking, iam):
    boss = iam.user(iam.tenant("acme"), "b@b.test", roles=["admin"])
    for user in (ann, boss):
        assert (await web.get(P, headers=asking(user))).json() == {"items": []}
        for name in (*NAMES, "adm_nothing"):
            answer = await web.get(f"{P}/{name}", headers=asking(user))
            assert (answer.status_code, answer.json()["code"]) == (404, "iam.gitops_not_found")
            body = {"principals": [str(user.id)]}
            assert (
                await web.put(f"{P}/{name}", headers=asking(user), json=body)
            ).status_code == 404
            assert (await web.delete(f"{P}/{name}", headers=asking(user))).status_code == 404
        assert (await web.post(P, headers=asking(user), json={"id": "x"})).status_code == 404


async def test_who_does_not_hold_godmode_does_not_give_it(web, admin, ann, root, asking, iam):
    for user in ("u_ann", "u_adm"):
        body = {"principals": [user, "u_root"]}
        answer = await web.put(f"{P}/adm_godmode", headers=asking(admin), json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "iam.more_than_you_hold")
    body = {"principals": ["u_ann"]}
    assert (await web.put(f"{P}/adm_user_manager", headers=asking(admin), json=body)).is_success
    assert all(Grant("adm_godmode", "platform") not in u.grants for u in (ann, admin))


@pytest.mark.parametrize("who", ["u_nobody", "g_x", "ann", "00000000-0000-7000-8000-000000000000"])
async def test_only_users_can_hold_them(web, root, asking, who):
    await web.post("/api/v1/global/groups", headers=asking(root), json={"id": "g_x"})
    answer = await web.put(f"{P}/adm_godmode", headers=asking(root), json={"principals": [who]})
    assert answer.status_code == 422
    held = await web.get(f"{P}/adm_godmode", headers=asking(root))
    assert held.json()["principals"] == ["u_root"]


async def test_there_are_no_others(web, root, asking):
    new = await web.post(P, headers=asking(root), json={"id": "adm_everything"})
    assert (new.status_code, new.json()["code"]) == (422, "iam.gitops_bad_id")
    old = await web.post(P, headers=asking(root), json={"id": "adm_godmode"})
    assert (old.status_code, old.json()["code"]) == (409, "iam.gitops_id_taken")
    labels = {"labels": {"a": "b"}}
    assert (await web.put(f"{P}/adm_godmode", headers=asking(root), json=labels)).status_code == 422


async def test_debugging_is_for_godmode_and_everybody_else_is_401(web, root, ann, admin, asking):
    for path in (D, f"{D}/users", f"{D}/_system", f"{D}/none"):
        for headers in ({}, asking(ann), asking(admin)):
            assert (await web.get(path, headers=headers)).status_code == 401
    names = (await web.get(D, headers=asking(root))).json()["collections"]
    assert names[0] == "users"
    for name, status in (("_system", 400), ("none", 404), ("permissions", 200)):
        assert (await web.get(f"{D}/{name}", headers=asking(root))).status_code == status


async def test_a_dump_shows_what_was_deleted_and_no_secret(web, root, ann, asking, iam):
    group = {"id": "g_x", "annotations": {"a": "b"}}
    await web.post("/api/v1/global/groups", headers=asking(root), json=group)
    await web.delete("/api/v1/global/groups/g_x", headers=asking(root))
    await web.delete("/api/v1/global/users/u_ann", headers=asking(root))
    dump = (await web.get(f"{D}/groups", headers=asking(root))).json()
    assert (dump["collection"], dump["count"]) == ("groups", 1)
    (document,) = dump["documents"]
    assert (document["_key"], document["annotations"]) == ("g_x", {"a": "b"})
    assert document["deletion"]["deleted_at"]
    users = await web.get(f"{D}/users", headers=asking(root))
    assert {d["_key"] for d in users.json()["documents"]} == {"u_root", "u_ann"}
    assert "password" not in users.text
    assert iam.world.users[root.id].password not in users.text
