"""The gitops doors, on fakes: what each status is, and what nobody gets to see."""

from itertools import pairwise
from uuid import uuid4

import pytest

from iam.domain.grants import Grant

G = "/api/v1/global"
COLLECTIONS = (
    *("users", "groups", "service_accounts", "pipeline_accounts"),
    *("memberships", "projects", "permissions"),
)


@pytest.fixture
def tenant(iam):
    return iam.tenant()


@pytest.fixture
def root(iam, tenant):
    supers = (Grant("adm_godmode", "platform"), Grant("super_admin", "platform"))
    return iam.user(tenant, "root@acme.test", username="root", grants=supers)


@pytest.fixture
def ann(iam, tenant):
    return iam.user(tenant, username="ann")


@pytest.fixture
def bob(iam, tenant):
    return iam.user(tenant, "bob@acme.test", username="bob")


@pytest.fixture
def boss(iam, tenant):
    return iam.user(tenant, "boss@acme.test", username="boss", roles=["admin"])


@pytest.fixture
def as_(web, asking):
    """Return a client that asks as somebody: `await as_(ann).get("groups/g_x")`."""

    class Asking:
        def __init__(self, user, **more):
            self._headers = asking(user, **more)

        async def __call__(self, method, path, json=None, **headers):
            sent = {} if json is None else {"json": json}
            url = path if path.startswith("/") else f"{G}/{path}"
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            return await web.request(method, url, headers={**self._headers, **names}, **sent)

    for method in ("get", "post", "put", "delete"):

        def verb(self, path, json=None, _method=method, **headers):
            return self(_method, path, json, **headers)

        setattr(Asking, method, verb)
    return Asking


def plain(answer):
    """Return an answer without what is the request's own."""
    said = answer.json()
    return answer.status_code, {**said, "request_id": "", "instance": ""}


def acl(*entries):
    return {"list": [{"permissions": bits, "principals": list(who)} for bits, *who in entries]}


@pytest.mark.parametrize("collection", COLLECTIONS)
async def test_nobody_gets_in_without_a_credential(web, collection):
    for method, path in (
        *(("GET", ""), ("POST", "")),
        *((m, "/u_x'; DROP TABLE") for m in ("GET", "POST", "PUT", "DELETE")),
    ):
        answer = await web.request(method, f"{G}/{collection}{path}")
        assert answer.status_code == 401


EVERY = pytest.mark.parametrize(
    ("collection", "body"),
    [
        ("users", {"id": "u_new", "email": "new@acme.test", "first_name": "Néw"}),
        ("groups", {"id": "g_new", "description": "x"}),
        ("service_accounts", {"id": "sa_new", "name": "robot"}),
        ("pipeline_accounts", {"id": "pa_new", "project": "infra"}),
        ("projects", {"id": "new"}),
        ("memberships", {"principal": "u_ann", "group": "g_ops"}),
    ],
)


@pytest.fixture
def made(as_, boss, ann):
    """Make a thing as the boss; return the answer and the path of the thing."""

    async def make(collection, body):
        await as_(boss).post("projects", {"id": "infra"})
        await as_(boss).post("groups", {"id": "g_ops"})
        notes = {"labels": {"env": "prod"}, "annotations": {"why": "because"}}
        answer = await as_(boss).post(collection, {**body, **notes})
        assert answer.status_code == 201, answer.text
        return answer, f"{collection}/{body.get('id', 'u_ann::g_ops')}"

    return make


@EVERY
async def test_a_thing_is_made_and_read(as_, boss, made, collection, body):
    answer, path = await made(collection, body)
    said = answer.json()
    assert answer.headers["location"] == f"{G}/{path}"
    assert f"{collection}/{said['id']}" == path
    assert set(said["state"]) == {"created_at", "updated_at", "version"}
    assert said["acl"]["list"] == [{"permissions": 127, "principals": ["u_boss"]}]
    got = await as_(boss).get(path)
    assert (got.status_code, got.json()) == (200, said)
    assert got.headers["etag"] == answer.headers["etag"]
    assert (await as_(boss).get(path, if_none_match=got.headers["etag"])).status_code == 304
    assert (await as_(boss).get(f"{collection}/{said['uuid']}")).json() == said
    again = await as_(boss).post(collection, body)
    assert (again.status_code, again.json()["code"]) == (409, "iam.gitops_id_taken")


