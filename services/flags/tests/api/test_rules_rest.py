"""Rules, segments, environments and a flag's past in REST."""

from dataclasses import replace

import httpx
import pytest

from chassis.http import Wiring, rest_app
from flags.api.rest import routers
from flags.domain.segment import Members

URL = "/api/v1/feature-flags"
SEGMENTS = "/api/v1/segments"
SWISS = {"op": "eq", "attribute": "country", "value": "CH"}
HALF = {"weights": [{"variant": "on", "weight": 50_000}, {"variant": "off", "weight": 50_000}]}
RULES = [{"id": "swiss", "when": SWISS, "variant": "on"}, {"split": HALF}]


@pytest.fixture
async def web(identity, flags, projects, segments, revisions, explaining):
    uses = {type(use): use for use in (flags, projects, segments, revisions, explaining)}
    app = rest_app("flags", routers, Wiring(identity=identity, uses=uses))
    transport = httpx.ASGITransport(app)
    headers = {"authorization": "Bearer ana"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://flags.test", headers=headers
    ) as client:
        yield client


@pytest.fixture
async def flag(web):
    body = {"key": "f", "name": "F", "rules": RULES, "default_variant": "off"}
    made = await web.post(URL, json=body)
    assert made.status_code == 201, made.text
    return made.json()


def pointers(answer):
    assert answer.status_code == 422, answer.text
    return {error["pointer"]: error["code"] for error in answer.json()["errors"]}


async def test_rules_are_sent_shown_and_replaced_in_one_environment(web, flag):
    assert (flag["rules"], flag["targets"], flag["targeted"]) == (RULES, [], True)
    targets = [{"variant": "on", "values": ["ana"]}]
    edit = {"rules": [], "targets": targets, "reason": "only Ana"}
    changed = (await web.patch(f"{URL}/f", json=edit)).json()
    assert (changed["rules"], changed["targets"], changed["version"]) == ([], targets, 2)
    there = (await web.get(f"{URL}/f", params={"environment": "development"})).json()
    assert there["rules"] == RULES
    [listed] = (await web.get(URL)).json()["items"]
    assert listed["targeted"] is True
    assert "rules" not in listed
    assert (await web.get(f"{URL}/f/revisions/2")).json()["reason"] == "only Ana"


async def test_what_is_wrong_with_rules_is_told_with_a_pointer_to_the_clause(web, flag):
    bad = [
        {
            "when": {"all": [SWISS, {"op": "num_gt", "attribute": "age", "value": "18"}]},
            "variant": "on",
        },
        {
            "when": {"op": "in_cidr", "attribute": "ip", "values": ["10.0.0.0/8", "10/33"]},
            "variant": "on",
        },
        {"when": {"op": "semver_ge", "attribute": "v", "value": "one"}, "variant": "on"},
        {"when": {"op": "telepathy", "attribute": "v"}, "variant": "on"},
    ]
    refused = await web.patch(f"{URL}/f", json={"rules": bad})
    assert refused.json()["code"] == "flags.bad_rules"
    assert pointers(refused) == {
        "/rules/0/when/all/1/value": "invalid",
        "/rules/1/when/values/1": "cidr",
        "/rules/2/when/value": "semver",
        "/rules/3/when/op": "unknown_operator",
    }
    refused = await web.patch(
        f"{URL}/f", json={"prerequisites": [{"flag": "f", "variants": ["on"]}]}
    )
    assert pointers(refused) == {"": "cycle"}
    assert "/rules/0" in pointers(await web.patch(f"{URL}/f", json={"rules": ["x"]}))
    for key in ("gone", "a/ü" * 60):
        needs = {"prerequisites": [{"flag": key, "variants": ["on"]}]}
        assert pointers(await web.patch(f"{URL}/f", json=needs)) == {"/prerequisites/0": "dangling"}
    assert "/rules" in pointers(await web.patch(f"{URL}/f", json={"rules": [{}] * 10_001}))
    assert (await web.get(f"{URL}/f")).json() == flag


