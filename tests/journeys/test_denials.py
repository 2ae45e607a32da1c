"""Who was denied what is in the audit log: at each service's doors, also where the answer looks like absence."""

import asyncio
import time
from uuid import uuid4

import httpx
import pytest

from chassis.denials import EVERY

pytestmark = pytest.mark.journey


async def denied(org, **filters):
    answer = await org.web.get("/api/v1/audit-logs", params={"action_type": "denied", **filters})
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


@pytest.mark.parametrize(
    ("method", "path", "permission", "service"),
    [
        ("POST", "/api/v1/feature-flags/x1/toggle", "flag:toggle", "flags"),
        ("DELETE", "/api/v1/users/0190a0b0-0000-7000-8000-000000000001", "user:delete", "iam"),
        ("POST", "/api/v1/experiments", "experiment:create", "experiments"),
        ("POST", "/api/v1/vms", "vm:create", "compute"),
    ],
)
async def test_a_403_is_told_by_the_service_that_refused(
    org, eventually, method, path, permission, service
):
    viewer = await org.person("viewer")
    answer = await viewer.request(method, path, json={}, headers={"x-request-id": uuid4().hex})
    assert answer.status_code == 403, answer.text
    [entry] = await eventually(lambda: denied(org))
    assert (entry["action"], entry["outcome"]) == ("authz.denied", "denied")
    assert (entry["after"]["permission"], entry["after"]["method"]) == (permission, method)
    assert entry["context"]["service"] == service
    assert entry["context"]["request_id"] == answer.headers["x-request-id"]
    me = (await viewer.get("/api/v1/users/me")).json()
    assert entry["user_id"] == me["id"]


async def test_a_404_that_is_a_denial_and_the_401_of_debugging_are_told_too(org, eventually):
    viewer = await org.person("viewer")
    made = await org.web.post("/api/v1/global/groups", json={"id": "g_closed"})
    assert made.status_code in (200, 201), made.text
    assert (await viewer.delete("/api/v1/global/groups/g_closed")).status_code == 404
    assert (await viewer.delete("/api/v1/global/groups/g_absent")).status_code == 404
    assert (await viewer.get("/api/v1/debug/collections")).status_code == 401

    async def both():
        found = {e["after"]["permission"]: e for e in await denied(org)}
        return found if len(found) == 2 else None

    found = await eventually(both)
    assert found["group:delete"]["entity_id"] == "g_closed"
    assert found["debug:read"]["after"]["code"] == "iam.godmode_needed"


async def test_a_flood_of_refusals_is_a_few_entries_with_the_number(org, other, url, eventually):
    key = await org.key(kind="server")
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": key}, timeout=30) as web:

        async def ready():
            return (await web.get("/api/v1/users")).status_code == 403

        await eventually(ready)
        begun = time.monotonic()
        answers = await asyncio.gather(*(web.delete(f"/api/v1/users/u{n}") for n in range(150)))
        refused = sum(a.status_code == 403 for a in answers)
        assert {a.status_code for a in answers} <= {403, 429}

    async def all_told():
        found = [e for e in await denied(org) if e["after"]["permission"] == "user:delete"]
        return found if sum(e["after"]["count"] for e in found) == refused else None

    windows = (time.monotonic() - begun) // EVERY + 2  # that they can have fallen into
    assert len(await eventually(all_told, 15)) <= 2 * windows
    assert await denied(other) == []


async def test_a_key_that_may_not_evaluate_is_told_from_the_hot_door(org, url, eventually):
    key = await org.key(scopes=["flag:read"])
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": key}) as sdk:

        async def refused():
            return (await sdk.post("/ofrep/v1/evaluate/flags", json={})).status_code == 403

        await eventually(refused)
    [entry] = await eventually(lambda: denied(org))
    assert (entry["after"]["permission"], entry["context"]["service"]) == ("flag:evaluate", "flags")
