"""The REST doors of machines, templates and quotas, in process."""

from uuid import uuid4

import pytest

from chassis.http import rest_app
from compute.api.rest import routers
from compute.domain.host import Probe
from compute.domain.vm import Step
from tests.openapi import wrong

PATH = "/api/v1/vms"
NOWHERE = "01890000-0000-7000-8000-000000000000"
SMALL = {
    "name": "web",
    "source_type": "template",
    "template_id": "01890000-0000-7000-8000-0000000000aa",
    "cpu": 2,
    "memory_gb": 4,
    "disk_gb": 20,
}
FIELDS = {
    "id", "number", "name", "status", "status_detail", "cpu", "memory_gb", "disk_gb", "ip_address",
    "source_type", "template_id", "template_name", "iso_url", "iso_sha256", "labels", "owner_id", "version",
    "operation_id", "created_at", "updated_at",
}  # fmt: skip


def as_(name):
    return {"authorization": f"Bearer {name}"}


@pytest.fixture
def vm(work, make_vm):
    vm = make_vm(labels={"team": "blue"}, user_data="secret")
    work.vms.kept[vm.id] = vm
    return vm


async def test_without_a_hypervisor_a_machine_is_503_and_says_what_to_install(
    client, work, template
):
    work.templates.kept[template.id] = template
    answer = await client.post(PATH, json=SMALL)
    assert (answer.status_code, answer.json()["code"]) == (503, "compute.no_hypervisor")
    assert "install qemu-system-x86 and qemu-utils" in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) > 2
    assert (await client.get(PATH)).json()["items"] == []


async def test_while_the_hypervisor_is_being_tried_it_is_503_and_says_so(client, driven):
    driven.found = Probe(version="9.2.1", trying=True)
    answer = await client.post(PATH, json=SMALL)
    assert (answer.status_code, answer.json()["code"]) == (503, "compute.not_tried_yet")


async def test_where_machines_run_one_is_provisioning(client, driven):
    answer = await client.post(PATH, json={**SMALL, "labels": {"a": "b"}, "user_data": "secret"})
    made = answer.json()
    assert (answer.status_code, answer.headers["etag"]) == (201, '"1"')
    assert answer.headers["location"] == f"{PATH}/{made['id']}"
    assert set(made) == FIELDS
    assert (made["status"], made["ip_address"], made["number"]) == ("PROVISIONING", None, 1)
    assert (await client.get(answer.headers["location"])).json() == made


async def test_more_than_the_quota_is_409(client, driven):
    answer = await client.post(PATH, json={**SMALL, "cpu": 200})
    assert (answer.status_code, answer.json()["code"]) == (409, "compute.quota_exceeded")


async def test_an_unknown_template_is_422_and_says_where(client, driven):
    body = {**SMALL, "template_id": str(uuid4())}
    answer = await client.post(PATH, json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "compute.no_such_template")
    assert answer.json()["errors"][0]["pointer"] == "/template_id"


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"name": ""},
        {"name": "  "},
        {"name": "n" * 101},
        {"source_type": "disk"},
        {"name": "web\u0007"},
        {"name": "web\u202e"},
        {"name": "a\nb"},
        {"source_type": "iso"},
        {"template_id": None},
        {"iso_url": "file:///etc/passwd"},
        {"iso_url": "https://"},
        {"iso_url": "ftp://images.example/a.iso"},
        {"iso_url": "https://images.example/a.iso"},
        {"template_id": "1"},
        {"cpu": 0},
        {"cpu": -1},
        {"cpu": 1.0},
        {"cpu": "2"},
        {"cpu": True},
        {"cpu": 257},
        {"memory_gb": 0},
        {"memory_gb": 10**12},
        {"disk_gb": 0},
        {"disk_gb": 10**9},
        {"user_data": "x" * 65537},
        {"ssh_keys": ["not a key"]},
        {"ssh_keys": ["ssh-ed25519 AAAA\nssh-rsa BBBB"]},
        {"ssh_keys": ["ssh-ed25519 AAAA"] * 33},
        {"labels": {"a b": "c"}},
        {"labels": {"a": 1}},
        {"labels": {"a": "v" * 256}},
        {"owner_id": "me"},
        {"status": "RUNNING"},
        {"ip_address": "10.0.0.1"},
        {"number": 7},
    ],
)
async def test_what_cannot_be_ordered_is_422_even_where_nothing_runs(client, change, work):
    answer = await client.post(PATH, json={**SMALL, **change})
    assert answer.status_code == 422
    assert answer.json()["errors"]
    assert work.vms.kept == {}