async def test_what_looks_like_a_mistake_is_kept_and_warned_of(web, flag):
    changed = await web.patch(f"{URL}/f", json={"rules": [{"variant": "on"}, *RULES]})
    assert changed.status_code == 200
    assert [(w["severity"], w["pointer"]) for w in changed.json()["warnings"]] == [
        ("warning", "/rules/1"),
        ("warning", "/rules/2"),
    ]


async def test_variants_follow_the_flags_own_json_schema(web):
    schema = {
        "type": "object",
        "required": ["colour"],
        "properties": {"colour": {"type": "string"}},
    }
    body = {"key": "j", "name": "J", "type": "json", "json_schema": schema}
    fits = {"a": {"colour": "red"}, "b": {"colour": "blue"}}
    made = await web.post(URL, json=body | {"variants": fits})
    assert made.json()["json_schema"] == schema
    wrong = await web.post(URL, json=body | {"key": "k", "variants": {"a": {"colour": 1}}})
    assert pointers(wrong) == {"/variants/a/colour": "invalid"}
    assert pointers(await web.patch(f"{URL}/j", json={"variants": {"a": {}}})) == {
        "/variants/a": "invalid"
    }
    bad = await web.patch(f"{URL}/j", json={"json_schema": {"$ref": "https://elsewhere.example"}})
    assert pointers(bad) == {"/json_schema/$ref": "invalid"}
    assert (await web.patch(f"{URL}/j", json={"json_schema": None})).json()["json_schema"] is None
    boolean = await web.post(URL, json={"key": "l", "name": "L", "json_schema": {}})
    assert boolean.json()["code"] == "flags.bad_schema"


async def test_an_explanation_tells_every_clause(web, flag):
    await web.post(f"{URL}/f/enable")
    context = {"targetingKey": "u", "country": "FR"}
    told = (await web.post(f"{URL}/f/explain", json={"context": context})).json()
    assert (told["reason"], told["key"]) == ("SPLIT", "f")
    status, first, second, split = told["steps"]
    assert (status["enabled"], first["holds"], second["holds"]) == (True, False, True)
    assert first["condition"] == {
        "pointer": "/rules/0/when",
        "op": "eq",
        "attribute": "country",
        "kind": "user",
        "operand": {"value": "CH"},
        "found": "FR",
        "holds": False,
    }
    assert (split["unit"], split["salt"], split["variant"]) == ("u", "f", told["variant"])
    missing = (await web.post(f"{URL}/f/explain", json={})).json()
    assert missing["error_code"] == "TARGETING_KEY_MISSING"
    assert "variant" not in missing
    then = await web.post(f"{URL}/f/explain", json={"revision": 1, "context": context})
    assert then.json()["reason"] == "DISABLED"
    for wrong in ({"revision": 1, "at": "2026-01-01T00:00:00Z"}, {"context": []}, {"revision": 0}):
        assert (await web.post(f"{URL}/f/explain", json=wrong)).status_code == 422
    assert (await web.post(f"{URL}/f/explain", json={"revision": 99})).status_code == 404


async def test_a_draft_is_explained_as_not_served(web):
    await web.post(URL, json={"key": "d", "name": "D", "lifecycle": "draft"})
    told = (await web.post(f"{URL}/d/explain", json={})).json()
    assert (told["error_code"], told["steps"]) == (
        "FLAG_NOT_FOUND",
        [{"step": "lifecycle", "served": False}],
    )


async def test_a_preview_counts_whom_an_edit_would_move_and_changes_nothing(
    web, flag, rulesets, ana, here
):
    contexts = [{"targetingKey": f"u{n}", "country": "FR"} for n in range(200)]
    edit = {"rules": [{"variant": "on"}], "contexts": contexts}
    told = (await web.post(f"{URL}/f/preview", json=edit)).json()
    assert (told["units"], told["source"]) == (200, "given")
    assert 60 < told["moved"] < 140
    assert told["moves"] == [{"before": "off", "after": "on", "count": told["moved"]}]
    assert (await web.get(f"{URL}/f")).json() == flag
    held = await rulesets.open(ana)
    held.seen.extend([{"targetingKey": "u1"}, {"targetingKey": "u2"}, {"targetingKey": "u1"}])
    seen = (await web.post(f"{URL}/f/preview", json={"rules": []})).json()
    assert (seen["units"], seen["source"]) == (2, "seen")
    assert pointers(await web.post(f"{URL}/f/preview", json={"rules": [{"variant": "x"}]}))


