"""What only Incus has: consoles over WebSockets, fences beside guests, and being away."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import orjson
import pytest

from compute.clients.incus import Incus
from compute.clients.incus_console import Heard
from compute.clients.incus_images import IncusShelf
from compute.clients.incus_places import Places
from compute.clients.incus_trial import IncusTrial
from compute.clients.incus_wire import Wire, trust
from compute.domain.errors import NoHypervisor, NotTriedYet
from compute.domain.guest import Definition, Key, Power, Switch
from compute.domain.image import Blob
from compute.domain.order import Template
from compute.ports.hypervisor import HostTrouble, StaleFence
from compute.ports.images import NeverThere
from tests.incus_daemon import PROJECT, free_port

LONG = 90


@pytest.fixture
def small(incus):
    return Definition(name="small", cpu=1, memory_gb=1, disk_gb=1, template=incus.template)


async def begin(driver, key, small):
    await driver.ensure_disk(key, small)
    await driver.ensure_defined(key, small)
    await driver.ensure_power(key, Switch.ON)
    await is_up(driver, key.vm)


async def is_up(driver, vm):
    async with asyncio.timeout(LONG):
        while not (await driver.observe(vm)).up:
            await asyncio.sleep(0.05)


async def lines(driver, vm):
    return [line.text for line in await driver.read_console(vm, 50)]


async def test_what_is_typed_at_the_console_is_answered_and_kept(incus, vm_id, small):
    driver, key = incus.driver, Key(vm_id, 1, 1)
    await begin(driver, key, small)
    assert (await lines(driver, vm_id))[:1] == ["switchyard: up"]
    console = await driver.console(vm_id)
    said = b""
    async with asyncio.timeout(LONG):
        while b"42" not in said:  # a shell that only starts forgets what was typed before
            await console.write(b"echo $((40 + 2))\n")
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    said += await console.read()
    await console.close()
    assert "42" in await lines(driver, vm_id)
    await driver.ensure_absent(key)
    with pytest.raises(HostTrouble, match="does not run"):
        await driver.console(vm_id)


async def test_a_restored_snapshot_brings_no_old_fence_back(incus, vm_id, small):
    driver = incus.driver
    await driver.ensure_disk(Key(vm_id, 1, 1), small)
    await driver.snapshot(Key(vm_id, 1, 1), "early", "take")
    await driver.snapshot(Key(vm_id, 2, 9), "early", "restore")
    with pytest.raises(StaleFence):
        await driver.ensure_power(Key(vm_id, 1, 1), Switch.ON)
    assert (await driver.observe(vm_id)).power is Power.OFF
    await driver.ensure_absent(Key(vm_id, 2, 9))


async def test_of_many_workers_at_once_the_highest_fence_stays(incus, vm_id, small):
    driver = incus.driver
    told = (driver.ensure_disk(Key(vm_id, 1, fence), small) for fence in range(1, 6))
    await asyncio.gather(*told, return_exceptions=True)
    with pytest.raises(StaleFence):
        await driver.ensure_disk(Key(vm_id, 1, 4), small)
    await driver.ensure_absent(Key(vm_id, 1, 5))


async def test_a_reset_is_done_once_and_whoever_comes_next_finds_the_guest(
    incus, open_incus, vm_id, small
):
    await begin(incus.driver, Key(vm_id, 1, 1), small)
    before = incus.engine.pid(f"vm-{vm_id}")
    other = await open_incus()
    assert (await other.list())[vm_id].power is Power.RUNNING
    for _ in range(2):
        await other.ensure_power(Key(vm_id, 2, 2), Switch.RESET)
    after = incus.engine.pid(f"vm-{vm_id}")
    await is_up(other, vm_id)
    seen = await other.observe(vm_id)
    assert (seen.reset_at, seen.generation, after != before) == (2, 1, True)
    assert other.host == incus.driver.host
    assert [template.id for template in other.templates()] == [incus.template]
    await other.ensure_absent(Key(vm_id, 2, 2))


async def test_it_is_told_when_something_happens_to_a_guest(incus, vm_id, small):
    driver = incus.driver
    events = driver.events()
    heard = asyncio.create_task(anext(events))
    async with asyncio.timeout(LONG):
        while not heard.done():  # until it listens
            await driver.ensure_disk(Key(vm_id, 1, 1), small)
            await driver.ensure_absent(Key(vm_id, 1, 1))
            await asyncio.sleep(0.05)
    assert heard.result() == vm_id
    await events.aclose()


async def test_without_an_answer_nothing_is_absent_and_orders_say_what_to_do(vm_id):
    wire = Wire(f"https://127.0.0.1:{free_port()}", "switchyard", trust(None, None, None))
    trial = IncusTrial(wire, "default")
    driver = Incus(wire, trial, "default", Places(wire))
    with pytest.raises(NotTriedYet):
        (await driver.probe()).must_run_machines()
    with pytest.raises(NoHypervisor, match=r"COMPUTE_INCUS_ADDRESS.*does not answer"):
        (await trial.look()).must_run_machines()
    assert (await driver.observe(vm_id)).power is Power.UNKNOWN
    with pytest.raises(HostTrouble):
        await driver.list()
    await wire.close()


def test_lines_keep_the_time_at_which_they_were_first_seen(vm_id):
    heard = Heard()
    first = heard.lines(vm_id, "one\n\x1b[1mtwo\x1b[0m\nthr")
    assert [line.text for line in first] == ["one", "two", "thr"]
    later = heard.lines(vm_id, "two\nthree\nfour\n")
    assert [line.text for line in later] == ["two", "three", "four"]
    assert [line.at for line in later[:2]] == [line.at for line in first[1:]]


def test_what_is_told_once_is_kept_and_what_is_told_whole_is_not_doubled(vm_id):
    heard = Heard()
    for told, known in (("a\n", "a\n"), ("", "a\n"), ("b\n", "a\nb\n"), ("a\nb\nc\n", "a\nb\nc\n")):
        assert heard.add(vm_id, "first", told, whole=False) == known
    assert heard.add(vm_id, "first", "all\n", whole=True) == "all\n"
    assert heard.add(vm_id, "second", "x\n", whole=False) == "x\n"


async def test_user_data_and_keys_reach_cloud_init_and_nothing_of_a_name_does(incus, vm_id):
    said = {"user_data": "#!/bin/sh\necho ü", "ssh_keys": ('ssh-ed25519 AAAA a"b\n#x',)}
    order = Definition(name="../✗", cpu=2, memory_gb=1, disk_gb=1, template=incus.template, **said)
    await incus.driver.ensure_disk(Key(vm_id, 1, 1), order)
    made = incus.engine.first.ask("GET", f"/1.0/instances/vm-{vm_id}?project={PROJECT}")
    config = made["config"]
    assert config["cloud-init.user-data"] == order.user_data
    first, keys = config["cloud-init.vendor-data"].split("\n", 1)
    assert (first, orjson.loads(keys)) == (
        "#cloud-config",
        {"ssh_authorized_keys": list(order.ssh_keys)},
    )
    assert (config["limits.cpu"], made["devices"]["root"]["size"]) == ("2", "1GiB")
    assert "✗" not in str(made)
    await incus.driver.ensure_absent(Key(vm_id, 1, 1))


@pytest.fixture
async def shelf(engine, incus):
    """The shelf of the engine's project; images that it holds in the end are dropped."""
    files = (Path(engine.settings[f"incus_{name}"]) for name in ("cert", "key", "server_cert"))
    wire = Wire(engine.settings["incus_address"], PROJECT, trust(*files))
    yield IncusShelf(wire)
    for one in await wire.all("/1.0/images"):
        if "switchyard.template" in one["properties"]:
            await wire.done("DELETE", f"/1.0/images/{one['fingerprint']}")
    await wire.close()