@EVERY
async def test_a_thing_is_replaced_by_whoever_has_read_it_last(as_, boss, made, collection, body):
    answer, path = await made(collection, body)
    said = answer.json()
    back = await as_(boss).put(path, said)
    assert (back.status_code, back.json()) == (200, said), "what was read can be sent back"
    replaced = await as_(boss).put(path, {**body, "hash_code": said["hash_code"]})
    assert replaced.status_code == 200, replaced.text
    assert (replaced.json()["labels"], replaced.json()["annotations"]) == ({}, {})
    assert replaced.json()["hash_code"] != said["hash_code"]
    stale = await as_(boss).put(path, {**body, "hash_code": said["hash_code"]})
    assert (stale.status_code, stale.json()["code"]) == (409, "iam.gitops_hash_stale")
    old = await as_(boss).put(path, body, if_match=answer.headers["etag"])
    assert (old.status_code, old.json()["code"]) == (412, "iam.gitops_stale")
    assert (await as_(boss).delete(path, if_match=answer.headers["etag"])).status_code == 412


@EVERY
async def test_a_list_is_brief(as_, boss, made, collection, body):
    answer, _ = await made(collection, body)
    items = (await as_(boss).get(collection)).json()["items"]
    (brief,) = [item for item in items if item["id"] == answer.json()["id"]]
    hidden = {"annotations", "acl", "hash_code", "password", "state", "uuid"}
    assert brief == {k: v for k, v in answer.json().items() if k not in hidden}


@EVERY
async def test_a_thing_is_deleted_and_each_change_is_told(as_, boss, iam, made, collection, body):
    _, path = await made(collection, body)
    await as_(boss).post(path, {"labels": {}})
    assert (await as_(boss).delete(path)).status_code == 204
    assert (await as_(boss).get(path)).status_code == 404
    assert (await as_(boss).delete(path)).status_code == 404
    assert (await as_(boss).put(path, body)).status_code == 404
    kind = collection.removesuffix("s")
    told = [f for f in iam.world.facts if f.action.startswith(f"{kind}.")][-3:]
    assert [f.action for f in told] == [f"{kind}.{v}" for v in ("created", "updated", "deleted")]
    assert [f.before is None for f in told] == [True, False, False]
    assert [f.after is None for f in told] == [False, False, True]
    assert (told[1].before["labels"], told[1].after["labels"]) == ({"env": "prod"}, {})


async def test_the_list_of_a_membership_is_the_groups(as_, boss, made):
    answer, path = await made("memberships", {"principal": "u_ann", "group": "g_ops"})
    other = {**answer.json(), "acl": acl((1, "u_ann"))}
    refused = await as_(boss).put(path, other)
    assert (refused.status_code, refused.json()["code"]) == (422, "iam.gitops_bad_field")


async def test_a_post_to_an_id_makes_and_then_changes_only_what_is_sent(as_, boss):
    made = await as_(boss).post("groups/g_ops", {"labels": {"a": "1"}, "description": "d"})
    assert made.status_code == 200
    changed = await as_(boss).post("groups/g_ops", {"annotations": {"b": "2"}})
    said = changed.json()
    assert (said["labels"], said["annotations"]) == ({"a": "1"}, {"b": "2"})
    assert (said["description"], said["state"]["version"]) == ("d", 2)
    same = await as_(boss).post("groups/g_ops", {"annotations": {"b": "2"}})
    assert same.json() == said, "what changes nothing is no change"
    stale = await as_(boss).post("groups/g_ops", {"hash_code": made.json()["hash_code"]})
    assert stale.status_code == 409
    gone = await as_(boss).post("groups/g_no", {"hash_code": made.json()["hash_code"]})
    assert gone.status_code == 404


