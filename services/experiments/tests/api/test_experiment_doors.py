"""The REST doors, in process."""

import pytest

from chassis.http import rest_app
from experiments.api.rest import routers
from tests.openapi import wrong

PATH = "/api/v1/experiments"
SMALL = {"key": "checkout", "name": "New checkout"}
VARIANTS = [{"key": "a", "weight": 50_000}, {"key": "b", "weight": 50_000}]
FIELDS = {
    "id", "key", "name", "description", "hypothesis", "status", "owner_id", "unit", "flag_key",
    "variants", "start_date", "end_date", "time_zone", "start_local", "end_local", "started_at",
    "completed_at", "version", "created_at", "updated_at", "tags", "project", "environment", "traffic",
    "targeting", "layer", "metrics", "analysis", "plan", "plan_hash", "phase",
}  # fmt: skip


def as_(name):
    return {"authorization": f"Bearer {name}"}


async def test_the_smallest_body_makes_a_draft(client):
    answer = await client.post(PATH, json=SMALL)
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{PATH}/{made['id']}"
    assert answer.headers["etag"] == '"1"'
    assert set(made) == FIELDS
    assert (made["status"], made["flag_key"], made["owner_id"]) == ("DRAFT", "checkout", "ana")
    assert made["variants"] == [
        {"key": "control", "weight": 50_000, "serves": None, "is_control": True},
        {"key": "treatment", "weight": 50_000, "serves": None, "is_control": False},
    ]
    assert (await client.get(answer.headers["location"])).json() == made


async def test_a_taken_key_is_a_conflict(client, draft):
    answer = await client.post(PATH, json=SMALL)
    assert (answer.status_code, answer.json()["code"]) == (409, "experiments.key_taken")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"key": "k"},
        {"name": "n"},
        {**SMALL, "surprise": 1},
        {**SMALL, "owner_id": "me"},
        {**SMALL, "tenant": "00000000-0000-0000-0000-000000000009"},
        {**SMALL, "status": "ACTIVE"},
        {**SMALL, "key": ""},
        {**SMALL, "key": "no spaces"},
        {**SMALL, "key": "k\n"},
        {**SMALL, "key": "k" * 101},
        {**SMALL, "key": "018f0000-0000-7000-8000-000000000000"},
        {**SMALL, "name": " "},
        {**SMALL, "name": "n" * 201},
        {**SMALL, "name": 5},
        {**SMALL, "name": None},
        {**SMALL, "name": "a\x00b"},
        {**SMALL, "unit": "a b"},
        {**SMALL, "variants": []},
        {**SMALL, "variants": VARIANTS[:1]},
        {**SMALL, "variants": [VARIANTS[0], VARIANTS[0]]},
        {**SMALL, "variants": [VARIANTS[0], {"key": "b", "weight": 49_999}]},
        {**SMALL, "variants": [VARIANTS[0], {"key": "b", "weight": 50_000.0}]},
        {**SMALL, "variants": [VARIANTS[0], {"key": "b", "weight": "50000"}]},
        {**SMALL, "variants": [VARIANTS[0], {"key": "b", "weight": True}]},
        {**SMALL, "variants": [VARIANTS[0], {"key": "b", "weight": 50_000, "x": 1}]},
        [],
        "text",
    ],
)
async def test_a_body_that_is_not_exactly_right_is_422_and_makes_nothing(client, body, work):
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert work.experiments.kept == {}


async def test_names_may_be_in_any_script(client):
    name = "Größer ist 更好 🙂"
    made = (await client.post(PATH, json={**SMALL, "name": name})).json()
    assert made["name"] == name


@pytest.mark.parametrize("path", [f"{PATH}/unknown", f"{PATH}/1'%20OR%20'1'='1"])
async def test_the_stages_come_in_order(client, path):
    assert (await client.get(path, headers=as_("stranger"))).status_code == 401
    refused = await client.get(path, headers=as_("nora"))
    assert refused.status_code == 403
    assert refused.json()["detail"] == "Insufficient permissions: experiment:read required"
    assert (await client.get(path)).status_code == (404 if path.endswith("unknown") else 422)