@pytest.mark.parametrize(
    "key",
    [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ ana@example",
        "ssh-rsa AAAAB3NzaC1yc2E=",
        "ecdsa-sha2-nistp256 AAAAE2VjZHNh==",
        "sk-ssh-ed25519@openssh.com AAAAGnNr with a comment",
    ],
)
async def test_every_kind_of_ssh_key_is_taken(client, driven, key):
    assert (await client.post(PATH, json={**SMALL, "ssh_keys": [key]})).status_code == 201


@pytest.mark.parametrize("path", [f"{PATH}/{NOWHERE}", f"{PATH}/1%20OR%201=1", f"{PATH}/7"])
async def test_the_stages_come_in_order(client, path):
    assert (await client.get(path, headers=as_("stranger"))).status_code == 401
    refused = await client.get(path, headers=as_("nora"))
    assert (refused.status_code, refused.json()["detail"]) == (
        403,
        "Insufficient permissions: vm:read required",
    )
    assert (await client.get(path)).status_code == (404 if len(path) > 40 else 422)


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("POST", PATH, "vm:create"),
        ("PATCH", f"{PATH}/{NOWHERE}", "vm:update"),
        ("DELETE", f"{PATH}/{NOWHERE}", "vm:delete"),
    ],
)
async def test_who_may_only_read_is_told_which_permission_is_missing(
    client, method, path, permission
):
    answer = await client.request(method, path, headers=as_("vera"))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert permission in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/api/v1/vm-templates", "/api/v1/quotas", PATH])
async def test_who_may_nothing_may_not_look_either(client, path):
    assert (await client.get(path, headers=as_("nora"))).status_code == 403
    assert (await client.get(path, headers=as_("vera"))).status_code == 200


async def test_a_machine_of_another_tenant_looks_like_none(client, vm):
    theirs = await client.get(f"{PATH}/{vm.id}", headers=as_("otto"))
    nowhere = uuid4()
    none = await client.get(f"{PATH}/{nowhere}", headers=as_("otto"))
    assert theirs.status_code == none.status_code == 404
    assert theirs.json()["detail"] == none.json()["detail"].replace(str(nowhere), str(vm.id))


async def test_user_data_is_never_shown(client, vm):
    assert "secret" not in (await client.get(f"{PATH}/{vm.id}")).text
    assert "secret" not in (await client.get(PATH)).text


async def test_a_patch_changes_what_it_says_and_no_more(client, vm, work):
    url = f"{PATH}/{vm.id}"
    answer = await client.patch(url, json={"name": "api", "reason": "it moved"})
    after = answer.json()
    assert (after["name"], after["labels"], after["version"]) == ("api", {"team": "blue"}, 2)
    assert (answer.headers["etag"], work.facts[-1].reason) == ('"2"', "it moved")
    assert (await client.patch(url, json={"labels": {}})).json()["labels"] == {}


@pytest.mark.parametrize("body", [{"name": None}, {"labels": None}, {"cpu": 4}, {"step": "up"}])
async def test_a_patch_that_is_not_exactly_right_is_422(client, vm, body):
    assert (await client.patch(f"{PATH}/{vm.id}", json=body)).status_code == 422


async def test_an_action_is_202_and_its_operation_can_be_waited_for(client, driven, sweep):
    vm = (await client.post(PATH, json=SMALL)).json()
    asked = await client.post(f"{PATH}/{vm['id']}/actions", json={"action": "stop"})
    assert (asked.status_code, asked.json()["status"]) == (202, "RUNNING")
    url = asked.headers["location"]
    assert (await client.get(url)).json() == asked.json()
    while await sweep():
        pass
    ended = (await client.get(url, params={"wait": 30})).json()
    assert (ended["status"], ended["finished_at"] is None) == ("SUCCEEDED", False)
    tag = (await client.get(url)).headers["etag"]
    assert (await client.get(url, headers={"if-none-match": tag})).status_code == 304
    refused = await client.post(f"{PATH}/{vm['id']}/actions", json={"action": "stop"})
    assert (refused.status_code, refused.json()["code"]) == (409, "compute.action_does_not_fit")
    log = (await client.get(f"{PATH}/{vm['id']}/logs")).json()
    assert set(log[0]) == {"timestamp", "level", "message"}
    assert log[-1]["message"] == "STOPPED"


