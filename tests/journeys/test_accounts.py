"""A pipeline works with a key of its own: given roles, seen by every service, told in the log, and ended."""

from uuid import uuid4

import httpx
import pytest

pytestmark = pytest.mark.journey

G = "/api/v1/global"
FLAGS = "/api/v1/feature-flags"


@pytest.fixture
async def robot(org):
    """Make a service account with an API key; return the account and a client that acts as it."""
    name = f"sa_{uuid4().hex[:8]}"
    made = await org.web.post(f"{G}/service_accounts", json={"id": name})
    assert made.status_code == 201, made.text
    key = await org.key(account=name)
    web = httpx.AsyncClient(base_url=org.web.base_url, timeout=30, headers={"x-api-key": key})
    org.opened.append(web)
    return made.json() | {"key": name}, web


async def test_an_account_does_by_its_key_what_it_was_given_and_is_named_for_it(
    org, robot, eventually
):
    account, web = robot
    flag = {"key": f"f-{uuid4().hex[:8]}", "name": "F"}
    assert (await web.post(FLAGS, json=flag)).status_code == 403
    to = f"/api/v1/tenants/{org.id}/principals/{account['key']}/roles/developer"
    given = await org.web.put(to)
    assert given.status_code == 204, given.text
    epoch = {"x-authz-epoch": given.headers["x-authz-epoch"]}
    made = await web.post(FLAGS, json=flag, headers=epoch)
    assert made.status_code == 201, made.text
    assert made.json()["owner_id"] == account["uuid"]

    asked = {"entity_id": made.json()["id"], "action_type": "created"}

    async def told():
        found = await org.web.get("/api/v1/audit-logs", params=asked)
        return [entry["actor"] for entry in found.json().get("items", ())]

    actor, *_ = await eventually(told)
    assert (actor["type"], actor["id"]) == ("service_account", account["uuid"])


async def test_lists_mean_an_account_and_its_end_is_its_keys_end(org, robot, eventually):
    account, web = robot
    group = f"g_{uuid4().hex[:8]}"
    acl = {"list": [{"permissions": 7, "principals": [account["key"]]}]}
    assert (await web.get(f"{G}/groups/{group}")).status_code == 404
    made = await org.web.post(f"{G}/groups", json={"id": group, "acl": acl})
    assert made.status_code == 201, made.text
    assert (await web.get(f"{G}/groups/{group}")).status_code == 200
    assert (await web.delete(f"{G}/groups/{group}")).status_code == 404
    assert (await org.web.delete(f"{G}/service_accounts/{account['key']}")).status_code == 204

    async def refused():
        return (await web.get(f"{G}/groups/{group}")).status_code == 401

    assert await eventually(refused)
    assert (await web.get(FLAGS)).status_code == 401
