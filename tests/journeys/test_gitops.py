"""/global through the gateway: each kind from its making to its end, lists in both forms, ACLs, groups, projects."""

import asyncio
import itertools
from uuid import uuid4

import pytest

pytestmark = pytest.mark.journey

G = "/api/v1/global"
PASSWORD = "correct horse battery staple"


def called(start):
    return f"{start}{uuid4().hex[:8]}"


def acl(*entries):
    return {"list": [{"permissions": bits, "principals": list(who)} for bits, *who in entries]}


@pytest.fixture
async def boss(org):
    """The first administrator at the gitops doors."""

    class Doors:
        async def __call__(self, method, path, body=None, *, status=None, web=org.web, **headers):
            more = {"json": body} if body is not None else {}
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            answer = await web.request(method, f"{G}/{path}", headers=headers, **more)
            assert status is None or answer.status_code == status, answer.text
            return answer

        async def make(self, kind, **body):
            return (await self("POST", kind, body, status=201)).json()

    return Doors()


@pytest.fixture
async def person(org):
    """Make a person with a role and a name; return (client, key)."""

    async def make(role="user"):
        name = called("p")
        body = {"email": f"{name}@x.example", "username": name, "password": PASSWORD}
        made = await org.web.post("/api/v1/users", json={**body, "roles": [role]})
        assert made.status_code == 201, made.text
        login = {"username": name, "password": PASSWORD, "tenant_subdomain": org.slug}
        token = (await org.web.post("/api/v1/auth/login", json=login)).json()["access_token"]
        web = type(org.web)(base_url=org.web.base_url, timeout=10)
        web.headers["authorization"] = f"Bearer {token}"
        org.opened.append(web)
        return web, f"u_{name}"

    return make


KINDS = [
    ("users", "u_", {"email": "{id}@x.example", "first_name": "Zoë"}),
    ("groups", "g_", {"name": "Öps"}),
    ("service_accounts", "sa_", {"name": "robot"}),
    ("pipeline_accounts", "pa_", {"project": "{project}"}),
    ("projects", "p-", {"description": "a place"}),
    ("memberships", "", {"principal": "{member}", "group": "{group}"}),
]


EVERY = pytest.mark.parametrize(("kind", "prefix", "body"), KINDS, ids=[k for k, *_ in KINDS])


@pytest.fixture
def begun(boss):
    """Make a thing of a kind with all that it needs; return it, its path, and what was sent beside its id."""

    async def make(kind, prefix, body):
        words = {"id": called(prefix), "project": called("p-")}
        words |= {"member": called("sa_"), "group": called("g_")}
        await boss.make("projects", id=words["project"])
        await boss.make("service_accounts", id=words["member"])
        await boss.make("groups", id=words["group"])
        sent = {name: value.format(**words) for name, value in body.items()}
        key = {"id": words["id"]} if prefix else {}
        notes = {"labels": {"env": "prod"}, "annotations": {"why": "because ä"}}
        made = await boss.make(kind, **key, **sent, **notes)
        await boss("POST", kind, {**key, **sent}, status=409)
        return made, f"{kind}/{made['id']}", sent

    return make


@EVERY
async def test_a_thing_of_each_kind_lives_and_ends(boss, begun, kind, prefix, body):
    made, path, sent = await begun(kind, prefix, body)
    got = await boss("GET", path, status=200)
    assert got.json() == made
    assert (await boss("GET", path, if_none_match=got.headers["etag"])).status_code == 304
    assert (await boss("GET", f"{kind}/{made['uuid']}", status=200)).json() == made
    changed = (await boss("POST", path, {"labels": {"env": "test"}}, status=200)).json()
    assert changed["labels"] == {"env": "test"}
    assert changed["annotations"] == made["annotations"]
    await boss("DELETE", path, status=204)
    for method in ("GET", "DELETE", "PUT"):
        await boss(method, path, sent if method == "PUT" else None, status=404)
    assert made["id"] not in (await boss("GET", kind)).text