async def test_lists_have_two_forms_and_a_second_page(as_, boss):
    for n in range(5):
        await as_(boss).post("groups", {"id": f"g_{n}"})
    whole = (await as_(boss).get("groups")).json()
    assert set(whole) == {"items"}
    seen, cursor = [], ""
    for more in (True, True, False):
        page = (await as_(boss).get(f"groups?limit=2{cursor}")).json()
        assert page["has_more"] is more
        assert ("next_cursor" in page) is more
        seen += page["items"]
        cursor = f"&cursor={page.get('next_cursor')}"
    assert seen == whole["items"]
    assert len(seen) == 5
    assert (await as_(boss).get("groups?limit=0")).status_code == 422
    assert (await as_(boss).get("groups?cursor=nonsense")).status_code == 400
    found = (await as_(boss).get("groups?search=G_3")).json()["items"]
    assert [item["id"] for item in found] == ["g_3"]


async def test_a_cursor_of_one_list_opens_no_other(as_, boss, iam):
    for n in range(3):
        await as_(boss).post("groups", {"id": f"g_{n}"})
    cursor = (await as_(boss).get("groups?limit=1")).json()["next_cursor"]
    other = iam.user(iam.tenant("other"), "o@o.test", roles=["admin"])
    for user, path in ((boss, "projects"), (other, "groups")):
        answer = await as_(user).get(f"{path}?limit=1&cursor={cursor}")
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor")


async def test_whom_the_acl_does_not_reach_is_told_the_same_as_of_nothing(as_, boss, ann):
    await as_(boss).post("groups", {"id": "g_ops"})
    body = {"labels": {"a": "b"}}
    for method, sent in (("get", None), ("put", body), ("delete", None), ("post", body)):
        here = await as_(ann)(method, "groups/g_ops", sent)
        nowhere = await as_(ann)(method, "groups/g_nil", sent)
        assert here.status_code == 404
        assert plain(here) == plain(nowhere)
    new = await as_(ann).post("groups", {"id": "g_mine"})
    assert plain(new) == plain(await as_(ann).get("groups/g_nil"))
    assert (await as_(ann).get("groups")).json() == {"items": []}
    assert (await as_(boss).get("groups/g_ops")).json()["labels"] == {}


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (1, {"get": 200, "list": 0, "put": 404, "delete": 404}),
        (2, {"get": 404, "list": 1, "put": 404, "delete": 404}),
        (7, {"get": 200, "list": 1, "put": 404, "delete": 404}),
        (16, {"get": 404, "list": 0, "put": 200, "delete": 204}),
        (31, {"get": 200, "list": 1, "put": 200, "delete": 204}),
    ],
)
async def test_bits_of_an_acl_let_one_do_what_they_say(as_, boss, ann, bits, expected):
    await as_(boss).post("groups", {"id": "g_ops", "acl": acl((bits, "u_ann"))})
    client = as_(ann)
    assert (await client.get("groups/g_ops")).status_code == expected["get"]
    assert len((await client.get("groups")).json()["items"]) == expected["list"]
    assert (await client.put("groups/g_ops", {})).status_code == expected["put"]
    assert (await client.delete("groups/g_ops")).status_code == expected["delete"]


async def test_acls_reach_through_nested_groups_and_circles(as_, boss, ann):
    names = [f"g_{n}" for n in range(12)]
    for name in names:
        await as_(boss).post("groups", {"id": name})
    await as_(boss).post("memberships", {"_from": "users/u_ann", "_to": "groups/g_0"})
    for inner, outer in pairwise(names):
        made = await as_(boss).post(f"memberships/{inner}::{outer}", {})
        assert made.status_code == 200
    circle = await as_(boss).post("memberships", {"principal": "g_3", "group": "g_0"})
    assert circle.status_code == 201
    for n, status in ((0, 200), (9, 200), (10, 404), (11, 404)):
        await as_(boss).post(f"projects/p{n}", {"acl": acl((1, f"g_{n}"))})
        assert (await as_(ann).get(f"projects/p{n}")).status_code == status, n
    await as_(boss).delete("memberships/u_ann::g_0")
    assert (await as_(ann).get("projects/p0")).status_code == 404


