"""A machine from the order to the end of its disk: a real guest, through the gateway; skipped where none runs."""

import asyncio
import time

import pytest
from websockets.exceptions import InvalidStatus

from tests.machines import BOOT, VMS, act, done, gone, order, said, shown, sitting


@pytest.fixture(scope="module")
def looked_for():
    """Until when the built-in template is waited for: once for all tests, where it never comes."""
    return time.monotonic() + 20


@pytest.fixture
async def template(org, eventually, looked_for):
    """The built-in template; skips where this machine has no hypervisor."""

    async def offered():
        return (await org.web.get("/api/v1/vm-templates")).json()["items"]

    try:
        return (await eventually(offered, looked_for - time.monotonic()))[0]
    except AssertionError:
        pytest.skip("no built-in template is offered: this machine has no hypervisor")


async def test_a_machine_boots_stops_tells_its_log_and_is_gone(org, template, eventually):
    script = "#!/bin/sh\necho the user data says hello\n"
    vm = await order(org, template, eventually, user_data=script)
    try:
        assert (vm["status"], vm["ip_address"]) == ("PROVISIONING", None)
        await shown(org, vm["id"], "RUNNING", eventually)
        log = (await org.web.get(f"{VMS}/{vm['id']}/logs", params={"limit": 200})).json()
        said = [entry["message"] for entry in log]
        assert {"switchyard: up", "the user data says hello", "RUNNING"} <= set(said)
        assert any(line.startswith("create was asked for by") for line in said)
        await act(org, vm, "stop")
        assert (await org.web.get(f"{VMS}/{vm['id']}")).json()["status"] == "STOPPED"
        refused = await org.web.post(f"{VMS}/{vm['id']}/actions", json={"action": "stop"})
        assert (refused.status_code, refused.json()["code"]) == (409, "compute.action_does_not_fit")
        await act(org, vm, "start")
        log = (await org.web.get(f"{VMS}/{vm['id']}/logs", params={"limit": 500})).json()
        assert "switchyard: boot 2" in {entry["message"] for entry in log}, "the disk was kept"
    finally:
        assert (await org.web.delete(f"{VMS}/{vm['id']}")).status_code == 204

    async def gone():
        return (await org.web.get(f"{VMS}/{vm['id']}")).status_code == 404

    await eventually(gone, 20)
    used = (await org.web.get("/api/v1/quotas")).json()
    assert {name: it["used"] for name, it in used.items() if it["used"]} == {}


async def test_somebody_types_at_the_console_through_the_gateway(org, template, eventually):
    vm = await order(org, template, eventually)
    try:
        await shown(org, vm["id"], "RUNNING", eventually)
        given = await org.web.post(f"{VMS}/{vm['id']}/console-tickets")
        assert given.status_code == 201, given.text
        ticket, heard = given.json()["ticket"], b""
        async with sitting(org, vm, ticket) as socket, asyncio.timeout(30):
            await socket.send(b"echo $((6 * 7))x\n")
            while b"42x" not in heard:
                heard += await socket.recv()
        with pytest.raises(InvalidStatus) as refused:
            async with sitting(org, vm, ticket):
                pass
        assert refused.value.response.status_code == 403
        for action in ("pause", "resume", "reset", "restart"):
            await act(org, vm, action)
    finally:
        assert (await org.web.delete(f"{VMS}/{vm['id']}")).status_code == 204


async def test_a_snapshot_brings_a_disk_back_and_a_template_of_it_boots_a_clone(
    org, template, eventually
):
    """Each boot of the guest is counted on its disk: the count tells which disk it has."""
    vm = await order(org, template, eventually)
    path = f"{VMS}/{vm['id']}/snapshots"
    try:
        await shown(org, vm["id"], "RUNNING", eventually)
        live = await done(org, await org.web.post(path, json={"name": "while it runs"}))
        await act(org, vm, "stop")
        taken = await done(org, await org.web.post(path, json={"name": "after boot 1"}))
        first = taken["snapshot_id"]
        await act(org, vm, "start")
        assert await said(org, vm, "switchyard: boot 2") == 1
        refused = await org.web.post(f"{path}/{first}/restore")
        assert (refused.status_code, refused.json()["code"]) == (409, "compute.action_does_not_fit")
        assert "stop it first" in refused.json()["detail"]
        await act(org, vm, "stop")
        await done(org, await org.web.post(f"{path}/{first}/restore"))
        await act(org, vm, "start")
        assert await said(org, vm, "switchyard: boot 2") == 2, "it boots for the second time again"
        await act(org, vm, "stop")
        await done(org, await org.web.delete(f"{path}/{live['snapshot_id']}"))
        left = (await org.web.get(path)).json()["items"]
        assert [(it["name"], it["status"]) for it in left] == [("after boot 1", "READY")]
        await boots_a_clone(org, vm, eventually)
    finally:
        await gone(org, vm, eventually)


async def boots_a_clone(org, vm, eventually):
    """Make a template of a machine that is stopped after its second boot, and a machine of that: it boots the third."""
    made = await org.web.post(
        "/api/v1/vm-templates", json={"name": "of the machine", "source_vm_id": vm["id"]}
    )
    assert made.status_code == 201, made.text

    async def ready():
        found = (await org.web.get(f"/api/v1/vm-templates/{made.json()['id']}")).json()
        assert found["status"] != "failed", found
        return found if found["status"] == "ready" else None

    clone = await order(org, await eventually(ready, BOOT), eventually)
    try:
        await shown(org, clone["id"], "RUNNING", eventually)
        assert await said(org, clone, "switchyard: boot 3") == 1
    finally:
        await gone(org, clone, eventually)