async def test_an_operation_can_be_followed_as_events_until_it_ends(client, driven, sweep):
    vm = (await client.post(PATH, json=SMALL)).json()
    url = f"/api/v1/operations/{vm['operation_id']}"
    while await sweep():
        pass
    told = await client.get(url, headers={"accept": "text/event-stream"})
    assert told.headers["content-type"].startswith("text/event-stream")
    assert (told.text.count("event: operation"), '"SUCCEEDED"' in told.text) == (1, True)
    for headers in ({}, {"accept": "text/event-stream"}):
        missing = await client.get(url, headers={**as_("otto"), **headers})
        assert (missing.status_code, missing.json()["code"]) == (404, "compute.operation_not_found")


async def test_who_may_no_more_hears_no_more_of_an_operation(
    client, driven, identity, nora, monkeypatch
):
    monkeypatch.setattr("compute.usecases.operations.EVERY", 0.01)
    vm = (await client.post(PATH, json=SMALL)).json()
    ana, looks = await identity.of({"authorization": "Bearer ana"}), []

    async def of(headers):
        looks.append(headers)
        return ana if len(looks) < 3 else nora

    monkeypatch.setattr(identity, "of", of)
    told = await client.get(
        f"/api/v1/operations/{vm['operation_id']}", headers={"accept": "text/event-stream"}
    )
    assert (told.status_code, told.text.count("event: operation")) == (200, 2)


@pytest.mark.parametrize("body", [{}, {"action": "explode"}, {"action": "stop", "force": True}])
async def test_an_action_that_makes_no_sense_is_422(client, vm, body):
    assert (await client.post(f"{PATH}/{vm.id}/actions", json=body)).status_code == 422


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x"])
async def test_a_log_has_a_limit(client, vm, query):
    assert (await client.get(f"{PATH}/{vm.id}/logs?{query}")).status_code == 422


async def test_a_stale_if_match_is_412(client, vm):
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        answer = await client.request(
            method, f"{PATH}/{vm.id}", json=body, headers={"if-match": '"9"'}
        )
        assert (answer.status_code, answer.json()["code"]) == (412, "compute.stale")


async def test_who_has_the_newest_version_gets_304(client, vm):
    same = await client.get(f"{PATH}/{vm.id}", headers={"if-none-match": '"1"'})
    assert (same.status_code, same.content) == (304, b"")


async def test_a_machine_that_no_host_knows_is_gone_at_once(client, driven):
    made = (await client.post(PATH, json=SMALL)).json()
    assert (await client.delete(f"{PATH}/{made['id']}")).status_code == 204
    assert (await client.get(f"{PATH}/{made['id']}")).status_code == 404
    assert (await client.get("/api/v1/quotas")).json()["vms"] == {"limit": 3, "used": 0}


async def test_a_list_has_pages_a_search_and_a_filter(client, work, make_vm, clock):
    for name, step in (("a", Step.UP), ("b", Step.DOWN), ("c", Step.UP)):
        vm = make_vm(name, step=step)
        work.vms.kept[vm.id] = vm
    page = (await client.get(PATH, params={"page": 2, "limit": 2, "sort": "name"})).json()
    assert [vm["name"] for vm in page["items"]] == ["c"]
    assert (page["total"], page["page"], page["limit"]) == (3, 2, 2)
    up = (await client.get(PATH, params={"status": "RUNNING", "sort": "-number"})).json()
    assert [vm["name"] for vm in up["items"]] == ["c", "a"]
    found = (await client.get(PATH, params={"search": "B"})).json()
    assert [vm["name"] for vm in found["items"]] == ["b"]


async def test_a_list_goes_on_with_its_cursor(client, work, make_vm):
    for name in "abc":
        vm = make_vm(name)
        work.vms.kept[vm.id] = vm
    first = (await client.get(PATH, params={"limit": 2, "sort": "name"})).json()
    asked = {"limit": 2, "sort": "name", "cursor": first["next_cursor"]}
    last = (await client.get(PATH, params=asked)).json()
    assert [vm["name"] for vm in last["items"]] == ["c"]
    assert (last["has_more"], "next_cursor" in last) == (False, False)
    assert (await client.get(PATH, params={**asked, "sort": "-name"})).status_code == 400


