"""ISO images at a guest of QEMU: laid in as links, asked after the disk, kept as long as the guest."""

import asyncio
import io
import shutil
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from types import SimpleNamespace
from uuid import uuid4

import pycdlib
import pytest

from compute.clients import processes
from compute.clients.depot import Depot
from compute.clients.home import MEDIUM, Homes
from compute.clients.images import Images
from compute.clients.shelf import QemuShelf
from compute.domain.course import Terms
from compute.domain.image import Blob
from compute.domain.order import SourceType
from compute.domain.quota import Amount
from compute.ports.hypervisor import HostTrouble
from compute.ports.images import NotNow
from compute.usecases.importer import Importer
from compute.usecases.metering import Meter
from compute.usecases.reconciler import Reconciler
from compute.usecases.snapshotting import Snapshotting
from compute.usecases.vms import Intent, Vms
from egress.guard import Rules

SAYS = b"switchyard: from the medium"
# Real mode at 0x7C00: each byte of what stands behind the code goes to the first serial port, then it halts.
CODE = bytes.fromhex("31c0 8ed8 be167c fc baf803 ac 84c0 7403 ee ebf8 f4 ebfd")


def bootable():
    """Return an ISO image that boots (El Torito) and says so on the serial port."""
    boot = (CODE + SAYS + b"\r\n\0").ljust(2048, b"\0")
    iso, out = pycdlib.PyCdlib(), io.BytesIO()
    iso.new()
    iso.add_fp(io.BytesIO(boot), len(boot), "/BOOT.;1")
    iso.add_eltorito("/BOOT.;1", bootcatfile="/BOOT.CAT;1")
    iso.write_fp(out)
    iso.close()
    return out.getvalue()


@pytest.fixture
def fetched(tmp_path):
    """A depot that has fetched something, and the shelf beside it."""

    def fetch(content, root=tmp_path):
        homes = Homes(root)
        homes.make()
        depot = Depot(homes.fetched, Rules(), 2**30)
        depot.make()
        blob = Blob(sha256(content).hexdigest(), len(content))
        depot.blob(blob.sha256).write_bytes(content)
        return QemuShelf(root / "images", homes, Images((root,)), depot), blob

    return fetch


async def test_what_was_fetched_is_kept_as_it_is_and_twice_is_once(fetched):
    shelf, blob = fetched(b"an image")
    for _ in range(2):
        await shelf.keep(blob)
    assert shelf.homes.medium(blob.sha256).read_bytes() == b"an image"
    assert not shelf.depot.blob(blob.sha256).exists()
    with pytest.raises(NotNow):
        await shelf.keep(Blob("cd" * 32, 1))


async def test_what_a_guest_has_stays_when_the_shelf_is_cleared(fetched, vm_id, monkeypatch):
    shelf, blob = fetched(b"an image")
    await shelf.keep(blob)
    home = shelf.homes.furnish(vm_id, blob.sha256)
    monkeypatch.setattr("compute.clients.shelf._OLD", -1)
    await shelf.clear([])
    assert shelf.homes.furnish(vm_id, blob.sha256) == home
    assert (home / MEDIUM).read_bytes() == b"an image"
    shutil.rmtree(home)
    await shelf.clear([])
    with pytest.raises(HostTrouble, match="order it again"):
        shelf.homes.furnish(vm_id, blob.sha256)


@asynccontextmanager
async def serving(content):
    """Serve an image on loopback."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(content) + content)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/installer.iso"


@pytest.fixture
def site(qemu, work, clock):
    """Everything that makes a machine of an order, on books in memory and a real QEMU."""
    homes = Homes(qemu.root)
    depot = Depot(homes.fetched, Rules.of("127.0.0.0/8", plain_http=True), most=10**6)
    shelf = QemuShelf(qemu.root / "images", homes, Images((qemu.root,)), depot)
    books, host = {"work": work, "now": clock}, {"hypervisor": qemu.driver}
    plenty = Amount(vms=9, cpu=9, memory_gb=9, disk_gb=9)
    return SimpleNamespace(
        guests=homes.guests,
        vms=Vms(**books, **host, depot=depot, limit=plenty, new_id=uuid4),
        importer=Importer(**books, depot=depot, shelf=shelf),
        reconciler=Reconciler(
            **books,
            **host,
            terms=Terms(),
            meter=Meter(uuid4, clock),
            snapshots=Snapshotting(**books, **host),
        ),
    )


async def swept(site, holds, seconds=120):
    """Sweep until something holds."""
    end = time.monotonic() + seconds
    while not (found := await holds()):
        assert time.monotonic() < end
        await asyncio.sleep(0.1)
        await site.reconciler.sweep()
        await site.reconciler.underway.finish()
    return found


async def test_a_machine_that_was_ordered_with_an_iso_image_boots_it(qemu, site, work, ana, order):
    """From the order to the guest's first word: guard, cap, checksum, and an empty disk that is asked first."""
    content = bootable()
    said = {"iso_sha256": sha256(content).hexdigest(), "source_type": SourceType.ISO}
    size = {"cpu": 1, "memory_gb": 1, "disk_gb": 1, "template_id": None}
    async with serving(content) as url:
        vm = await site.vms.create(ana, replace(order, **size, **said, iso_url=url))
        await site.reconciler.sweep()
        await site.reconciler.underway.finish()
        assert processes.guests(site.guests) == {}, "its image has not come"
        assert await site.importer.process_due()

    async def it_says_so():
        lines = await qemu.driver.read_console(vm.id, 100)
        return SAYS.decode() in [line.text for line in lines]

    async def it_is_gone():
        return not work.vms.kept

    async def it_runs():
        return work.vms.kept[vm.id].status == "RUNNING"

    await swept(site, it_says_so)
    await swept(site, it_runs)
    await site.vms.delete(ana, Intent(vm=vm.id))
    await swept(site, it_is_gone)
    assert list(site.guests.iterdir()) == []