async def test_without_the_permission_even_a_bad_body_is_403(client):
    answer = await client.post(PATH, json={"nonsense": 1}, headers=as_("vera"))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("POST", "", "experiment:create"),
        ("PATCH", "/checkout", "experiment:update"),
        ("DELETE", "/checkout", "experiment:delete"),
        ("POST", "/checkout/start", "experiment:update"),
        ("PUT", "/checkout/schedule", "experiment:schedule"),
        ("DELETE", "/checkout/schedule", "experiment:schedule"),
        ("POST", "/schedules/process", "experiment:process"),
    ],
)
async def test_who_may_only_read_is_told_which_permission_is_missing(
    client, draft, method, path, permission
):
    answer = await client.request(method, PATH + path, headers=as_("vera"))
    assert answer.status_code == 403
    assert permission in answer.json()["detail"]


async def test_an_experiment_of_another_tenant_looks_like_none(client, draft):
    theirs = await client.get(f"{PATH}/{draft.id}", headers=as_("otto"))
    none = await client.get(f"{PATH}/{draft.tenant}", headers=as_("otto"))
    assert (theirs.status_code, none.status_code) == (404, 404)
    blank = {"instance": "", "request_id": "", "detail": "", "error": ""}
    assert theirs.json() | blank == none.json() | blank
    assert theirs.json()["detail"] == none.json()["detail"].replace(
        str(draft.tenant), str(draft.id)
    )


async def test_a_patch_changes_what_it_says_and_no_more(client, draft, work):
    answer = await client.patch(f"{PATH}/checkout", json={"hypothesis": "h", "reason": "why"})
    after = answer.json()
    assert (after["hypothesis"], after["name"], after["version"]) == ("h", "New checkout", 2)
    assert answer.headers["etag"] == '"2"'
    assert work.facts[-1].reason == "why"


async def test_a_patch_can_set_the_split_of_a_draft(client, draft):
    body = {"variants": [{"key": "off", "weight": 99_999}, {"key": "on", "weight": 1}]}
    after = (await client.patch(f"{PATH}/checkout", json=body)).json()
    assert [v["weight"] for v in after["variants"]] == [99_999, 1]


@pytest.mark.parametrize(
    "body",
    [
        {"name": None},
        {"name": ""},
        {"variants": None},
        {"variants": []},
        {"variants": [{"key": "a", "weight": 1}, {"key": "b", "weight": 1}]},
        {"key": "other"},
        {"version": 9},
    ],
)
async def test_a_patch_that_is_not_exactly_right_is_422(client, draft, body, work):
    assert (await client.patch(f"{PATH}/checkout", json=body)).status_code == 422
    assert work.experiments.kept[draft.id] == draft


async def test_a_stale_if_match_is_412(client, draft):
    fresh = await client.patch(
        f"{PATH}/checkout", json={"name": "One"}, headers={"if-match": '"1"'}
    )
    stale = await client.patch(
        f"{PATH}/checkout", json={"name": "Two"}, headers={"if-match": '"1"'}
    )
    assert (fresh.status_code, stale.status_code) == (200, 412)
    for method, path in (("POST", "/start"), ("DELETE", "")):
        answer = await client.request(method, f"{PATH}/checkout{path}", headers={"if-match": '"1"'})
        assert (answer.status_code, answer.json()["code"]) == (412, "experiments.stale")


async def test_who_has_the_newest_version_gets_304(client, draft):
    same = await client.get(f"{PATH}/checkout", headers={"if-none-match": '"1"'})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", '"1"')
    other = await client.get(f"{PATH}/checkout", headers={"if-none-match": '"7"'})
    assert other.status_code == 200


async def test_the_clock_changes_the_etag_with_the_state(client, draft, clock):
    body = {"start_date": "2026-06-01T13:00:00Z"}
    before = await client.put(f"{PATH}/checkout/schedule", json=body)
    clock.forward(hours=1)
    etag = {"if-none-match": before.headers["etag"]}
    after = await client.get(f"{PATH}/checkout", headers=etag)
    assert (after.status_code, after.json()["status"]) == (200, "ACTIVE")


