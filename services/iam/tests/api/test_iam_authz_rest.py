from uuid import uuid4

import pytest

from iam.domain.grants import Grant
from iam.usecases.roles import NewRole

AUTHZ = "/api/v1/authz"
TOGGLE = {"permission": "flag:toggle", "resource": {"kind": "flag", "id": "any"}}


@pytest.fixture
def boss(iam):
    return iam.user(iam.tenant(), "boss@acme.test", roles=["admin"])


@pytest.fixture
def ann(iam, boss):
    return iam.user(iam.world.tenants[boss.tenant], username="ann", roles=["viewer"])


@pytest.fixture
def stranger(iam):
    return iam.user(iam.tenant("other"), "s@other.test", roles=["admin"])


async def test_one_asks_about_oneself_and_about_others_with_the_right_to(
    web, asking, boss, ann, stranger
):
    async def ask(who, body):
        return await web.post(f"{AUTHZ}/check", json=body, headers=asking(who))

    assert (await ask(boss, TOGGLE)).json() == {"allowed": True}
    assert (await ask(ann, TOGGLE)).json() == {"allowed": False}
    assert (await ask(ann, {"permission": "view_feature_flags"})).json() == {"allowed": True}
    about = {**TOGGLE, "subject": str(ann.id)}
    assert (await ask(boss, about)).json() == {"allowed": False}
    assert (await ask(ann, about)).json() == {"allowed": False}
    nosy = await ask(ann, {**TOGGLE, "subject": str(boss.id)})
    assert nosy.json()["detail"] == "Insufficient permissions: role:read required"
    for unknown in (stranger.id, uuid4()):
        answer = await ask(boss, {**TOGGLE, "subject": str(unknown)})
        assert (answer.status_code, answer.json()["code"]) == (404, "iam.user_not_found")


async def test_what_is_another_tenants_looks_like_what_is_missing(
    web, iam, asking, boss, stranger, make
):
    role = await iam.roles.create(make.caller(stranger), NewRole(name="Theirs"))
    pairs = {"user": stranger.id, "tenant": stranger.tenant, "role": role.id}
    for kind, theirs in pairs.items():
        for verb in ("check", "explain"):
            said = [
                (
                    await web.post(
                        f"{AUTHZ}/{verb}",
                        json={
                            "permission": f"{kind}:read",
                            "resource": {"kind": kind, "id": str(id_)},
                        },
                        headers=asking(boss),
                    )
                ).json()
                for id_ in (theirs, uuid4(), "'; --")
            ]
            assert said[0] == said[1] == said[2]
            assert said[0]["allowed"] is False


async def test_an_explanation_names_roles_and_caps(web, asking, boss, ann):
    capped = asking(boss, permissions=frozenset({"flag:read"}), scope=frozenset({"flag:read"}))
    said = (await web.post(f"{AUTHZ}/explain", json=TOGGLE, headers=capped)).json()
    assert said == {
        "allowed": False,
        "need": ["flag:toggle"],
        "contributed_by": {f"role:admin@tenant:{boss.tenant}": ["flag:toggle"]},
        "removed_by": {"credential_scope": ["flag:toggle"]},
        "would_need": [],
    }
    lacking = (await web.post(f"{AUTHZ}/explain", json=TOGGLE, headers=asking(ann))).json()
    assert (lacking["would_need"], lacking["removed_by"]) == (["flag:toggle"], {})


async def test_ones_own_things_are_ones_own(web, iam, asking, ann, boss, make):
    login = await web.post("/api/login", json={"user": "ann", "password": make.password})
    assert login.status_code == 200
    (session,) = iam.world.sessions
    body = {"permission": "session:delete", "resource": {"kind": "session", "id": str(session)}}
    mine = await web.post(f"{AUTHZ}/explain", json=body, headers=asking(ann))
    assert mine.json()["contributed_by"] == {"owner": ["session:delete"]}
    me = {"permission": "user:read", "resource": {"kind": "user", "id": str(ann.id)}}
    assert (await web.post(f"{AUTHZ}/check", json=me, headers=asking(ann))).json()["allowed"]
    boss_ = {"permission": "user:read", "resource": {"kind": "user", "id": str(boss.id)}}
    assert not (await web.post(f"{AUTHZ}/check", json=boss_, headers=asking(ann))).json()["allowed"]


