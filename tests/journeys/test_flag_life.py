"""A flag's life through the gateway: many hands at once, what is done later, what others approve, and bad rules."""

import asyncio
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import httpx
import pytest

pytestmark = pytest.mark.journey

FLAGS = "/api/v1/feature-flags"
REQUESTS = "/api/v1/change-requests"
SWISS = {"op": "eq", "attribute": "country", "value": "CH"}


async def entries(org, flag, *actions):
    params = {"entity_id": flag["id"], "limit": 100}
    items = (await org.web.get("/api/v1/audit-logs", params=params)).json()["items"]
    return sorted((e for e in items if e["action"] in actions), key=lambda e: e["seq"])


async def test_ten_toggles_at_once_are_ten_and_their_old_and_new_values_chain(org, eventually):
    flag = await org.flag("busy")
    path = f"{FLAGS}/busy/toggle"
    answers = await asyncio.gather(
        *(org.web.post(path, json={"reason": f"hand {n}"}) for n in range(10))
    )
    assert [answer.status_code for answer in answers] == [200] * 10
    found = (await org.web.get(f"{FLAGS}/busy")).json()
    assert (found["status"], found["version"]) == ("disabled", 11)
    assert sorted(answer.json()["version"] for answer in answers) == list(range(2, 12))

    async def ten():
        told = await entries(org, flag, "flag.toggle_enabled", "flag.toggle_disabled")
        return told if len(told) == 10 else None

    told = await eventually(ten)
    values = [(entry["old_value"], entry["new_value"]) for entry in told]
    assert values == [("disabled", "enabled"), ("enabled", "disabled")] * 5
    assert {entry["reason"] for entry in told} == {f"hand {n}" for n in range(10)}


async def test_what_is_scheduled_is_done_and_in_the_log(org, eventually):
    flag = await org.flag("later")
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    body = {"at": soon, "change": {"status": "enabled"}, "reason": "launch"}
    made = await org.web.post(f"{FLAGS}/later/schedules", json=body)
    assert made.status_code == 201, made.text

    async def done():
        return (await org.web.get(made.headers["location"])).json()["status"] == "done"

    await eventually(done)
    found = (await org.web.get(f"{FLAGS}/later")).json()
    assert (found["status"], found["version"]) == ("enabled", 2)

    async def told():
        return await entries(org, flag, "flag.toggle_enabled")

    [entry] = await eventually(told)
    assert (entry["reason"], entry["user_email"]) == ("launch", org.email)


async def test_a_rollout_begins_and_a_kill_stops_it(org, eventually):
    flag = await org.flag("slow", default_variant="off")
    await org.web.post(f"{FLAGS}/slow/enable")
    stages = [{"weight": 1000, "hold_seconds": 3600}, {"weight": 100_000}]
    body = {"variant": "on", "stages": stages}
    made = await org.web.post(f"{FLAGS}/slow/rollouts", json=body)
    assert made.status_code == 201, made.text
    path = made.headers["location"]

    async def begun():
        return (await org.web.get(path)).json()["stage"] == 1

    await eventually(begun)
    killed = await org.web.post(f"{FLAGS}/slow/kill", json={"reason": "it burns"})
    assert (killed.status_code, killed.json()["status"]) == (200, "disabled")
    assert (await org.web.get(path)).json()["status"] == "paused"

    async def told():
        return await entries(org, flag, "flag.killed")

    [entry] = await eventually(told)
    assert entry["reason"] == "it burns"


async def test_where_approvals_are_wanted_another_person_lets_a_change_pass(org):
    await org.flag("guarded")
    production = "/api/v1/environments/production"
    assert (await org.web.patch(production, json={"approvals": 1})).status_code == 200
    refused = await org.web.post(f"{FLAGS}/guarded/enable", json={"reason": "now"})
    assert (refused.status_code, refused.json()["code"]) == (409, "flags.approval_needed")
    assert REQUESTS in refused.json()["detail"]
    body = {"flag": "guarded", "title": "Launch", "change": {"status": "enabled"}}
    path = (await org.web.post(REQUESTS, json=body)).headers["location"]
    own = await org.web.post(f"{path}/approve", json={"version": 1})
    assert (own.status_code, own.json()["code"]) == (403, "flags.own_change_request")
    colleague = await org.person("developer")
    approved = await colleague.post(f"{path}/approve", json={"version": 1})
    assert approved.status_code == 200, approved.text
    applied = await org.web.post(f"{path}/apply")
    assert applied.json()["status"] == "applied"
    assert (await org.web.get(f"{FLAGS}/guarded")).json()["status"] == "enabled"


async def test_evaluations_are_counted_and_told(org, url, eventually):
    await org.flag("counted")
    headers = {"x-api-key": await org.key()}
    async with httpx.AsyncClient(base_url=url, headers=headers) as sdk:

        async def served():
            answer = await sdk.post("/ofrep/v1/evaluate/flags/counted", json={})
            return answer.status_code == 200

        await eventually(served)

    async def counted():
        told = (await org.web.get(f"{FLAGS}/counted/usage")).json()
        return told if told["total"] else None

    told = await eventually(counted, seconds=20)
    assert told["variants"].keys() == {"off"}
    assert told["items"][0]["reason"] == "DISABLED"