async def test_a_membership_is_shown_from_both_ends(as_, boss, ann):
    await as_(boss).post("groups", {"id": "g_ops"})
    said = (await as_(boss).post("memberships", {"id": "u_ann::g_ops"})).json()
    ends = {"principal": "u_ann", "group": "g_ops", "_from": "users/u_ann", "_to": "groups/g_ops"}
    assert ends.items() <= said.items()
    assert (await as_(boss).get("memberships")).json()["items"][0] == {
        "id": "u_ann::g_ops",
        "labels": {},
        **ends,
    }


async def test_a_membership_is_governed_by_its_group(as_, boss, ann, bob):
    await as_(boss).post("groups", {"id": "g_ops", "acl": acl((7, "u_ann"), (16, "u_bob"))})
    body = {"principal": "u_bob", "group": "g_ops"}
    assert (await as_(ann).post("memberships", body)).status_code == 404
    assert (await as_(bob).post("memberships", body)).status_code == 201
    assert (await as_(ann).get("memberships/u_bob::g_ops")).status_code == 200
    assert (await as_(bob).get("memberships/u_bob::g_ops")).status_code == 404
    assert len((await as_(ann).get("memberships")).json()["items"]) == 1
    assert (await as_(ann).delete("memberships/u_bob::g_ops")).status_code == 404
    assert (await as_(bob).delete("memberships/u_bob::g_ops")).status_code == 204


async def test_being_allowed_to_make_groups_is_not_to_fill_those_of_others(as_, boss, ann, iam):
    iam.world.users[ann.id] = ann.empowered("usr_create_groups", held=True)
    await as_(boss).post("groups", {"id": "g_theirs"})
    me = iam.world.users[ann.id]
    assert (await as_(me).post("groups", {"id": "g_mine"})).status_code == 201
    mine = await as_(me).post("memberships/u_ann::g_mine", {})
    theirs = await as_(me).post("memberships/u_ann::g_theirs", {})
    assert (mine.status_code, theirs.status_code) == (200, 404)


async def test_a_project_lends_its_list_to_what_has_none_of_its_own(as_, boss, ann, bob):
    entries = [
        {"permissions": 7, "principals": ["u_ann"], "scope": "groups"},
        {"permissions": 15, "principals": ["u_bob"], "scope": "pipeline_accounts"},
    ]
    await as_(boss).post("projects", {"id": "infra", "acl": {"list": entries}})
    await as_(boss).post("groups", {"id": "g_lent", "project": "infra"})
    await as_(boss).post("groups", {"id": "g_own", "project": "infra", "acl": acl((1, "u_bob"))})
    assert (await as_(ann).get("groups/g_lent")).status_code == 200
    assert (await as_(ann).get("groups/g_own")).status_code == 404
    assert (await as_(ann).get("projects/infra")).status_code == 404
    assert (await as_(bob).get("groups/g_lent")).status_code == 404
    made = await as_(bob).post("pipeline_accounts", {"id": "pa_ci", "project": "infra"})
    assert made.status_code == 201
    assert (
        await as_(ann).post("pipeline_accounts", {"id": "pa_x", "project": "infra"})
    ).status_code == 404
    assert (
        await as_(bob).post("pipeline_accounts", {"id": "pa_y", "project": "other"})
    ).status_code == 404
    assert [i["id"] for i in (await as_(ann).get("groups")).json()["items"]] == ["g_lent"]


async def test_what_is_deleted_takes_its_memberships_along(as_, boss, ann, iam):
    for name in ("g_a", "g_b"):
        await as_(boss).post("groups", {"id": name})
    await as_(boss).post("projects", {"id": "infra"})
    await as_(boss).post("pipeline_accounts", {"id": "pa_ci", "project": "infra"})
    await as_(boss).post("service_accounts", {"id": "sa_x", "project": "infra"})
    for key in ("u_ann::g_a", "g_a::g_b", "pa_ci::g_b", "sa_x::g_b"):
        assert (await as_(boss).post(f"memberships/{key}", {})).status_code == 200
    await as_(boss).delete("groups/g_a")
    left = [item["id"] for item in (await as_(boss).get("memberships")).json()["items"]]
    assert left == ["pa_ci::g_b", "sa_x::g_b"]
    await as_(boss).delete("projects/infra")
    left = [item["id"] for item in (await as_(boss).get("memberships")).json()["items"]]
    assert left == ["sa_x::g_b"]
    assert (await as_(boss).get("pipeline_accounts/pa_ci")).status_code == 404
    assert (await as_(boss).get("service_accounts/sa_x")).json()["project"] is None
    assert iam.world.actions().count("membership.deleted") == 3


