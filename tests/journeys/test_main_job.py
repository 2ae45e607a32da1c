"""The main job: log in, make a flag, toggle it with a reason, read who did it and why; evaluate it with an API key."""

import asyncio
import itertools

import httpx
import pytest
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import Reason

pytestmark = pytest.mark.journey


async def entries(web, **filters):
    answer = await web.get("/api/v1/audit-logs", params=filters)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_a_toggle_is_in_the_audit_log_with_who_and_why(org, eventually):
    flag = await org.flag("dark-mode")
    assert flag["status"] == "disabled"
    toggled = await org.web.post(
        f"/api/v1/feature-flags/{flag['id']}/toggle",
        json={"reason": "incident 7 - größer"},
        headers={"x-request-id": "my-own-request-id"},
    )
    assert (toggled.status_code, toggled.json()["status"]) == (200, "enabled")

    async def seen():
        return await entries(org.web, entity_id=flag["id"], action_type="toggle_enabled")

    [entry] = await eventually(seen)
    assert entry["reason"] == "incident 7 - größer"
    assert entry["user_email"] == org.email
    assert (entry["entity_type"], entry["entity_name"]) == ("feature_flag", "dark-mode")
    assert entry["old_value"] == "disabled"
    assert entry["new_value"] == "enabled"
    assert entry["context"]["request_id"] == "my-own-request-id"
    assert entry["context"]["service"] == "flags"


async def test_the_first_administrator_can_do_the_main_job(root, eventually):
    me = (await root.get("/api/v1/users/me")).json()
    assert "super_admin" in me["roles"]
    assert (await root.get("/api/v1/feature-flags")).status_code == 200


async def test_an_unmodified_openfeature_client_sees_the_flag_change(org, url, eventually):
    flag = await org.flag("new-checkout")
    key = await org.key()
    provider = OFREPProvider(url, headers_factory=lambda: {"X-API-Key": key})
    api.set_provider(provider, domain=org.slug)
    client = api.get_client(domain=org.slug)
    context = EvaluationContext("user-1", {"plan": "pro"})

    def details():
        return client.get_boolean_details(
            "new-checkout", default_value=False, evaluation_context=context
        )

    async def off():
        got = await asyncio.to_thread(details)
        return got if got.reason == Reason.DISABLED or got.variant == "off" else None

    assert (await eventually(off)).value is False
    await org.web.post(f"/api/v1/feature-flags/{flag['id']}/enable", json={"reason": "launch"})

    async def on():
        got = await asyncio.to_thread(details)
        return got if got.value is True else None

    got = await eventually(on)
    assert (got.variant, got.error_code) == ("on", None)
    missing = await asyncio.to_thread(
        lambda: client.get_boolean_details("no-such-flag", default_value=True)
    )
    assert missing.value is True
    assert missing.error_code is not None


async def test_all_flags_at_once_with_an_etag(org, url, eventually):
    await org.flag("a", type="string", variants={"x": "ex", "y": "why"})
    await org.flag("b")
    key = await org.key()
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": key}) as sdk:
        body = {"context": {"targetingKey": "u1"}}

        async def both():
            got = await sdk.post("/ofrep/v1/evaluate/flags", json=body)
            return got if got.status_code == 200 and len(got.json()["flags"]) == 2 else None

        got = await eventually(both)
        assert {f["key"] for f in got.json()["flags"]} == {"a", "b"}
        again = await sdk.post(
            "/ofrep/v1/evaluate/flags", json=body, headers={"if-none-match": got.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b"")
        other = await sdk.post(
            "/ofrep/v1/evaluate/flags",
            json={"context": {"targetingKey": "u1", "plan": "pro"}},
            headers={"if-none-match": got.headers["etag"]},
        )
        assert other.status_code == 200


async def test_ten_toggles_at_once_end_in_the_right_state_with_ten_entries_that_chain(
    org, eventually
):
    flag = await org.flag()
    path = f"/api/v1/feature-flags/{flag['id']}/toggle"
    answers = await asyncio.gather(
        *(org.web.post(path, json={"reason": f"no {n}"}) for n in range(10))
    )
    assert [a.status_code for a in answers] == [200] * 10

    async def ten():
        found = await entries(org.web, entity_id=flag["id"], limit=100)
        toggles = [e for e in found if e["action_type"].startswith("toggle_")]
        return toggles if len(toggles) == 10 else None

    told = sorted(await eventually(ten), key=lambda e: e["seq"])
    assert told[0]["old_value"] == "disabled"
    for before, after in itertools.pairwise(told):
        assert before["new_value"] == after["old_value"]
    now = (await org.web.get(f"/api/v1/feature-flags/{flag['id']}")).json()
    assert now["status"] == told[-1]["new_value"] == "disabled"
    assert len({e["id"] for e in told}) == 10


async def test_experiments_and_machines_answer_through_the_gateway(org):
    made = await org.web.post(
        "/api/v1/experiments", json={"key": "big-button", "name": "Big button"}
    )
    assert (made.status_code, made.json()["status"]) == (201, "DRAFT")
    listed = (await org.web.get("/api/v1/experiments")).json()
    assert [e["key"] for e in listed["items"]] == ["big-button"]
    assert (await org.web.get("/api/v1/vms")).json()["items"] == []
    body = {
        "name": "one",
        "source_type": "iso",
        "iso_url": "https://169.254.169.254/debian.iso",
        "cpu": 1,
        "memory_gb": 1,
        "disk_gb": 1,
    }
    refused = await org.web.post("/api/v1/vms", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "compute.bad_image_url")
    assert (await org.web.get("/api/v1/vms")).json()["items"] == []
