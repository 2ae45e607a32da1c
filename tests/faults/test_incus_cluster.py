"""A real Incus cluster of two members on this machine: machines are made where they belong, and moved there.

`python -m pytest tests/faults/test_incus_cluster.py` (root, and incus-base of bookworm-backports).
"""

import asyncio
from pathlib import Path
from uuid import uuid4

import pytest

from compute.clients.images import built_in_id
from compute.clients.incus import Incus
from compute.clients.incus_places import Places
from compute.clients.incus_trial import IncusTrial
from compute.clients.incus_wire import Wire, trust
from compute.domain.guest import ABSENT, Definition, Key, Switch
from tests.incus_daemon import POOL, PROJECT, lent
from tests.incus_image import PROPERTIES

SMALL = Definition(
    name="small",
    cpu=1,
    memory_gb=1,
    disk_gb=1,
    template=built_in_id(PROPERTIES["switchyard.name"]),
)


@pytest.fixture(scope="module")
def cluster():
    with lent(2) as cluster:
        yield cluster


@pytest.fixture
async def wire(cluster):
    files = (Path(cluster.settings[f"incus_{name}"]) for name in ("cert", "key", "server_cert"))
    wire = Wire(cluster.settings["incus_address"], PROJECT, trust(*files))
    yield wire
    await wire.close()


@pytest.fixture
async def driver(wire):
    """Open the driver with a target, as a start of the service with that setting does."""
    trial = IncusTrial(wire, POOL)
    found = await trial.look()
    assert found.ran, found.trouble
    return lambda target: Incus(wire, trial, POOL, Places(wire, target))


@pytest.mark.parametrize(("first", "then"), [("one", "two"), ("two", "one")])
async def test_a_machine_is_made_on_its_member_and_moved_when_it_starts(wire, driver, first, then):
    key = Key(uuid4(), 1, 1)

    async def place():
        return (await wire.get(f"/1.0/instances/vm-{key.vm}")).said["location"]

    await driver(first).ensure_disk(key, SMALL)
    assert await place() == first
    await driver(first).snapshot(key, "before", "take")
    moved = driver(then)
    await moved.ensure_defined(key, SMALL)
    assert await place() == then
    await moved.ensure_power(key, Switch.ON)
    async with asyncio.timeout(120):
        while not (await moved.observe(key.vm)).up:
            await asyncio.sleep(0.1)
    await driver(first).ensure_defined(key, SMALL)
    assert await place() == then, "what runs is left where it is"
    await driver("@default").ensure_power(key, Switch.OFF)
    await driver("@default").ensure_defined(key, SMALL)
    assert await place() == then, "it is in the group already"
    await moved.snapshot(key, "before", "restore")
    await moved.ensure_absent(key)
    assert await moved.observe(key.vm) == ABSENT
