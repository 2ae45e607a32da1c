from uuid import uuid4

import pytest

from iam.domain.grants import Grant

BASES = pytest.mark.parametrize("base", ["/api/v1", "/api"])


@pytest.fixture
def boss(iam):
    return iam.user(iam.tenant(), "boss@acme.test", roles=["org_admin"])


@pytest.fixture
def ann(iam, boss):
    return iam.user(iam.world.tenants[boss.tenant], username="ann")


@pytest.fixture
def stranger(iam):
    return iam.user(iam.tenant("other"), "s@other.test", roles=["org_admin"])


@pytest.fixture
def root(iam):
    return iam.user(iam.tenant("platform"), "r@x.y", grants=(Grant("super_admin", "platform"),))


@BASES
async def test_every_member_sees_their_organization_and_an_admin_changes_it(
    web, iam, asking, boss, ann, base
):
    path = f"{base}/organizations/{boss.tenant}"
    got = await web.get(path, headers=asking(ann))
    assert (got.status_code, got.json()["subdomain"], got.headers["etag"]) == (200, "acme", '"1"')
    seen = await web.get(path, headers={**asking(ann), "if-none-match": '"1"'})
    assert seen.status_code == 304
    denied = await web.patch(path, json={"name": "x"}, headers=asking(ann))
    assert denied.json()["detail"] == "Insufficient permissions: tenant:update required"
    change = {"name": "Acme & Co", "address": "Łódź", "organization_email": "o@acme.test"}
    done = await web.patch(path, json=change, headers={**asking(boss), "if-match": '"1"'})
    assert (done.json()["name"], done.json()["address"]) == ("Acme & Co", {"text": "Łódź"})
    stale = await web.patch(path, json=change, headers={**asking(boss), "if-match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "iam.tenant_stale")
    fact = iam.world.facts[-1]
    assert (fact.action, fact.before["name"], fact.after["name"]) == (
        "tenant.updated",
        "T",
        "Acme & Co",
    )


@BASES
async def test_an_organization_that_is_not_yours_is_403_whether_or_not_it_exists(
    web, asking, boss, ann, stranger, base
):
    answers = []
    for id_ in (boss.tenant, uuid4()):
        one = f"{base}/organizations/{id_}"
        for method, path, body in (
            ("GET", one, None),
            ("PATCH", one, {"name": "x"}),
            ("GET", f"{one}/users", None),
            ("PATCH", f"{one}/users/{ann.id}", {"first_name": "x"}),
            ("DELETE", f"{one}/users/{ann.id}", None),
        ):
            answer = await web.request(method, path, json=body, headers=asking(stranger))
            answers.append((answer.status_code, answer.json()["code"], answer.json()["detail"]))
    assert set(answers) == {(403, "iam.not_your_organization", "this is not your organization")}


@BASES
async def test_members_are_listed_changed_and_deactivated(web, iam, asking, boss, ann, base):
    me, path = asking(boss), f"{base}/organizations/{boss.tenant}/users"
    listed = (await web.get(path, params={"search": "ann"}, headers=me)).json()
    assert (listed["total"], listed["items"][0]["id"]) == (1, str(ann.id))
    change = {"first_name": "Ann", "roles": ["org_admin"]}
    done = await web.patch(f"{path}/{ann.id}", json=change, headers=me)
    assert (done.status_code, done.json()["roles"]) == (200, ["org_admin"])
    gone = await web.delete(f"{path}/{ann.id}", headers=me)
    assert (gone.status_code, gone.json()) == (200, {"message": "User ann was deactivated"})
    assert not iam.world.users[ann.id].active
    myself = await web.delete(f"{path}/{boss.id}", headers=me)
    assert (myself.status_code, myself.json()["code"]) == (400, "iam.self_deactivation")


async def test_a_user_of_another_organization_is_not_a_member(web, asking, boss, stranger, root):
    path = f"/api/v1/organizations/{boss.tenant}/users/{stranger.id}"
    for asker in (boss, root):
        answer = await web.patch(path, json={"first_name": "x"}, headers=asking(asker))
        assert (answer.status_code, answer.json()["code"]) == (404, "iam.user_not_found")


async def test_the_platform_reaches_every_organization_and_switches_it_off(
    web, iam, asking, boss, root
):
    path = f"/api/v1/organizations/{boss.tenant}"
    mine = await web.patch(path, json={"is_active": False}, headers=asking(boss))
    assert mine.status_code == 403
    done = await web.patch(path, json={"is_active": False}, headers=asking(root))
    assert done.json()["is_active"] is False
    assert [c.id for c in iam.world.changes] == [str(boss.tenant)]
    missing = await web.get(f"/api/v1/organizations/{uuid4()}", headers=asking(root))
    assert missing.status_code == 404


async def test_the_users_of_a_tenant_are_a_page_and_another_tenant_is_not_there(
    web, asking, boss, ann, stranger, root
):
    path = f"/api/v1/tenants/{boss.tenant}/users"
    page = (await web.get(path, params={"page": 1, "limit": 1}, headers=asking(boss))).json()
    assert (page["total"], len(page["items"]), page["limit"]) == (2, 1, 1)
    assert (await web.get(path, headers=asking(root))).json()["total"] == 2
    assert (await web.get(path, headers=asking(ann))).status_code == 403
    missing = await web.get(f"/api/v1/tenants/{uuid4()}/users", headers=asking(stranger))
    other = await web.get(path, headers=asking(stranger))
    said = [{**a.json(), "request_id": "", "instance": ""} for a in (missing, other)]
    assert (other.status_code, said[0]) == (404, said[1])


@pytest.mark.parametrize(
    "body", [{"subdomain": "x"}, {"name": None}, {"name": ""}, {"phone": 7}, {"id": "x"}, []]
)
async def test_a_change_of_an_organization_that_is_none_is_422(web, asking, boss, body):
    path = f"/api/v1/organizations/{boss.tenant}"
    assert (await web.patch(path, json=body, headers=asking(boss))).status_code == 422