@EVERY
async def test_only_who_has_read_the_newest_changes_it(boss, begun, kind, prefix, body):
    made, path, sent = await begun(kind, prefix, body)
    got = await boss("GET", path, status=200)
    changed = (await boss("POST", path, {"labels": {"env": "test"}}, status=200)).json()
    assert changed["hash_code"] != made["hash_code"]
    stale = {**sent, "hash_code": made["hash_code"]}
    assert (await boss("PUT", path, stale, status=409)).json()["code"] == "iam.gitops_hash_stale"
    await boss("DELETE", path, status=412, if_match=got.headers["etag"])
    assert (await boss("GET", path)).json() == changed
    whole = (await boss("PUT", path, {**sent, "hash_code": changed["hash_code"]})).json()
    assert (whole["labels"], whole["annotations"]) == ({}, {})
    assert (await boss("PUT", path, whole, status=200)).json() == whole


@EVERY
async def test_both_forms_of_a_list_are_brief(boss, begun, kind, prefix, body):
    made, _, _ = await begun(kind, prefix, body)
    listed = (await boss("GET", kind, status=200)).json()
    [brief] = [item for item in listed["items"] if item["id"] == made["id"]]
    assert set(listed) == {"items"}
    assert not {"annotations", "acl", "hash_code", "password", "state"} & set(brief)
    paged = (await boss("GET", f"{kind}?limit=1", status=200)).json()
    assert set(paged) - {"next_cursor"} == {"items", "has_more"}


async def test_a_list_is_read_to_its_end_by_cursor_and_says_the_same_as_the_whole(boss):
    ids = {called("g_") for _ in range(7)}
    await asyncio.gather(*(boss.make("groups", id=id_) for id_ in ids))
    seen, path = [], "groups?limit=3"
    while path:
        page = (await boss("GET", path, status=200)).json()
        seen += [item["id"] for item in page["items"]]
        assert ("next_cursor" in page) is page["has_more"]
        path = page["has_more"] and f"groups?limit=3&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen))
    whole = [item["id"] for item in (await boss("GET", "groups")).json()["items"]]
    assert (set(seen) & ids, sorted(seen)) == (ids, sorted(whole))


async def test_a_new_key_of_an_old_name_inherits_nothing(boss, person):
    web, key = await person()
    group = await boss.make("groups", id=called("g_"), acl=acl((127, key)))
    path = f"groups/{group['id']}"
    await boss("GET", path, web=web, status=200)
    await boss("DELETE", f"users/{key}", status=204)
    await boss("POST", f"users/{key}", {"email": f"{called('n')}@x.example"}, status=200)
    shown = (await boss("GET", path)).json()["acl"]["list"]
    assert key not in [p for entry in shown for p in entry["principals"]]


@pytest.mark.parametrize(
    ("bits", "may"),
    [(0, ""), (1, "get"), (2, "list"), (7, "get list"), (31, "get list change delete")],
)
async def test_each_bit_of_an_acl_opens_what_it_says(boss, person, bits, may):
    web, key = await person()
    entries = acl((bits, key)) if bits else acl()
    group = await boss.make("groups", id=called("g_"), acl=entries)
    path = f"groups/{group['id']}"
    got = await boss("GET", path, web=web)
    listed = await boss("GET", "groups", web=web)
    changed = await boss("POST", path, {"labels": {"a": "b"}}, web=web)
    deleted = await boss("DELETE", path, web=web)
    assert got.status_code == (200 if "get" in may else 404)
    assert (group["id"] in listed.text) is ("list" in may)
    assert changed.status_code == (200 if "change" in may else 404)
    assert deleted.status_code == (204 if "delete" in may else 404)


async def test_groups_are_followed_through_ten_groups_and_no_further(boss, person):
    web, key = await person()
    chain = [called("g_") for _ in range(11)]
    for id_ in chain:
        await boss.make("groups", id=id_)
    await boss.make("memberships", principal=key, group=chain[0])
    for inner, outer in itertools.pairwise(chain):
        await boss.make("memberships", principal=inner, group=outer)
    tenth = await boss.make("service_accounts", id=called("sa_"), acl=acl((1, chain[9])))
    eleventh = await boss.make("service_accounts", id=called("sa_"), acl=acl((1, chain[10])))
    await boss("GET", f"service_accounts/{tenth['id']}", web=web, status=200)
    await boss("GET", f"service_accounts/{eleventh['id']}", web=web, status=404)