async def test_an_experiment_goes_through_its_life(client, draft):
    for move, status in [
        ("start", "ACTIVE"),
        ("pause", "PAUSED"),
        ("resume", "ACTIVE"),
        ("complete", "COMPLETED"),
        ("archive", "ARCHIVED"),
    ]:
        answer = await client.post(f"{PATH}/checkout/{move}")
        assert (answer.status_code, answer.json()["status"]) == (200, status)
    assert (await client.delete(f"{PATH}/checkout")).status_code == 204
    assert (await client.get(f"{PATH}/checkout")).status_code == 404


async def test_the_start_warns_of_a_flag_that_is_disabled(client, draft, flags):
    flags.enabled = False
    said = (await client.post(f"{PATH}/checkout/start")).json()
    assert (said["status"], len(said["warnings"])) == ("ACTIVE", 1)
    assert "flag 'checkout' is disabled" in said["warnings"][0]
    assert (await client.post(f"{PATH}/checkout/pause")).json()["warnings"] == []


async def test_an_impossible_move_says_what_is_possible(client, draft):
    answer = await client.post(f"{PATH}/checkout/resume", json={"reason": "because"})
    assert (answer.status_code, answer.json()["code"]) == (409, "experiments.wrong_state")
    assert answer.json()["detail"] == (
        "cannot resume experiment 'checkout': it is DRAFT; from there it can start"
    )


async def test_a_move_takes_a_reason_and_nothing_else(client, draft, work):
    assert (await client.post(f"{PATH}/checkout/start", json={"why": "x"})).status_code == 422
    await client.post(f"{PATH}/checkout/start", json={"reason": "go"})
    assert work.facts[-1].reason == "go"


async def test_pages_by_number(client):
    for number in range(3):
        await client.post(PATH, json={"key": f"k{number}", "name": "n"})
    page = (await client.get(PATH, params={"page": 2, "limit": 2, "sort": "key"})).json()
    assert [it["key"] for it in page["items"]] == ["k2"]
    assert (page["total"], page["page"], page["limit"]) == (3, 2, 2)


async def test_pages_by_cursor(client):
    for number in range(3):
        await client.post(PATH, json={"key": f"k{number}", "name": "n"})
    first = (await client.get(PATH, params={"limit": 2, "sort": "key"})).json()
    asked = {"limit": 2, "sort": "key", "cursor": first["next_cursor"]}
    last = (await client.get(PATH, params=asked)).json()
    assert [it["key"] for it in first["items"] + last["items"]] == ["k0", "k1", "k2"]
    assert last["has_more"] is False
    assert "next_cursor" not in last
    assert (await client.get(PATH, params={**asked, "page": 2})).status_code == 400
    assert (await client.get(PATH, params={**asked, "sort": "-key"})).status_code == 400


async def test_a_list_can_be_searched_and_filtered(client, draft):
    await client.post(PATH, json={"key": "pricing", "name": "Price"})
    await client.post(f"{PATH}/pricing/start")
    found = (await client.get(PATH, params={"search": "PRI"})).json()["items"]
    active = (await client.get(PATH, params={"status": "ACTIVE"})).json()["items"]
    assert [it["key"] for it in found] == [it["key"] for it in active] == ["pricing"]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "page=0", "limit=x", "status=RUNNING", "sort=owner", "search=%00"],
)
async def test_a_question_that_makes_no_sense_is_422(client, query):
    assert (await client.get(f"{PATH}?{query}")).status_code == 422


async def test_a_trailing_slash_makes_no_difference(client, draft):
    assert (await client.get(f"{PATH}/checkout/")).status_code == 200
    assert (await client.get(f"{PATH}/")).status_code == 200


async def test_a_method_that_a_path_does_not_know_is_405(client):
    assert (await client.put(PATH, json=SMALL)).status_code == 405


def test_the_doors_describe_themselves_in_valid_openapi():
    document = rest_app("experiments", routers).openapi()
    assert wrong(document) == []
    assert "/api/v1/experiments/{experiment}/start" in document["paths"]