async def test_an_api_key_may_what_its_scopes_say(web, asking, boss):
    only = frozenset({"flag:evaluate"})
    key = asking(boss, kind="api_key", permissions=only, scope=only)
    for permission, allowed in (("flag:evaluate", True), ("flag:toggle", False)):
        answer = await web.post(f"{AUTHZ}/check", json={"permission": permission}, headers=key)
        assert answer.json() == {"allowed": allowed}


async def test_who_can_lists_those_of_the_own_tenant(web, iam, asking, boss, ann, stranger):
    iam.user(iam.world.tenants[boss.tenant], "off@x.y", roles=["admin"], active=False)
    answer = await web.post(f"{AUTHZ}/who-can", json=TOGGLE, headers=asking(boss))
    assert [p["id"] for p in answer.json()["items"]] == [str(boss.id)]
    assert (await web.post(f"{AUTHZ}/who-can", json=TOGGLE, headers=asking(ann))).status_code == 403


async def test_whoever_reaches_the_platform_asks_about_anybody(web, iam, asking, boss):
    root = iam.user(iam.tenant("platform"), "r@x.y", grants=(Grant("super_admin", "platform"),))
    body = {
        "permission": "user:delete",
        "resource": {"kind": "user", "id": str(boss.id)},
    }
    assert (await web.post(f"{AUTHZ}/check", json=body, headers=asking(root))).json()["allowed"]
    about = {**TOGGLE, "subject": str(boss.id)}
    assert (await web.post(f"{AUTHZ}/check", json=about, headers=asking(root))).json()["allowed"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"permission": "flag:explode"},
        {"permission": "flag:toggle", "resource": {"kind": "user"}},
        {"permission": "flag:toggle", "subject": "ann"},
        {"permission": "flag:toggle", "tenant": "x"},
    ],
)
async def test_a_question_that_is_none_is_422(web, asking, boss, body):
    answer = await web.post(f"{AUTHZ}/check", json=body, headers=asking(boss))
    assert answer.status_code == 422


def entity(type_, id_):
    return {"type": type_, "id": str(id_), "properties": {"unknown": 1}}


async def test_authzen_answers_one_question(web, asking, boss, ann):
    body = {
        "subject": entity("user", ann.id),
        "action": {"name": "read"},
        "resource": entity("flag", "checkout"),
        "context": {"time": "now"},
    }

    async def decided(**change):
        answer = await web.post(
            "/access/v1/evaluation", json={**body, **change}, headers=asking(boss)
        )
        assert answer.status_code == 200
        return answer.json()

    assert await decided() == {"decision": True}
    assert await decided(action={"name": "flag:toggle"}) == {"decision": False}
    assert await decided(action={"name": "explode"}) == {"decision": False}
    assert await decided(subject=entity("user", "nobody")) == {"decision": False}
    nosy = await web.post(
        "/access/v1/evaluation",
        json={**body, "subject": entity("user", boss.id)},
        headers=asking(ann),
    )
    assert nosy.status_code == 403


@pytest.mark.parametrize(
    ("semantic", "expected"),
    [
        (None, [False, True, False]),
        ("execute_all", [False, True, False]),
        ("deny_on_first_deny", [False]),
        ("permit_on_first_permit", [False, True]),
    ],
)
async def test_authzen_answers_several_questions_until_told_to_stop(
    web, asking, ann, semantic, expected
):
    body = {
        "subject": entity("user", ann.id),
        "resource": entity("flag", "checkout"),
        "evaluations": [{"action": {"name": n}} for n in ("toggle", "read", "delete")],
    }
    if semantic:
        body["options"] = {"evaluations_semantic": semantic}
    answer = await web.post("/access/v1/evaluations", json=body, headers=asking(ann))
    assert [e["decision"] for e in answer.json()["evaluations"]] == expected


async def test_an_evaluation_that_says_too_little_is_422(web, asking, ann):
    body = {"subject": entity("user", ann.id), "evaluations": [{"action": {"name": "read"}}]}
    answer = await web.post("/access/v1/evaluations", json=body, headers=asking(ann))
    assert answer.status_code == 422


@pytest.fixture
async def shop(web, asking, boss, ann):
    """A project whose list lets a group toggle flags; ann is in the group."""
    me = asking(boss)
    made = await web.post("/api/v1/global/groups", json={"id": "g_ops"}, headers=me)
    assert made.status_code == 201, made.text
    edge = {"principal": "u_ann", "group": "g_ops"}
    assert (await web.post("/api/v1/global/memberships", json=edge, headers=me)).status_code == 201
    entry = {"permissions": 32, "principals": ["g_ops"], "scope": "flag"}
    body = {"id": "shop", "acl": {"list": [entry]}}
    made = await web.post("/api/v1/global/projects", json=body, headers=me)
    assert made.status_code == 201, made.text
    return "shop"


