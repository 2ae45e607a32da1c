"""Experiments decide what a client evaluates, from start to end, by the clock; what makes no sense is told."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import httpx
import pytest

pytestmark = pytest.mark.journey
PATH = "/api/v1/experiments"


@pytest.fixture
async def sdk(org, url):
    key = await org.key()
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": key}) as client:
        yield client


async def served(sdk, unit="u", key="checkout", **context):
    body = {"context": {"targetingKey": unit, **context}}
    answer = await sdk.post(f"/ofrep/v1/evaluate/flags/{key}", json=body)
    return answer.json()


async def post(org, path, body=None, status=201):
    answer = await org.web.post(path, json=body or {})
    assert answer.status_code == status, answer.text
    return answer.json()


async def told(org, key="checkout"):
    return (await org.web.get(f"{PATH}/{key}/allocation")).json()


async def test_the_smallest_experiment_assigns_until_it_is_paused(org, sdk, eventually):
    await post(org, PATH, {"key": "checkout", "name": "Checkout"})
    started = await post(org, f"{PATH}/checkout/start", {"reason": "go"}, 200)

    async def split():
        return (await served(sdk)).get("reason") == "SPLIT"

    await eventually(split)
    seen = [await served(sdk, f"unit-{n}") for n in range(60)]
    assert Counter(one["variant"] for one in seen).keys() == {"control", "treatment"}
    assert all(one["value"] is (one["variant"] == "treatment") for one in seen)
    marks = {"experiment": "checkout", "experimentPhase": 1}
    assert marks.items() <= seen[0]["metadata"].items()
    assert (await told(org))["state"] == "published"
    await post(org, f"{PATH}/checkout/pause", {"reason": "look"}, 200)

    async def alone():
        return (await served(sdk)).get("reason") != "SPLIT"

    await eventually(alone)
    [first] = (await org.web.get(f"{PATH}/checkout/phases")).json()["items"]
    assert first["ended_at"]

    async def entries():
        found = await org.web.get(
            "/api/v1/audit-logs", params={"entity_id": started["id"], "action_type": "started"}
        )
        return found.json()["items"]

    [entry] = await eventually(entries)
    assert entry["reason"] == "go"
    assert started["plan_hash"] in str(entry["new_value"])


async def test_a_boundary_is_exact_to_the_second_on_the_assignment_path(org, sdk, eventually):
    await post(org, PATH, {"key": "timed", "name": "Timed"})
    start = datetime.now(UTC) + timedelta(seconds=6)
    body = {"start_date": start.isoformat()}
    answer = await org.web.put(f"{PATH}/timed/schedule", json=body)
    assert answer.status_code == 200, answer.text

    async def known():
        return (await told(org, "timed"))["state"] == "published"

    await eventually(known)

    async def there():
        return (await served(sdk, key="timed")).get("reason") == "DEFAULT"

    await eventually(there)
    assert datetime.now(UTC) < start
    async with asyncio.timeout(30):
        while (await served(sdk, key="timed"))["reason"] != "SPLIT":
            await asyncio.sleep(0.02)
    late = time.time() - start.timestamp()
    assert 0 <= late <= 1


async def test_targeting_traffic_and_a_missing_unit_leave_others_alone(org, sdk, eventually):
    body = {"key": "checkout", "name": "C", "environment": "production"}
    body["targeting"] = {"op": "eq", "attribute": "plan", "value": "pro"}
    await post(org, PATH, body)
    await post(org, f"{PATH}/checkout/start", status=200)

    async def split():
        return (await served(sdk, plan="pro")).get("reason") == "SPLIT"

    await eventually(split)
    assert (await served(sdk, plan="free"))["reason"] == "DEFAULT"
    assert (await served(sdk, unit="", plan="pro"))["reason"] == "DEFAULT"
    after = await org.web.patch(f"{PATH}/checkout", json={"traffic": 0, "reason": "stop the flow"})
    assert (after.status_code, after.json()["phase"]) == (200, 2)

    async def dry():
        return (await served(sdk, plan="pro"))["reason"] == "DEFAULT"

    await eventually(dry)


async def test_a_link_to_a_report_is_read_without_any_credential(org, url):
    await post(org, PATH, {"key": "checkout", "name": "C"})
    await post(org, f"{PATH}/checkout/start", status=200)
    body = {"experiment": "checkout", "title": "First look", "access": "link"}
    made = await post(org, "/api/v1/reports", body)
    async with httpx.AsyncClient(base_url=url) as nobody:
        shown = await nobody.get(made["link"])
        assert (shown.status_code, shown.json()["title"]) == (200, "First look")
        assert (await nobody.get(f"/api/v1/reports/{made['id']}")).status_code == 401
        await org.web.patch(f"/api/v1/reports/{made['id']}", json={"access": "private"})
        assert (await nobody.get(made["link"])).status_code == 404


SKEWED = [{"key": "a", "weight": 50_000}, {"key": "b", "weight": 49_999}]
BAD_BODIES = [
    ({"variants": SKEWED}, "/variants"),
    ({"variants": [*SKEWED[:1], *SKEWED[:1]]}, "/variants"),
    ({"traffic": -1}, "/traffic"),
    ({"metric_keys": ["gone"]}, "/metrics/0/key"),
    ({"layer": {"key": "nothing", "start": 7, "end": 7}}, None),
    ({"analysis": {"alpha": 2}}, "/analysis/alpha"),
    ({"owner_id": "me"}, "/owner_id"),
]


@pytest.mark.parametrize(("words", "pointer"), BAD_BODIES)
async def test_a_body_that_makes_no_sense_is_a_problem_document(org, words, pointer):
    answer = await org.web.post(PATH, json={"key": "bad", "name": "Bad", **words})
    said = answer.json()
    assert answer.status_code in (404, 422), said
    assert pointer is None or said["errors"][0]["pointer"] == pointer, said
    assert (await org.web.get(PATH)).json()["total"] == 0


async def test_bad_dates_overlaps_and_late_changes_change_nothing(org):
    await post(org, "/api/v1/layers", {"key": "page", "name": "Page"})
    layer = {"key": "page", "start": 0, "end": 50_000}
    made = await post(org, PATH, {"key": "one", "name": "One", "layer": layer})
    other = {"key": "two", "name": "Two", "layer": {**layer, "start": 49_999, "end": 60_000}}
    assert (await post(org, PATH, other, 409))["code"] == "experiments.range_taken"
    dates = [
        ("2040-01-02T00:00", "2040-01-01T00:00", "experiments.bad_schedule"),
        ("2040-01-01T00:00", "2040-01-01T00:59", "experiments.bad_schedule"),
    ]
    for start, end, code in dates:
        body = {"start_date": start, "end_date": end}
        answer = await org.web.put(f"{PATH}/one/schedule", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
    gap = {"start_date": "2040-03-25T02:30", "time_zone": "Europe/Berlin"}
    answer = await org.web.put(f"{PATH}/one/schedule", json=gap)
    assert answer.json()["code"] == "experiments.skipped_time"
    unknown = await org.web.patch(f"{PATH}/one", json={"targeting": {"op": "no"}})
    assert unknown.status_code == 200  # a draft; flags is asked when it is to begin
    refused = await org.web.post(f"{PATH}/one/start", json={})
    said = refused.json()
    assert (refused.status_code, said["code"]) == (422, "flags.bad_allocation")
    assert said["errors"][0]["pointer"] == "/targeting/op"
    assert (await org.web.get(f"{PATH}/one")).json()["status"] == "DRAFT"
    await org.web.patch(f"{PATH}/one", json={"targeting": None})
    many = await asyncio.gather(*(org.web.post(f"{PATH}/one/start", json={}) for _ in range(8)))
    assert sorted(answer.status_code for answer in many) == [200, *[409] * 7]
    late = await org.web.patch(f"{PATH}/one", json={"unit": "account"})
    assert (late.status_code, late.json()["code"]) == (409, "experiments.plan_frozen")
    phases = (await org.web.get(f"{PATH}/{made['id']}/phases")).json()["items"]
    assert [phase["number"] for phase in phases] == [1]
