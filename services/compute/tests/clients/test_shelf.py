"""Templates of tenants on this host, made with the real qemu-img: flat, once, and never of what names other files."""

import asyncio
import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from hashlib import sha256
from uuid import uuid4

import pytest

from compute.clients.depot import Depot
from compute.clients.home import DEFINITION, DISK, Homes, write
from compute.clients.images import Images
from compute.clients.shelf import QemuShelf
from compute.domain.image import Blob
from compute.domain.order import Template
from compute.ports.images import NeverThere
from egress.guard import Rules

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")


@pytest.fixture
def shelf(tmp_path):
    root = tmp_path / "images"
    homes = Homes(tmp_path / "guests")
    homes.make()
    depot = Depot(tmp_path / "fetched", Rules(), 2**30)
    depot.make()
    return QemuShelf(root, homes, Images((root,)), depot)


def template(**said):
    given = {
        "id": uuid4(),
        "tenant": uuid4(),
        "name": "mine",
        "description": "",
        "architecture": "x86_64",
    }
    sizes = {"min_memory_gb": 1, "min_disk_gb": 1, "created_at": datetime(2026, 6, 1, tzinfo=UTC)}
    return Template(**given | sizes | said)


def qemu_img(*words):
    done = subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True)
    return done.stdout


def fetched(shelf, path):
    """Put a file where the depot would have put it."""
    content = path.read_bytes()
    blob = Blob(sha256(content).hexdigest(), len(content))
    shelf.depot.blob(blob.sha256).write_bytes(content)
    return blob


def told_of(disk):
    return json.loads(qemu_img("info", "--output=json", disk))


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
async def test_an_image_becomes_a_template_that_the_driver_finds(shelf, tmp_path, kind):
    disk = tmp_path / "x"
    qemu_img("create", "-f", kind, disk, "8M")
    mine = template()
    for _ in range(2):
        await shelf.shelve(mine, fetched(shelf, disk))
    found = shelf.images.find(mine.id)
    assert (found.name, found.for_all) == ("mine", False)
    told = told_of(found.file(DISK))
    assert (told["format"], told["virtual-size"]) == ("qcow2", 8 << 20)


async def test_two_templates_of_one_content_are_made_at_once(shelf, tmp_path):
    disk, pair = tmp_path / "x", (template(), template())
    qemu_img("create", "-f", "raw", disk, "8M")
    blob = fetched(shelf, disk)
    await asyncio.gather(*(shelf.shelve(one, blob) for one in pair))
    assert {shelf.images.find(one.id).file(DISK).stat().st_nlink for one in pair} == {3}


async def test_two_templates_of_one_content_share_its_bytes(shelf, tmp_path):
    disk = tmp_path / "x"
    qemu_img("create", "-f", "qcow2", disk, "8M")
    one, two = template(), template()
    for it in (one, two):
        await shelf.shelve(it, fetched(shelf, disk))
    first, second = (shelf.images.find(it.id).file(DISK).stat() for it in (one, two))
    assert (first.st_ino, first.st_dev) == (second.st_ino, second.st_dev)


async def test_an_image_that_names_other_files_is_refused_before_they_are_opened(shelf, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"s3cret" * 1000)
    backed, outside = tmp_path / "backed", tmp_path / "outside"
    qemu_img("create", "-f", "qcow2", "-b", secret, "-F", "raw", backed)
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data'}", outside, "8M")
    for bad in (backed, outside):
        with pytest.raises(NeverThere, match="other files"):
            await shelf.shelve(template(), fetched(shelf, bad))
    assert not shelf.root.exists() or list(shelf.root.iterdir()) == []


async def test_an_image_that_is_broken_or_larger_than_it_says_is_refused(shelf, tmp_path):
    broken, large = tmp_path / "broken", tmp_path / "large"
    broken.write_bytes(b"QFI\xfb" + b"\x00\x00\x00\x03" + b"\x00" * 200)
    qemu_img("create", "-f", "qcow2", large, "2G")
    with pytest.raises(NeverThere, match="no image"):
        await shelf.shelve(template(), fetched(shelf, broken))
    with pytest.raises(NeverThere, match="min_disk_gb"):
        await shelf.shelve(template(), fetched(shelf, large))


async def test_a_template_of_a_machine_is_whole_and_boots_as_the_machine_did(shelf, tmp_path):
    base = template()
    source = tmp_path / "x"
    qemu_img("create", "-f", "qcow2", source, "8M")
    await shelf.shelve(base, fetched(shelf, source))
    (shelf.root / str(base.id) / "vmlinuz").write_bytes(b"kernel")
    vm = uuid4()
    home = shelf.homes.of(vm)
    home.mkdir()
    backing = shelf.images.find(base.id).file(DISK)
    qemu_img("create", "-f", "qcow2", "-b", backing, "-F", "qcow2", home / DISK, "8M")
    write(home / DEFINITION, {"template": str(base.id)})
    copy = template()
    blob = await shelf.copy(copy, vm)
    found = shelf.images.find(copy.id)
    assert "backing-filename" not in told_of(found.file(DISK))
    assert found.file("vmlinuz").read_bytes() == b"kernel"
    assert blob.size_bytes == found.file(DISK).stat().st_size
    with pytest.raises(NeverThere, match="no disk"):
        await shelf.copy(template(), uuid4())


async def test_what_nobody_knows_is_cleared_once_it_is_old(shelf, tmp_path):
    disk = tmp_path / "x"
    qemu_img("create", "-f", "qcow2", disk, "8M")
    gone, kept, young = template(), template(), template()
    for it in (gone, kept, young):
        await shelf.shelve(it, fetched(shelf, disk))
    for it in (gone, kept):
        os.utime(shelf.root / str(it.id), (0, 0))
    (shelf.depot.root / "parts" / "old.1").write_bytes(b"x")
    os.utime(shelf.depot.root / "parts" / "old.1", (0, 0))
    await shelf.clear([kept.id])
    assert {p.name for p in shelf.root.iterdir()} == {str(kept.id), str(young.id)}
    assert list((shelf.depot.root / "parts").iterdir()) == []
