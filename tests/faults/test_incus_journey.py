"""The journey of a machine through the gateway, of a platform whose compute service has a real Incus.

`python -m pytest tests/faults/test_incus_journey.py` (root, and incus-base of bookworm-backports); it starts both.
"""

import asyncio
import os
import subprocess
import sys
from contextlib import suppress
from types import SimpleNamespace

import pytest

from tests.incus_daemon import free_port, lent
from tests.incus_image import PROPERTIES, READY
from tests.machines import VMS, act, done, gone, order, said, shown, sitting
from tests.newcomer import Patient, httpx, registered
from tests.waiting import until

LONG = 180


@pytest.fixture(scope="module")
def engine():
    with lent() as engine:
        yield engine


@pytest.fixture(scope="module")
def url(engine, tmp_path_factory):
    """A platform of its own on that engine."""
    port, told = free_port(), {f"COMPUTE_{k.upper()}": it for k, it in engine.settings.items()}
    outer = {k: v for k, v in os.environ.items() if not k.endswith(("DATABASE_URL", "REDIS_URL"))}
    here = {"SWITCHYARD_DATA": str(tmp_path_factory.mktemp("platform")), "GATEWAY_PORT": str(port)}

    def yard(word):
        words, env = [sys.executable, "-m", "yard", word], outer | told | here
        ran = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr + ran.stdout

    yard("up")
    yield f"http://127.0.0.1:{port}"
    yard("down")


@pytest.fixture
async def org(url):
    async with httpx.AsyncClient(base_url=url, timeout=30, transport=Patient()) as web:
        await registered(web)
        yield SimpleNamespace(web=web)


@pytest.fixture
async def template(org):
    async def offered():
        found = (await org.web.get("/api/v1/vm-templates")).json()["items"]
        return next((it for it in found if it["name"] == PROPERTIES["switchyard.name"]), None)

    return await until(offered, LONG)


async def ups(org, vm):
    """Count how often the guest has said that it is up."""
    return await said(org, vm, READY)


async def status(org, vm):
    return (await org.web.get(f"{VMS}/{vm['id']}")).json()["status"]


async def test_a_machine_on_incus_lives_from_the_order_to_the_end_through_the_gateway(
    org, template
):
    vm = await order(org, template, until, user_data="#!/bin/sh\n", name="Größe ✓")
    try:
        assert (vm["status"], vm["ip_address"]) == ("PROVISIONING", None)
        await shown(org, vm["id"], "RUNNING", until, LONG)
        assert await ups(org, vm) == 1
        assert b"42x" in await typed(org, vm)
        for action in ("restart", "pause", "resume", "reset", "stop"):
            await act(org, vm, action)
        assert await status(org, vm) == "STOPPED"
        path = f"{VMS}/{vm['id']}/snapshots"
        taken = await done(org, await org.web.post(path, json={"name": "while it is off"}))
        shot = f"{path}/{taken['snapshot_id']}"
        await act(org, vm, "start")
        refused = await org.web.post(f"{shot}/restore")
        assert (refused.status_code, "stop it first" in refused.json()["detail"]) == (409, True)
        await act(org, vm, "stop")
        await done(org, await org.web.post(f"{shot}/restore"))
        await boots_a_clone(org, vm)
        await done(org, await org.web.delete(shot))
        log = (await org.web.get(f"{VMS}/{vm['id']}/logs", params={"limit": 1000})).json()
        asked = [it["message"].split()[0] for it in log if "was asked for by" in it["message"]]
        assert asked[:6] == ["create", "restart", "pause", "resume", "reset", "stop"]
    finally:
        await gone(org, vm, until)
    assert (await org.web.get(f"{VMS}/{vm['id']}/logs")).status_code == 404
    used = (await org.web.get("/api/v1/quotas")).json()
    assert {name: it["used"] for name, it in used.items() if it["used"]} == {}


async def typed(org, vm):
    """Type a sum at the console until it is answered; return what was heard."""
    given = await org.web.post(f"{VMS}/{vm['id']}/console-tickets")
    assert given.status_code == 201, given.text
    heard = b""
    async with sitting(org, vm, given.json()["ticket"]) as socket, asyncio.timeout(60):
        while b"42x" not in heard:  # a shell that only starts forgets what was typed before
            await socket.send(b"echo $((6 * 7))x\n")
            with suppress(TimeoutError):
                heard += await asyncio.wait_for(socket.recv(), 1)
    return heard


async def boots_a_clone(org, vm):
    """Make a template of a machine that is off, and a machine of that; it is not dropped while it is used."""
    body = {"name": "of the machine", "source_vm_id": vm["id"]}
    made = await org.web.post("/api/v1/vm-templates", json=body)
    assert made.status_code == 201, made.text
    place = f"/api/v1/vm-templates/{made.json()['id']}"

    async def ready():
        found = (await org.web.get(place)).json()
        assert found["status"] != "failed", found
        return found if found["status"] == "ready" else None

    clone = await order(org, await until(ready, LONG), until)
    try:
        await shown(org, clone["id"], "RUNNING", until, LONG)
        assert (await org.web.delete(place)).status_code == 409
    finally:
        await gone(org, clone, until)
    assert (await org.web.delete(place)).status_code == 204


async def test_what_incus_cannot_make_a_template_of_says_so(org, template):
    body = {"name": "fetched", "image_url": "https://127.0.0.1/image.qcow2"}
    refused = await org.web.post("/api/v1/vm-templates", json=body)
    assert refused.status_code == 422, refused.text