async def test_a_circle_of_groups_ends_by_itself(boss, person):
    web, key = await person()
    one, two, three = (called("g_") for _ in range(3))
    for id_ in (one, two, three):
        await boss.make("groups", id=id_)
    for inner, outer in ((key, one), (one, two), (two, three), (three, one)):
        await boss.make("memberships", principal=inner, group=outer)
    thing = await boss.make("projects", id=called("p-"), acl=acl((1, three)))
    await boss("GET", f"projects/{thing['id']}", web=web, status=200)
    itself = await boss("POST", "memberships", {"principal": one, "group": one})
    assert itself.status_code == 422


async def test_a_project_lends_its_list_until_a_thing_has_its_own(boss, person):
    web, key = await person()
    lent = {"list": [{"permissions": 3, "principals": [key], "scope": "group"}]}
    project = await boss.make("projects", id=called("p-"), acl=lent)
    inside = await boss.make("groups", id=called("g_"), project=project["id"])
    robot = await boss.make("service_accounts", id=called("sa_"), project=project["id"])
    await boss("GET", f"groups/{inside['id']}", web=web, status=200)
    assert inside["id"] in (await boss("GET", "groups", web=web)).text
    await boss("GET", f"service_accounts/{robot['id']}", web=web, status=404)
    await boss("POST", f"groups/{inside['id']}", {"acl": acl()}, status=200)
    await boss("GET", f"groups/{inside['id']}", web=web, status=404)
    assert inside["id"] not in (await boss("GET", "groups", web=web)).text


async def test_what_ends_takes_its_memberships_and_a_project_its_pipelines_along(boss):
    project, robot, group = called("p-"), called("sa_"), called("g_")
    await boss.make("projects", id=project)
    await boss.make("groups", id=group)
    await boss.make("service_accounts", id=robot, project=project)
    pipeline = await boss.make("pipeline_accounts", id=called("pa_"), project=project)
    edge = await boss.make("memberships", principal=robot, group=group)
    tied = await boss.make("memberships", principal=pipeline["id"], group=group)
    await boss("DELETE", f"service_accounts/{robot}", status=204)
    await boss("GET", f"memberships/{edge['id']}", status=404)
    await boss("DELETE", f"projects/{project}", status=204)
    await boss("GET", f"pipeline_accounts/{pipeline['id']}", status=404)
    await boss("GET", f"memberships/{tied['id']}", status=404)
    await boss("GET", f"groups/{group}", status=200)


class TestSupers:
    async def test_only_the_platform_sees_who_holds_what(self, boss, root):
        assert (await boss("GET", "permissions", status=200)).json()["items"] == []
        await boss("GET", "permissions/adm_godmode", status=404)
        named = [i["id"] for i in (await boss("GET", "permissions", web=root)).json()["items"]]
        assert {"adm_godmode", "adm_user_manager", "usr_create_groups"} <= set(named)
        assert (await boss("DELETE", "permissions/adm_godmode", status=404)).json()["code"]
        made = await boss("POST", "permissions", {"id": "adm_more"}, web=root)
        assert made.status_code == 422

    async def test_debugging_is_401_for_whoever_is_no_god(self, org, root):
        path = "/api/v1/debug/collections"
        for name in ("", "/users", "/nothing", "/_system"):
            answer = await org.web.get(path + name)
            assert (answer.status_code, answer.json()["code"]) == (401, "iam.godmode_needed")
        names = (await root.get(path)).json()["collections"]
        assert {"users", "groups", "permissions"} <= set(names)
        assert (await root.get(f"{path}/_system")).status_code == 400
        assert (await root.get(f"{path}/nothing")).status_code == 404

    async def test_a_dump_shows_what_was_deleted_and_no_secret(self, boss, root):
        group = await boss.make("groups", id=called("g_"))
        await boss("DELETE", f"groups/{group['id']}", status=204)
        dump = (await root.get("/api/v1/debug/collections/groups")).json()
        assert dump["count"] == len(dump["documents"])
        [gone] = [d for d in dump["documents"] if d["id"] == group["uuid"]]
        assert gone["deletion"]["deleted_at"]
        users = (await root.get("/api/v1/debug/collections/users")).text
        assert "argon2" not in users
        assert "password" not in users