@pytest.mark.parametrize("path", ["/api/v1/users/{id}", f"{G}/users/u_ann"])
async def test_whoever_comes_after_a_deleted_user_inherits_nothing(as_, boss, ann, path):
    await as_(boss).post("groups", {"id": "g_ops", "acl": acl((7, "u_ann"))})
    await as_(boss).post("memberships/u_ann::g_ops", {})
    await as_(boss).delete(path.format(id=ann.id))
    assert (await as_(boss).get("memberships")).json() == {"items": []}
    shown = (await as_(boss).get("groups/g_ops")).json()["acl"]["list"]
    assert shown == [{"permissions": 127, "principals": ["u_boss"]}]
    again = await as_(boss).post("users", {"id": "u_ann"})
    assert again.json()["uuid"] != str(ann.id)
    shown = (await as_(boss).get("groups/g_ops")).json()["acl"]["list"]
    assert shown == [{"permissions": 127, "principals": ["u_boss"]}]


@pytest.mark.parametrize(
    ("collection", "id_"),
    [
        ("users", "g_x"),
        ("users", "root"),
        ("groups", "u_x"),
        ("groups", "g_"),
        ("groups", "g_ünï"),
        ("groups", "g_x' OR 1=1--"),
        ("groups", "g_" + "x" * 64),
        ("service_accounts", "pa_x"),
        ("pipeline_accounts", "sa_x"),
        ("memberships", "u_x"),
        ("memberships", "u_x::u_y"),
        ("memberships", "x::g_y"),
        ("projects", "-x"),
        ("projects", "a b"),
    ],
)
async def test_an_id_of_another_form_is_422_and_says_which_form(as_, boss, iam, collection, id_):
    body = {"project": "infra"} if collection == "pipeline_accounts" else {}
    for answer in (
        await as_(boss).get(f"{collection}/{id_}"),
        await as_(boss).put(f"{collection}/{id_}", body),
        await as_(boss).post(f"{collection}/{id_}", body),
        await as_(boss).post(collection, {"id": id_, **body}),
        await as_(boss).delete(f"{collection}/{id_}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "iam.gitops_bad_id")
    assert iam.world.entities == {}


@pytest.mark.parametrize(
    ("collection", "body", "code"),
    [
        ("groups", {"id": "g_x", "acl": acl(*[(1, "u_boss")] * 1001)}, "iam.gitops_bad_acl"),
        ("groups", {"id": "g_x", "acl": acl((128, "u_boss"))}, "iam.gitops_bad_acl"),
        ("groups", {"id": "g_x", "acl": acl((0, "u_boss"))}, "iam.gitops_bad_acl"),
        ("groups", {"id": "g_x", "acl": acl((1, "u_nobody"))}, "iam.gitops_bad_acl"),
        ("groups", {"id": "g_x", "acl": acl((1,))}, "iam.gitops_bad_acl"),
        ("groups", {"id": "g_x", "acl": acl((1, "project"))}, "iam.gitops_bad_id"),
        (
            "projects",
            {
                "id": "x",
                "acl": {"list": [{"permissions": 1, "principals": ["u_boss"], "scope": "x"}]},
            },
            "iam.gitops_bad_acl",
        ),
        ("groups", {"id": "g_x", "email": "a@b.c"}, "iam.gitops_bad_field"),
        ("groups", {}, "iam.gitops_bad_field"),
        ("groups", {"id": "g_x", "project": "none"}, "iam.gitops_bad_field"),
        ("pipeline_accounts", {"id": "pa_x"}, "iam.gitops_bad_field"),
        ("memberships", {"principal": "u_nobody", "group": "g_ops"}, "iam.gitops_bad_field"),
        ("memberships", {"principal": "g_ops", "group": "g_ops"}, "iam.gitops_bad_field"),
        ("memberships", {"principal": "u_boss"}, "iam.gitops_bad_field"),
        (
            "memberships",
            {"id": "u_boss::g_ops", "principal": "u_ann", "group": "g_ops"},
            "iam.gitops_bad_field",
        ),
        (
            "memberships",
            {"principal": "u_boss", "group": "g_ops", "acl": acl((1, "u_boss"))},
            "iam.gitops_bad_field",
        ),
        (
            "groups",
            {"id": "g_x", "acl": {"list": [{"permissions": True, "principals": []}]}},
            "invalid",
        ),
        ("groups", {"id": "g_x", "owner_id": str(uuid4())}, "invalid"),
        ("groups", {"id": "g_x", "labels": {"a": 1}}, "invalid"),
        ("users", {"id": "u_x", "role": "admin"}, "invalid"),
        ("users", {"id": "u_x", "email": "no address"}, "iam.bad_email"),
        ("users", {"id": "u_x", "password": "12345"}, "iam.weak_password"),
    ],
)
async def test_what_cannot_be_is_422_and_nothing_changes(
    as_, boss, ann, iam, collection, body, code
):
    await as_(boss).post("groups", {"id": "g_ops"})
    before, facts = dict(iam.world.entities), len(iam.world.facts)
    answer = await as_(boss).post(collection, body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (iam.world.entities, len(iam.world.facts)) == (before, facts)


@pytest.mark.parametrize(
    ("collection", "one", "twin"),
    [
        ("groups", "g_Ops", "g_oPS"),
        ("projects", "Infra", "infra"),
        ("users", "u_Zoe", "u_zoe"),
    ],
)
async def test_names_that_differ_only_in_case_are_one(as_, boss, collection, one, twin):
    assert (await as_(boss).post(collection, {"id": one})).status_code == 201
    for answer in (
        await as_(boss).post(collection, {"id": twin}),
        await as_(boss).post(f"{collection}/{twin}", {}),
    ):
        assert answer.status_code == 409
    assert (await as_(boss).get(f"{collection}/{twin}")).status_code == 404


async def test_nobody_gives_more_by_an_acl_than_they_hold(as_, boss, ann, bob):
    await as_(boss).post("groups", {"id": "g_ops", "acl": acl((1 | 16, "u_ann"))})
    before = (await as_(boss).get("groups/g_ops")).json()
    for entries in (
        ((127, "u_ann"),),
        ((1 | 16, "u_ann"), (2, "u_bob")),
        ((1 | 16, "u_ann"), (8, "u_ann")),
    ):
        answer = await as_(ann).put("groups/g_ops", {"acl": acl(*entries)})
        assert (answer.status_code, answer.json()["code"]) == (403, "iam.more_than_you_hold")
    assert (await as_(boss).get("groups/g_ops")).json() == before
    lent = await as_(ann).post("groups/g_ops", {"acl": acl((1 | 16, "u_ann", "u_bob"))})
    assert lent.status_code == 200


async def test_users_here_are_the_users_there(as_, boss, web, iam, make):
    body = {"id": "u_zoe", "password": "long enough", "email": "zoe@acme.test"}
    made = (await as_(boss).post("users", body)).json()
    assert "password" not in made
    there = (await as_(boss).get(f"/api/v1/users/{made['uuid']}")).json()
    assert (there["username"], there["email"]) == ("zoe", "zoe@acme.test")
    assert there["roles"] == ["user"]
    login = await web.post("/api/v1/login", json={"user": "zoe", "password": "long enough"})
    assert login.status_code == 200
    off = await as_(boss).post("users/u_zoe", {"is_active": False})
    assert off.json()["is_active"] is False
    put = await as_(boss).put("users/u_zoe", {"labels": {"a": "b"}})
    assert (put.json()["is_active"], put.json()["email"]) == (False, "zoe@acme.test")
    assert all(session.ended_at for session in iam.world.sessions.values())


async def test_a_user_without_a_password_cannot_log_in(as_, boss, web):
    await as_(boss).post("users", {"id": "u_zoe"})
    for password in ("!", "x", "changeme"):
        login = await web.post("/api/v1/login", json={"user": "zoe", "password": password})
        assert login.status_code == 401


async def test_one_sees_oneself_and_changes_nothing(as_, ann, bob):
    assert [i["id"] for i in (await as_(ann).get("users")).json()["items"]] == ["u_ann"]
    assert (await as_(ann).get("users/u_ann")).status_code == 200
    assert (await as_(ann).put("users/u_ann", {"is_active": True})).status_code == 404
    assert (await as_(ann).get("users/u_bob")).status_code == 404


async def test_nobody_decides_over_who_may_do_more(as_, root, iam, tenant):
    user = iam.user(tenant, "m@acme.test", username="m", roles=["user"])
    manager = user.empowered("adm_user_manager", held=True)
    iam.world.users[manager.id] = manager
    for method, path, sent in (
        ("post", "users/u_root", {"password": "taken over!"}),
        ("put", "users/u_root", {"email": "me@acme.test"}),
        ("delete", "users/u_root", None),
    ):
        answer = await as_(manager)(method, path, sent)
        assert (answer.status_code, answer.json()["code"]) == (403, "iam.more_than_you_hold")
    assert (await as_(manager).post("users", {"id": "u_new"})).status_code == 201
    assert (await as_(manager).delete("users/u_new")).status_code == 204
    assert iam.world.users[root.id] == root


async def test_the_last_administrator_stays(as_, boss, iam):
    assert (await as_(boss).delete("users/u_boss")).status_code == 400
    root = iam.user(iam.tenant("platform"), "r@p.test", grants=(Grant("super_admin", "platform"),))
    answer = await as_(root).delete(f"users/{boss.id}")
    assert (answer.status_code, answer.json()["code"]) == (409, "iam.last_admin")
    assert iam.world.users[boss.id] == boss


async def test_another_tenant_is_another_world(as_, boss, ann, iam):
    made = (await as_(boss).post("groups", {"id": "g_ops"})).json()
    other = iam.user(iam.tenant("other"), "o@o.test", username="other", roles=["admin"])
    nowhere = await as_(other).get("groups/g_nil")
    for path in ("groups/g_ops", f"groups/{made['uuid']}", f"users/{ann.id}", "users/u_ann"):
        for method in ("get", "delete"):
            assert plain(await as_(other)(method, path)) == plain(nowhere)
        assert plain(await as_(other).put(path, {})) == plain(nowhere)
    assert [i["id"] for i in (await as_(other).get("users")).json()["items"]] == ["u_other"]
    assert (await as_(other).get("groups?search=ops")).json() == {"items": []}
    named = await as_(other).post("groups", {"id": "g_ops", "acl": acl((1, "u_ann"))})
    assert named.status_code == 422
    assert (await as_(other).post("groups", {"id": "g_ops"})).status_code == 201
    member = await as_(other).post("memberships", {"principal": str(ann.id), "group": "g_ops"})
    assert member.status_code == 422


async def test_godmode_opens_every_tenant(as_, boss, iam):
    made = (await as_(boss).post("groups", {"id": "g_ops"})).json()
    root = iam.user(iam.tenant("platform"), "r@p.test", grants=(Grant("adm_godmode", "platform"),))
    changed = await as_(root).post(f"groups/{made['uuid']}", {"labels": {"by": "root"}})
    assert changed.status_code == 200
    assert (await as_(boss).get("groups/g_ops")).json()["labels"] == {"by": "root"}


async def test_a_credential_that_only_reads_stays_so_even_for_root(as_, root):
    await as_(root).post("groups", {"id": "g_ops"})
    reading = as_(root, scope=frozenset({"group:read"}))
    assert (await reading.get("groups/g_ops")).status_code == 200
    assert (await reading.put("groups/g_ops", {})).status_code == 404
    assert (await reading.get("projects")).json() == {"items": []}
    assert (await reading.get("/api/v1/debug/collections")).status_code == 401


async def test_an_unknown_collection_is_404(as_, boss):
    answer = await as_(boss).get("audits")
    assert (answer.status_code, answer.json()["code"]) == (404, "iam.no_such_collection")
