"""What iam forbids every other service forbids: at once to who asks for that, within a second anyhow."""

import asyncio
import time
from uuid import uuid4

import pytest

pytestmark = pytest.mark.journey

TIMES = 50
EPOCH = "x-authz-epoch"


async def self_of(web):
    return (await web.get("/api/v1/users/me")).raise_for_status().json()["id"]


async def roles(org, user, *names):
    """Give somebody exactly these roles; return how fresh a decision must be that knows it."""
    changed = await org.web.patch(f"/api/v1/users/{user}", json={"roles": list(names)})
    assert changed.status_code == 200, changed.text
    return {EPOCH: changed.headers[EPOCH]}


async def test_who_was_demoted_is_refused_at_once_fifty_times_in_a_row(org):
    dev = await org.person("developer")
    user, flag = await self_of(dev), await org.flag()
    path = f"/api/v1/feature-flags/{flag['id']}"
    for n in range(TIMES):
        promoted = await roles(org, user, "developer")
        done = await dev.patch(path, json={"description": f"no {n}"}, headers=promoted)
        assert done.status_code == 200, f"round {n}: {done.text}"
        demoted = await roles(org, user, "viewer")
        refused = await dev.patch(path, json={"description": "never"}, headers=demoted)
        assert refused.status_code == 403, f"round {n}: {refused.text}"
        assert int(demoted[EPOCH]) > int(promoted[EPOCH])


async def test_who_was_demoted_is_refused_within_a_second_without_asking_for_it(org, eventually):
    dev = await org.person("developer")
    user, flag = await self_of(dev), await org.flag()
    path = f"/api/v1/feature-flags/{flag['id']}"
    assert (await dev.patch(path, json={"description": "mine"})).status_code == 200
    await roles(org, user, "viewer")
    begun = time.monotonic()

    async def refused():
        return (await dev.patch(path, json={"description": "late"})).status_code == 403

    await eventually(refused)
    assert time.monotonic() - begun < 1


async def test_owners_keep_their_own_and_get_nothing_of_others(org):
    maker = await org.web.post(
        "/api/v1/roles",
        json={"name": f"maker-{uuid4().hex[:6]}", "permission_ids": ["flag:create"]},
    )
    assert maker.status_code == 201, maker.text
    ann = await org.person(maker.json()["name"])
    key = f"f-{uuid4().hex[:8]}"
    made = await ann.post("/api/v1/feature-flags", json={"key": key, "name": key})
    assert made.status_code == 201, made.text
    mine, theirs = made.json()["id"], (await org.flag())["id"]
    toggled = await ann.post(f"/api/v1/feature-flags/{mine}/toggle", json={"reason": "mine"})
    assert toggled.status_code == 200
    hidden = await ann.post(f"/api/v1/feature-flags/{theirs}/toggle", json={"reason": "no"})
    missing = await ann.post(f"/api/v1/feature-flags/{uuid4()}/toggle", json={"reason": "no"})
    assert (hidden.status_code, missing.status_code) == (404, 404)
    shown = (await ann.get("/api/v1/feature-flags")).json()["items"]
    assert [flag["id"] for flag in shown] == [mine]


async def test_the_list_of_a_project_reaches_the_flags_in_it_through_a_group(org):
    slug, name = f"p{uuid4().hex[:8]}", uuid4().hex[:8]
    guest = await org.person("user")
    guest_id = await self_of(guest)
    made = await org.web.post("/api/v1/projects", json={"key": slug, "name": slug})
    assert made.status_code == 201, made.text
    flag = await org.web.post(
        "/api/v1/feature-flags", params={"project": slug}, json={"key": "f", "name": "F"}
    )
    path = f"/api/v1/feature-flags/{flag.json()['id']}"
    change = {"params": {"project": slug}, "json": {"description": "by a guest"}}
    assert (await guest.patch(path, **change)).status_code == 403
    group = await org.web.post("/api/v1/global/groups", json={"id": f"g_{name}"})
    assert group.status_code == 201, group.text
    edge = f"{guest_id}::g_{name}"
    joined = await org.web.post("/api/v1/global/memberships", json={"id": edge})
    assert joined.status_code == 201, joined.text
    acl = {"list": [{"permissions": 31, "principals": [f"g_{name}"], "scope": "flag"}]}
    lent = await org.web.post("/api/v1/global/projects", json={"id": slug, "acl": acl})
    assert lent.status_code == 201, lent.text
    done = await guest.patch(path, **change, headers={EPOCH: lent.headers[EPOCH]})
    assert done.status_code == 200, done.text
    parted = await org.web.delete(f"/api/v1/global/groups/g_{name}")
    refused = await guest.patch(path, **change, headers={EPOCH: parted.headers[EPOCH]})
    assert refused.status_code == 403, refused.text


@pytest.mark.parametrize("garbage", ["x", "-1", "1.5", "9" * 30])
async def test_an_epoch_that_is_none_is_told_so(org, garbage):
    told = await org.web.get("/api/v1/feature-flags", headers={EPOCH: garbage})
    assert (told.status_code, told.json()["code"]) == (400, "bad_epoch")


@pytest.mark.parametrize(
    "path", ["feature-flags", "experiments", "vms", "audit-logs", "users", "quotas"]
)
async def test_a_number_from_the_future_is_undecidable_soon_at_every_service(org, path):
    begun = time.monotonic()
    told = await org.web.get(f"/api/v1/{path}", headers={EPOCH: "9" * 18})
    assert (told.status_code, told.json()["code"]) == (503, "authority_behind"), told.text
    assert int(told.headers["retry-after"]) >= 1
    assert time.monotonic() - begun < 2


async def test_many_who_wait_for_what_never_comes_do_not_hold_up_others(org):
    viewer = await org.person("viewer")
    known = await roles(org, await self_of(viewer), "developer")
    ahead = {EPOCH: str(int(known[EPOCH]) + 5000)}
    waiting = [org.web.get("/api/v1/feature-flags", headers=ahead) for _ in range(40)]
    begun = time.monotonic()
    told = await asyncio.gather(*waiting, org.web.get("/api/v1/feature-flags"))
    assert time.monotonic() - begun < 5
    assert [t.status_code for t in told] == [503] * 40 + [200]
