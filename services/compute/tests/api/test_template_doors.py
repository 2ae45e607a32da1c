"""The REST doors of templates, in process: asked for, shown while they come, refused, deleted."""

import pytest

PATH = "/api/v1/vm-templates"
NOWHERE = "01890000-0000-7000-8000-000000000000"
SMALL = {"name": "mine", "image_url": "https://images.example/x.qcow2"}


def as_(name):
    return {"authorization": f"Bearer {name}"}


async def test_a_template_is_asked_for_and_waits_for_its_image(client, driven):
    answer = await client.post(PATH, json={**SMALL, "image_sha256": "sha256:" + "ab" * 32})
    made = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"{PATH}/{made['id']}")
    assert (made["status"], made["status_detail"], made["received_bytes"]) == ("waiting", None, 0)
    assert (made["image_sha256"], made["is_global"]) == ("ab" * 32, False)
    assert (await client.get(answer.headers["location"])).json() == made
    other = await client.get(answer.headers["location"], headers=as_("otto"))
    never = await client.get(f"{PATH}/{NOWHERE}", headers=as_("otto"))
    assert other.status_code == never.status_code == 404
    assert other.json()["detail"].replace(made["id"], NOWHERE) == never.json()["detail"]


async def test_a_machine_of_a_template_that_is_not_there_yet_is_409(client, driven):
    made = (await client.post(PATH, json=SMALL)).json()
    order = {"name": "a", "source_type": "template", "template_id": made["id"], "cpu": 1}
    answer = await client.post("/api/v1/vms", json={**order, "memory_gb": 1, "disk_gb": 1})
    assert (answer.status_code, answer.json()["code"]) == (409, "compute.template_not_ready")


async def test_where_nothing_runs_machines_a_template_is_503(client, work, host):
    host.found = type(host)().found
    answer = await client.post(PATH, json=SMALL)
    assert (answer.status_code, answer.json()["code"]) == (503, "compute.no_hypervisor")


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"image_url": None},
        {"image_url": ""},
        {"source_vm_id": NOWHERE},
        {"image_url": None, "image_sha256": "ab" * 32, "source_vm_id": NOWHERE},
        {"image_sha256": "md5:abc"},
        {"image_sha256": "AB" * 32},
        {"min_disk_gb": 0},
        {"min_disk_gb": 10**9},
        {"architecture": "pdp11"},
        {"tenant": NOWHERE},
        {"image_url": None, "source_vm_id": NOWHERE},
    ],
)
async def test_what_is_no_template_is_422(client, driven, change):
    answer = await client.post(PATH, json={**SMALL, **change})
    assert answer.status_code == 422
    assert (await client.get(PATH)).json()["total"] == 1, "the one that came with the deployment"


async def test_an_address_that_may_not_be_asked_is_422_and_says_where(client, driven, depot):
    depot.refuses = "the host is not on the public internet"
    answer = await client.post(PATH, json={**SMALL, "image_url": "https://127.0.0.1/x"})
    assert (answer.status_code, answer.json()["code"]) == (422, "compute.bad_image_url")
    assert answer.json()["errors"][0]["pointer"] == "/image_url"


async def test_a_template_is_deleted_by_its_tenant_and_a_global_one_by_the_platform(
    client, driven, template
):
    made = (await client.post(PATH, json=SMALL)).json()
    url = f"{PATH}/{made['id']}"
    assert (await client.delete(url, headers=as_("vera"))).status_code == 403
    assert (await client.delete(url, headers=as_("otto"))).status_code == 404
    assert (await client.delete(url)).status_code == 204
    assert (await client.delete(url)).status_code == 404
    for_all = await client.delete(f"{PATH}/{template.id}")
    assert (for_all.status_code, for_all.json()["code"]) == (
        403,
        "compute.global_template_forbidden",
    )
    refused = await client.post(PATH, json={**SMALL, "is_global": True})
    assert refused.status_code == 403