@pytest.mark.parametrize("query", ["limit=0", "status=ASLEEP", "sort=cpu", "search=%00"])
async def test_a_question_that_makes_no_sense_is_422(client, query):
    assert (await client.get(f"{PATH}?{query}")).status_code == 422


async def test_templates_are_those_that_there_are(client, work, template):
    assert (await client.get("/api/v1/vm-templates")).json()["items"] == []
    work.templates.kept[template.id] = template
    [listed] = (await client.get("/api/v1/vm-templates")).json()["items"]
    assert (listed["name"], listed["is_global"]) == ("debian", True)
    url = f"/api/v1/vm-templates/{template.id}"
    assert (await client.get(url)).json() == listed
    assert (await client.get(url, headers={"if-none-match": '"1"'})).status_code == 304
    missing = await client.get(f"/api/v1/vm-templates/{NOWHERE}")
    assert (missing.status_code, missing.json()["code"]) == (404, "compute.template_not_found")


async def test_quotas_say_what_there_may_be_and_is(client, driven):
    await client.post(PATH, json=SMALL)
    assert (await client.get("/api/v1/quotas")).json() == {
        "vms": {"limit": 3, "used": 1},
        "cpu": {"limit": 8, "used": 2},
        "memory_gb": {"limit": 16, "used": 4},
        "disk_gb": {"limit": 100, "used": 20},
    }


async def test_the_platform_sets_quotas_and_nobody_else(client, tenant):
    body = {"vms": 0, "cpu": None, "memory_gb": 7, "disk_gb": None}
    whose = {"tenant_id": str(tenant)}
    refused = await client.put("/api/v1/quotas", json=body)
    assert (refused.status_code, refused.json()["code"]) == (403, "compute.other_tenants_quota")
    answer = await client.put("/api/v1/quotas", json=body, params=whose, headers=as_("root"))
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    assert answer.json()["vms"] == {"limit": 0, "used": 0}
    assert (await client.get("/api/v1/quotas")).json() == answer.json()
    stale = {**as_("root"), "if-match": '"1"'}
    late = await client.put("/api/v1/quotas", json={**body, "vms": 1}, params=whose, headers=stale)
    assert (late.status_code, late.json()["code"]) == (412, "compute.quota_stale")
    other = await client.get("/api/v1/quotas", params={"tenant_id": NOWHERE})
    assert other.status_code == 403


@pytest.mark.parametrize(
    "change",
    [{"vms": -1}, {"vms": 1.0}, {"vms": "1"}, {"cpu": 10**9}, {"used": 1}, {"tenant": NOWHERE}],
)
async def test_what_is_no_quota_is_422(client, change, work):
    body = {"vms": 1, "cpu": 1, "memory_gb": 1, "disk_gb": 1, **change}
    answer = await client.put("/api/v1/quotas", json=body, headers=as_("root"))
    assert answer.status_code == 422
    half = await client.put("/api/v1/quotas", json={"vms": 1}, headers=as_("root"))
    assert half.status_code == 422
    assert work.quotas.limits == {}


def test_the_doors_describe_themselves_in_valid_openapi():
    document = rest_app("compute", routers).openapi()
    assert wrong(document) == []
    assert "/api/v1/vms/{vm}" in document["paths"]


async def test_a_ticket_is_given_to_who_may_and_a_console_needs_a_websocket(client, vm):
    url = f"{PATH}/{vm.id}"
    given = await client.post(f"{url}/console-tickets")
    assert (given.status_code, set(given.json())) == (201, {"ticket", "expires_at"})
    assert (await client.post(f"{url}/console-tickets", headers=as_("vera"))).status_code == 403
    assert (await client.post(f"{url}/console-tickets", headers=as_("otto"))).status_code == 404
    plain = await client.get(f"{url}/console")
    assert (plain.status_code, plain.json()["code"]) == (426, "compute.socket_needed")


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        ({"name": "a\u001bb"}, "/name", "must not hold control characters"),
        ({"name": "a\u202eb"}, "/name", "marks of direction"),
        ({"ssh_keys": ["nonsense"]}, "/ssh_keys/0", "must be an OpenSSH public key"),
        ({"template_id": None}, "/template_id", "source_type template needs template_id"),
    ],
)
async def test_what_is_wrong_is_said_in_words(client, change, pointer, message):
    refused = await client.post("/api/v1/vms", json=SMALL | change)
    [error] = refused.json()["errors"]
    assert (refused.status_code, error["pointer"]) == (422, pointer)
    assert message in error["message"]