async def test_a_machine_that_is_off_becomes_a_template_once_and_a_clone_of_it_boots(
    incus, open_incus, shelf, vm_id, small, clock, tenant
):
    driver, key = incus.driver, Key(vm_id, 1, 1)
    mine = Template(
        id=uuid4(), tenant=tenant, name="Größe ✓", description="", architecture="x86_64",
        min_memory_gb=1, min_disk_gb=1, created_at=clock(),
    )  # fmt: skip
    with pytest.raises(NeverThere, match="no disk on this host"):
        await shelf.copy(mine, vm_id)
    await begin(driver, key, small)
    with pytest.raises(NeverThere, match="stop it first"):
        await shelf.copy(mine, vm_id)
    await driver.ensure_power(key, Switch.OFF)
    made = await shelf.copy(mine, vm_id)
    assert await shelf.copy(mine, vm_id) == made
    assert (len(made.sha256), made.size_bytes > 0) == (64, True)
    other, clone = await open_incus(), Key(uuid4(), 1, 1)
    assert [one.id for one in other.templates()] == [incus.template], "it is its tenant's alone"
    await begin(other, clone, replace(small, template=mine.id))
    await shelf.clear([])
    assert await shelf.copy(mine, vm_id) == made, "what is young is left: its template may come yet"
    for one in (key, clone):
        await other.ensure_absent(one)


async def test_an_image_at_an_address_is_no_template_here_and_it_says_what_is(shelf, clock):
    with pytest.raises(NeverThere, match="made of a machine"):
        await shelf.shelve(None, Blob("ab" * 32, 1))