async def test_a_flags_past_is_listed_compared_and_brought_back(web, flag):
    await web.patch(f"{URL}/f", json={"name": "G"})
    await web.post(f"{URL}/f/toggle", json={"reason": "go"})
    page = (await web.get(f"{URL}/f/revisions", params={"limit": 2})).json()
    assert [(r["number"], r["reason"]) for r in page["items"]] == [(3, "go"), (2, "")]
    assert page["total"] == 3
    rest = await web.get(f"{URL}/f/revisions", params={"limit": 2, "cursor": page["next_cursor"]})
    assert [r["number"] for r in rest.json()["items"]] == [1]
    diff = (await web.get(f"{URL}/f/revisions/diff", params={"before": 1, "after": 2})).json()
    assert diff["differences"] == [{"pointer": "/name", "before": "F", "after": "G"}]
    back = await web.post(f"{URL}/f/revert", json={"revision": 1, "reason": "oops"})
    assert (back.json()["name"], back.json()["status"], back.headers["etag"]) == (
        "F",
        "disabled",
        '"4"',
    )
    stale = await web.post(f"{URL}/f/revert", json={"revision": 1}, headers={"if-match": '"2"'})
    assert stale.status_code == 412
    assert (await web.get(f"{URL}/f/revisions/99")).status_code == 404
    assert (await web.get(f"{URL}/f/revisions/x")).status_code == 422
    assert (await web.get(f"{URL}/nope/revisions")).status_code == 404


async def test_more_ids_than_are_given_at_once_are_asked_for_in_pages(web, work):
    made = (await web.post(SEGMENTS, json={"key": "big", "name": "Big"})).json()
    [(kept, _)] = [one for one in work.kept_segments.values() if str(one[0].id) == made["id"]]
    for count, status in ((10_000, 200), (10_001, 400)):
        ids = frozenset(f"u{n}" for n in range(count))
        work.kept_segments[kept.id] = (kept, Members(included=ids))
        got = await web.get(f"{SEGMENTS}/big/members")
        assert got.status_code == status
    assert got.json()["code"] == "pagination_required"
    page = await web.get(f"{SEGMENTS}/big/members", params={"limit": 100})
    assert (len(page.json()["included"]), page.json()["total"]) == (100, 10_001)


async def test_segments_are_made_filled_used_and_deleted(web, flag):
    made = await web.post(SEGMENTS, json={"key": "beta", "name": "Beta", "when": SWISS})
    assert (made.status_code, made.headers["location"]) == (201, f"{SEGMENTS}/{made.json()['id']}")
    same = await web.get(f"{SEGMENTS}/beta", headers={"if-none-match": made.headers["etag"]})
    assert same.status_code == 304
    moved = await web.post(
        f"{SEGMENTS}/beta/members", json={"include": ["a", "b"], "exclude": ["c"]}
    )
    assert (moved.json()["included"], moved.json()["excluded"]) == (2, 1)
    members = (await web.get(f"{SEGMENTS}/beta/members")).json()
    assert members == {"included": ["a", "b"], "excluded": ["c"]}
    first = (await web.get(f"{SEGMENTS}/beta/members", params={"limit": 2})).json()
    assert (first["included"], first["excluded"], first["total"]) == (["a"], ["c"], 3)
    after = {"limit": 2, "cursor": first["next_cursor"]}
    rest = (await web.get(f"{SEGMENTS}/beta/members", params=after)).json()
    assert rest == {"included": ["b"], "excluded": [], "has_more": False}
    second = (await web.get(f"{SEGMENTS}/beta/members", params={"limit": 2, "page": 2})).json()
    assert (second["included"], second["page"], "next_cursor" in second) == (["b"], 2, False)
    patched = await web.patch(f"{SEGMENTS}/beta", json={"when": None, "description": "β"})
    assert (patched.json()["when"], patched.json()["version"]) == (None, 3)
    [listed] = (await web.get(SEGMENTS, params={"search": "β"})).json()["items"]
    assert listed == patched.json()
    rules = [{"when": {"op": "in_segment", "segments": ["beta"]}, "variant": "on"}]
    await web.patch(f"{URL}/f", json={"rules": rules})
    used = (await web.get(f"{SEGMENTS}/beta/used-by")).json()["items"]
    assert used == [{"kind": "flag", "key": "f", "environment": "production"}]
    refused = await web.delete(f"{SEGMENTS}/beta")
    assert (refused.status_code, refused.json()["code"]) == (409, "flags.segment_in_use")
    await web.patch(f"{URL}/f", json={"rules": []})
    assert (await web.delete(f"{SEGMENTS}/beta")).status_code == 204
    assert (await web.get(f"{SEGMENTS}/beta")).status_code == 404
    assert (await web.get(f"{URL}/f/used-by")).json() == {"items": []}


