"""Drivers to be held against the contract: in memory, QEMU where a guest really runs, Incus where a daemon does."""

import os
import signal
import tempfile
from pathlib import Path
from uuid import uuid4

import pytest

from compute.clients import processes
from compute.clients.images import Images, built_in_id
from compute.clients.incus import Incus
from compute.clients.incus_marks import name_of
from compute.clients.incus_places import Places
from compute.clients.incus_trial import IncusTrial
from compute.clients.incus_wire import Wire, trust
from compute.clients.qemu import Qemu
from compute.clients.trial import Trial
from compute.domain.guest import Definition
from tests.incus_daemon import POOL, lent
from tests.incus_image import PROPERTIES

IMAGES = Path(__file__).parents[4] / ".images"
LITTLE = {"name": "little", "cpu": 1, "memory_gb": 1, "disk_gb": 1}


@pytest.fixture
async def qemu_root():
    """A folder for guests; whoever still runs in it when the test is over is ended."""
    with tempfile.TemporaryDirectory(prefix="switchyard-driver-") as folder:
        yield Path(folder)
        for vm in processes.guests(Path(folder, "guests")):
            await processes.end(Path(folder, "guests", str(vm)))


@pytest.fixture
async def open_qemu(qemu_root):
    """Open the driver on that folder, as each start of the service does."""
    trial = Trial(IMAGES, Images((IMAGES,)), "tcg")
    if not (await trial.look()).ran:
        pytest.skip(f"no guest runs here: {trial.found.trouble}")
    opened = []

    def start():
        opened.append(Qemu(qemu_root, Images((IMAGES,)), trial))
        return opened[-1]

    yield start
    for driver in opened:
        driver.close()


class MemoryHand:
    """What a test does to a guest of the driver in memory behind its back."""

    def __init__(self, host):
        self.driver, self.template = host, None

    def kill(self, vm):
        self.driver.die(vm)


class QemuHand:
    """What a test does to a real guest behind the driver's back."""

    def __init__(self, driver, root):
        self.driver, self.root = driver, root
        self.template = built_in_id("switchyard-linux")

    def pid(self, vm):
        return processes.running(self.root / "guests" / str(vm))

    def kill(self, vm, what=signal.SIGKILL):
        os.kill(self.pid(vm), what)


@pytest.fixture(params=["memory", "qemu", "incus"])
def hand(request, host):
    """A driver, and a hand behind its back."""
    if request.param == "memory":
        return MemoryHand(host)
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["qemu", "incus"])
def real(request):
    """A driver of real guests."""
    return request.getfixturevalue(request.param)


class IncusHand:
    """What a test does to an instance of a real Incus behind the driver's back."""

    def __init__(self, driver, engine):
        self.driver, self.engine = driver, engine
        self.template = built_in_id(PROPERTIES["switchyard.name"])

    def kill(self, vm, what=signal.SIGKILL):
        os.kill(self.engine.pid(name_of(vm)), what)


@pytest.fixture(scope="session")
def engine():
    """An Incus of these tests' own; where none can be had they are skipped, and say why."""
    with lent() as engine:
        yield engine


@pytest.fixture
async def open_incus(engine):
    """Open the driver on it, as each start of the service does."""
    settings, wires = engine.settings, []

    async def start(target=""):
        files = (Path(settings[f"incus_{name}"]) for name in ("cert", "key", "server_cert"))
        wires.append(Wire(settings["incus_address"], settings["incus_project"], trust(*files)))
        trial = IncusTrial(wires[-1], POOL)
        if not (await trial.look()).ran:
            pytest.skip(f"no guest runs on Incus here: {trial.found.trouble}")
        return Incus(wires[-1], trial, POOL, Places(wires[-1], target))

    yield start
    for wire in wires:
        await wire.close()


@pytest.fixture
async def incus(engine, open_incus):
    return IncusHand(await open_incus(), engine)


@pytest.fixture
def qemu(open_qemu, qemu_root):
    return QemuHand(open_qemu(), qemu_root)


@pytest.fixture
def little(hand):
    return Definition(**LITTLE, template=hand.template)


@pytest.fixture
def vm_id():
    return uuid4()