async def test_the_list_of_a_project_counts_at_every_door(web, asking, boss, ann, shop):
    there = {"kind": "flag", "id": "any", "project": shop}
    question = {"permission": "flag:toggle", "resource": there}
    said = await web.post(f"{AUTHZ}/check", json=question, headers=asking(ann))
    assert said.json() == {"allowed": True}
    about = {**question, "subject": str(ann.id)}
    assert (await web.post(f"{AUTHZ}/check", json=about, headers=asking(boss))).json()["allowed"]
    told = (await web.post(f"{AUTHZ}/explain", json=question, headers=asking(ann))).json()
    assert told["allowed"]
    assert told["contributed_by"] == {"acl": ["flag:toggle"]}
    may = (await web.post(f"{AUTHZ}/who-can", json=question, headers=asking(boss))).json()
    assert {p["id"] for p in may["items"]} == {str(boss.id), str(ann.id)}
    body = {"subject": entity("user", ann.id), "action": {"name": "toggle"}}
    flag = {"type": "flag", "id": "any", "properties": {"project": shop, "owner": 7}}
    for resource, decision in ((flag, True), (entity("flag", "any"), False)):
        asked = {**body, "resource": resource}
        answer = await web.post("/access/v1/evaluation", json=asked, headers=asking(ann))
        assert answer.json() == {"decision": decision}


@pytest.mark.parametrize(
    "change",
    [{"project": "elsewhere"}, {"project": ""}, {"project": "shop", "kind": "experiment"}],
)
async def test_the_list_of_a_project_counts_for_its_own_things_only(web, asking, ann, shop, change):
    there = {"kind": "flag", "id": "any", **change}
    verb = "toggle" if there["kind"] == "flag" else "update"
    question = {"permission": f"{there['kind']}:{verb}", "resource": there}
    said = await web.post(f"{AUTHZ}/check", json=question, headers=asking(ann))
    assert said.json() == {"allowed": False}


async def test_a_credential_caps_what_a_list_gives(web, asking, ann, shop):
    there = {"kind": "flag", "id": "any", "project": shop}
    question = {"permission": "flag:toggle", "resource": there}
    capped = asking(ann, scope=frozenset({"flag:read"}))
    said = (await web.post(f"{AUTHZ}/explain", json=question, headers=capped)).json()
    assert not said["allowed"]
    assert said["removed_by"] == {"credential_scope": ["flag:toggle"]}


async def test_the_owner_that_a_question_names_may_what_owners_may(web, iam, asking, boss):
    bob = iam.user(iam.world.tenants[boss.tenant], "bob@acme.test", roles=["user"])
    for owner, allowed in ((bob.id, True), (boss.id, False)):
        there = {"kind": "agent", "id": "x", "owner": str(owner)}
        question = {"permission": "agent:delete", "resource": there}
        said = await web.post(f"{AUTHZ}/check", json=question, headers=asking(bob))
        assert said.json() == {"allowed": allowed}


async def test_the_lists_of_our_own_things_count(web, asking, boss, ann):
    me = asking(boss)
    entry = {"permissions": 1, "principals": ["u_ann"]}
    body = {"id": "g_ops", "acl": {"list": [entry]}}
    made = (await web.post("/api/v1/global/groups", json=body, headers=me)).json()
    for id_ in ("g_ops", made["uuid"]):
        question = {"permission": "group:delete", "resource": {"kind": "group", "id": id_}}
        assert (await web.post(f"{AUTHZ}/check", json=question, headers=me)).json()["allowed"]
        said = await web.post(f"{AUTHZ}/check", json=question, headers=asking(ann))
        assert said.json() == {"allowed": False}
        told = await web.post(f"{AUTHZ}/who-can", json=question, headers=me)
        assert [p["id"] for p in told.json()["items"]] == [str(boss.id)]
    missing = {"permission": "group:delete", "resource": {"kind": "group", "id": "g_none"}}
    said = await web.post(f"{AUTHZ}/check", json=missing, headers=me)
    assert said.json() == {"allowed": False}
