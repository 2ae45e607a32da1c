"""Machines as somebody has them who comes through the gateway: ordered, told what to do, waited for, gone."""

from contextlib import asynccontextmanager

from websockets.asyncio.client import connect

VMS = "/api/v1/vms"
BOOT = 120  # seconds; a guest takes 4 to 8 without KVM on an idle machine


def small(template_id, **more):
    return {
        "name": "little",
        "source_type": "template",
        "template_id": template_id,
        "cpu": 1,
        "memory_gb": 1,
        "disk_gb": 1,
        **more,
    }


async def shown(org, vm_id, wanted, eventually, seconds=BOOT):
    """Wait until a machine is as wanted; what went wrong on the way is tried again, and told where it never mends."""
    said = []

    async def it_is():
        vm = (await org.web.get(f"{VMS}/{vm_id}")).json()
        said[:] = [vm["status"], vm["status_detail"]]
        return vm if vm["status"] == wanted else None

    try:
        return await eventually(it_is, seconds)
    except AssertionError as late:
        raise AssertionError(f"not {wanted} but {said}") from late


async def order(org, template, eventually, **more):
    """Order a machine, once the platform has found out whether it can run any."""

    async def made():
        answer = await org.web.post(VMS, json=small(template["id"], **more))
        return None if answer.status_code == 503 else answer

    made = await eventually(made, BOOT)
    assert made.status_code == 201, made.text
    return made.json()


async def act(org, vm, action):
    await done(org, await org.web.post(f"{VMS}/{vm['id']}/actions", json={"action": action}))


async def done(org, asked):
    """Wait until what was asked has ended, and return the operation."""
    assert asked.status_code == 202, asked.text
    ended = asked
    for _ in range(BOOT // 30):
        ended = await org.web.get(asked.headers["location"], params={"wait": 30}, timeout=40)
        if ended.json()["status"] != "RUNNING":
            break
    assert ended.json()["status"] == "SUCCEEDED", ended.text
    return ended.json()


async def said(org, vm, line):
    """Count how often a guest has said something on its console."""
    log = await org.web.get(f"{VMS}/{vm['id']}/logs", params={"limit": 1000})
    return sum(entry["message"] == line for entry in log.json())


async def gone(org, vm, eventually):
    assert (await org.web.delete(f"{VMS}/{vm['id']}")).status_code == 204

    async def it_is():
        return (await org.web.get(f"{VMS}/{vm['id']}")).status_code == 404

    await eventually(it_is, 30)


@asynccontextmanager
async def sitting(org, vm, ticket):
    url = str(org.web.base_url).replace("http", "ws", 1).rstrip("/") + f"{VMS}/{vm['id']}/console"
    headers = {"authorization": org.web.headers["authorization"]}
    offered = ["switchyard.v1", f"ticket.{ticket}"]
    async with connect(url, additional_headers=headers, subprotocols=offered, proxy=None) as socket:
        assert socket.subprotocol == "switchyard.v1"
        yield socket