async def test_a_segment_that_cannot_be_served_is_refused(web):
    body = {"key": "s", "name": "S"}
    for when, pointer in (
        ({"op": "num_gt", "attribute": "a", "value": "x"}, "/when/value"),
        ({"op": "in_segment", "segments": ["s"]}, "/when"),
        ({"op": "flag", "flag": "gone", "variants": ["on"]}, "/when"),
        ("x", "/when"),
    ):
        assert pointer in pointers(await web.post(SEGMENTS, json=body | {"when": when}))
    assert "/key" in pointers(await web.post(SEGMENTS, json=body | {"key": "'; DROP"}))
    assert "/owner_id" in pointers(await web.post(SEGMENTS, json=body | {"owner_id": "me"}))
    assert (await web.get(f"{SEGMENTS}/'")).status_code == 422


async def test_environments_come_and_go(web, flag):
    url = "/api/v1/environments"
    made = await web.post(url, json={"key": "staging", "name": "Staging"})
    assert (made.status_code, made.headers["location"], made.headers["etag"]) == (
        201,
        f"{url}/staging",
        '"1"',
    )
    assert (await web.post(url, json={"key": "staging", "name": "x"})).status_code == 409
    there = (await web.get(f"{URL}/f", params={"environment": "staging"})).json()
    assert (there["status"], there["rules"]) == ("disabled", [])
    renamed = await web.patch(f"{url}/staging", json={"name": "Stage"}, headers={"if-match": '"1"'})
    assert (renamed.json()["name"], renamed.headers["etag"]) == ("Stage", '"2"')
    assert (
        await web.patch(f"{url}/staging", json={"name": "x"}, headers={"if-match": '"1"'})
    ).status_code == 412
    assert (await web.get(f"{url}/staging", headers={"if-none-match": '"2"'})).status_code == 304
    assert (await web.delete(f"{url}/staging")).status_code == 204
    assert (await web.get(f"{url}/staging")).status_code == 404
    assert (await web.delete(f"{url}/production")).json()["code"] == "flags.environment_kept"
    assert [e["key"] for e in (await web.get(url)).json()["items"]] == ["production", "development"]


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("GET", f"{SEGMENTS}/none", "segment:read"),
        ("POST", SEGMENTS, "segment:create"),
        ("PATCH", f"{SEGMENTS}/none", "segment:update"),
        ("POST", f"{SEGMENTS}/none/members", "segment:update"),
        ("DELETE", f"{SEGMENTS}/none", "segment:delete"),
        ("POST", "/api/v1/environments", "environment:create"),
        ("DELETE", "/api/v1/environments/none", "environment:delete"),
        ("GET", f"{URL}/none/revisions", "flag:read"),
        ("POST", f"{URL}/none/revert", "flag:update"),
        ("POST", f"{URL}/none/explain", "flag:read"),
        ("POST", f"{URL}/none/preview", "flag:read"),
    ],
)
async def test_who_may_not_is_told_which_permission_is_missing_before_anything_else(
    web, identity, ana, method, path, permission
):
    identity.people["eve"] = replace(ana, permissions=frozenset({"flag:toggle"}))
    refused = await web.request(method, path, headers={"authorization": "Bearer eve"}, json={})
    assert refused.status_code == 403
    assert refused.json()["detail"] == f"Insufficient permissions: {permission} required"
