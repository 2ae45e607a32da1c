"""The REST doors of snapshots, in process."""

from dataclasses import replace
from uuid import uuid4

import pytest

from compute.domain.vm import Step, Wish

FIELDS = {
    "id", "vm_id", "name", "status", "status_detail", "created_by",
    "disk_gb", "operation_id", "version",
    "created_at", "updated_at",
}  # fmt: skip


@pytest.fixture
def vm(work, make_vm):
    vm = make_vm(host="here", made=True, step=Step.UP, settled=1)
    work.vms.kept[vm.id] = vm
    return vm


@pytest.fixture
def path(vm):
    return f"/api/v1/vms/{vm.id}/snapshots"


@pytest.fixture
async def shot(client, path, work, clock):
    """A snapshot that was taken."""
    made = (await client.post(path, json={"name": "größer 🙂"})).json()["snapshot_id"]
    [kept] = work.snapshots.kept.values()
    work.snapshots.kept[kept.id] = kept.done(clock())
    return made


async def test_what_is_asked_is_an_operation_that_can_be_followed(client, path, vm):
    answer = await client.post(path, json={"name": " nightly ", "reason": "habit"})
    asked = answer.json()
    assert (answer.status_code, asked["action"], asked["status"]) == (
        202,
        "take_snapshot",
        "RUNNING",
    )
    assert answer.headers["location"] == f"/api/v1/operations/{asked['id']}"
    assert (await client.get(answer.headers["location"])).json() == asked
    shown = await client.get(f"{path}/{asked['snapshot_id']}")
    assert (shown.status_code, set(shown.json())) == (200, FIELDS)
    assert (shown.json()["name"], shown.json()["status"]) == ("nightly", "CREATING")
    assert shown.json()["operation_id"] == asked["id"]


async def test_the_list_is_empty_then_paged_then_walked_by_cursor(client, path, clock):
    assert (await client.get(path)).json() == {"items": [], "total": 0, "page": 1, "limit": 50}
    for name in "abc":
        clock.forward(seconds=1)
        assert (await client.post(path, json={"name": name})).status_code == 202
    second = (await client.get(path, params={"page": 2, "limit": 2})).json()
    assert ([it["name"] for it in second["items"]], second["total"]) == (["a"], 3)
    first = (await client.get(path, params={"limit": 2, "cursor": ""})).json()
    assert ([it["name"] for it in first["items"]], first["has_more"]) == (["c", "b"], True)
    after = {"limit": 2, "cursor": first["next_cursor"]}
    rest = (await client.get(path, params=after)).json()
    assert ([it["name"] for it in rest["items"]], rest["has_more"]) == (["a"], False)


async def test_a_machine_that_runs_is_not_put_back_and_the_answer_says_why(
    client, path, shot, vm, work
):
    answer = await client.post(f"{path}/{shot}/restore")
    assert (answer.status_code, answer.json()["code"]) == (409, "compute.action_does_not_fit")
    assert "the machine is RUNNING; stop it first" in answer.json()["detail"]
    work.vms.kept[vm.id] = replace(vm, wish=Wish.STOP, step=Step.DOWN)
    answer = await client.post(f"{path}/{shot}/restore", json={"reason": "it broke"})
    assert (answer.status_code, answer.json()["action"]) == (202, "restore_snapshot")
    answer = await client.post(f"{path}/{shot}/restore", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "compute.snapshot_busy")
    start = await client.post(f"/api/v1/vms/{vm.id}/actions", json={"action": "start"})
    assert (start.status_code, start.json()["code"]) == (409, "compute.action_does_not_fit")


async def test_deleting_is_an_operation_and_expects_the_version_that_was_read(client, path, shot):
    stale = await client.delete(f"{path}/{shot}", headers={"if-match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "compute.snapshot_stale")
    seen = await client.get(f"{path}/{shot}")
    tag = {"if-match": seen.headers["etag"]}
    answer = await client.delete(f"{path}/{shot}", headers=tag)
    assert (answer.status_code, answer.json()["action"]) == (202, "delete_snapshot")
    assert (await client.get(f"{path}/{shot}")).json()["status"] == "DELETING"
    same = {"if-none-match": seen.headers["etag"]}
    assert (await client.get(f"{path}/{shot}", headers=same)).status_code == 200


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": "a\nb"}, {"name": "n" * 101}, {"name": "a", "task": "drop"}]
)
async def test_what_is_no_snapshot_is_422_and_nothing_changes(client, path, work, body):
    answer = await client.post(path, json=body)
    assert (answer.status_code, work.snapshots.kept) == (422, {})


async def test_a_machine_without_a_disk_has_no_snapshots_to_take(client, work, make_vm):
    vm = make_vm()
    work.vms.kept[vm.id] = vm
    answer = await client.post(f"/api/v1/vms/{vm.id}/snapshots", json={"name": "early"})
    assert (answer.status_code, answer.json()["code"]) == (409, "compute.action_does_not_fit")


async def test_strangers_get_404_whether_it_is_there_or_not(client, path, shot, vm):
    otto = {"authorization": "Bearer otto"}
    there = await client.get(f"{path}/{shot}", headers=otto)
    assert (there.status_code, there.json()["code"]) == (404, "compute.vm_not_found")
    for answer in (
        await client.get(path, headers=otto),
        await client.post(path, headers=otto, json={"name": "x"}),
        await client.delete(f"{path}/{shot}", headers=otto),
        await client.post(f"{path}/{shot}/restore", headers=otto),
    ):
        assert answer.status_code == 404
    gone = await client.get(f"{path}/{uuid4()}")
    assert (gone.status_code, gone.json()["code"]) == (404, "compute.snapshot_not_found")
    elsewhere = await client.get(f"/api/v1/vms/{uuid4()}/snapshots/{shot}")
    assert elsewhere.json()["code"] == "compute.vm_not_found"