DEEP = {"op": "present", "attribute": "a"}
for _ in range(30):
    DEEP = {"not": DEEP}


@pytest.mark.parametrize(
    "when",
    [
        {"op": "sounds_like", "attribute": "a", "values": ["x"]},
        {"op": "matches", "attribute": "a", "values": ["(" * 2000 + ")" * 2000]},
        {"op": "matches", "attribute": "a", "values": ["((a{1,1000}){1,1000}){1,1000}"]},
        {"op": "matches", "attribute": "a", "values": ["(?=x)"]},
        {"op": "before", "attribute": "a", "value": "2026-02-30"},
        {"op": "before", "attribute": "a", "value": "tomorrow"},
        {"op": "semver_ge", "attribute": "a", "value": "1.2.x.y"},
        {"op": "in_cidr", "attribute": "a", "values": ["10.0.0.0/33"]},
        {"op": "in_segment", "segments": ["nobody"]},
        {"op": "flag", "flag": "nobody", "variants": ["on"]},
        {"op": "eq", "attribute": "a" * 1000, "value": 1},
        DEEP,
    ],
    ids=lambda when: str(when)[:40],
)
async def test_a_clause_that_cannot_be_served_is_422_with_a_pointer_to_it(org, when):
    await org.flag("bad")
    edit = {"rules": [{"when": SWISS, "variant": "on"}, {"when": when, "variant": "on"}]}
    refused = await org.web.patch(f"{FLAGS}/bad", json=edit)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["pointer"].startswith("/rules/1")
    assert (await org.web.get(f"{FLAGS}/bad")).json()["version"] == 1


async def test_flags_that_ask_for_each_other_are_a_ring_and_refused(org):
    await org.flag("a")
    own = {"rules": [{"when": {"op": "flag", "flag": "a", "variants": ["on"]}, "variant": "on"}]}
    refused = await org.web.patch(f"{FLAGS}/a", json=own)
    assert (refused.status_code, refused.json()["code"]) == (422, "flags.bad_rules")
    await org.flag("b", prerequisites=[{"flag": "a", "variants": ["on"]}])
    ring = {"prerequisites": [{"flag": "b", "variants": ["on"]}]}
    refused = await org.web.patch(f"{FLAGS}/a", json=ring)
    assert (refused.status_code, refused.json()["code"]) == (422, "flags.bad_rules")


async def test_a_project_is_kept_in_a_file_with_the_command_line(org, tmp_path):
    await org.flag("kept", rules=[{"when": SWISS, "variant": "on"}])

    async def flags(*arguments):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "flags",
            *arguments,
            f"--url={org.web.base_url}",
            env={**os.environ, "SWITCHYARD_TOKEN": org.token},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        return process.returncode, out.decode()

    ended, said = await flags("export")
    assert ended == 0
    file = tmp_path / "flags.yaml"
    file.write_text(said.replace("name: kept", "name: Kept"))
    assert await flags("diff", str(file)) == (1, '~ flag kept\n    /name: "kept" → "Kept"\n')
    assert (await flags("apply", str(file)))[0] == 0
    assert await flags("diff", str(file)) == (0, "")
    assert (await org.web.get(f"{FLAGS}/kept")).json()["name"] == "Kept"


async def test_ten_thousand_rules_are_answered_and_ten_megabytes_are_too_large(org):
    rules = [{"when": SWISS, "variant": "on"}] * 10_000
    many = await org.web.post(FLAGS, json={"key": "many", "name": "M", "rules": rules})
    assert many.status_code == 201, many.text
    big = {"key": "big", "name": "B", "type": "string", "variants": {"a": "x" * 10_000_000}}
    with suppress(httpx.TransportError):  # hung up on before it has said all of it
        assert (await org.web.post(FLAGS, json=big)).status_code == 413
    assert (await org.web.get(f"{FLAGS}/big")).status_code == 404


@pytest.mark.parametrize("key", ["k" * 1000, "ключ", "a//b", "/a", "a/", "a b", ".", "..", "a\n"])
async def test_a_key_that_no_url_carries_is_422_with_a_pointer(org, key):
    refused = await org.web.post(FLAGS, json={"key": key, "name": "K"})
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["pointer"] == "/key"


async def test_a_key_with_a_slash_is_managed_by_its_id_and_names_may_be_in_any_script(org):
    made = await org.flag("shop/checkout/v2", description="ключ 🗝 ключ")
    path = f"{FLAGS}/{made['id']}"
    assert (await org.web.post(f"{path}/toggle")).json()["status"] == "enabled"
    assert (await org.web.get(f"{path}/usage")).status_code == 200
    assert (await org.web.get(path)).json()["description"] == "ключ 🗝 ключ"
