"""Templates on this host that tenants made: folders beside the built-in one, each made whole or not at all.

What users hand in is not believed: an image that names other files (a backing file, data outside) would let a guest
read them, so it is refused by its header before any program opens it, and what is kept is a flat copy that names none.
That copy is kept once for all templates of the same content: their disks are links to it.
"""

import asyncio
import json
import os
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import file_digest
from pathlib import Path
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from compute.clients import processes
from compute.clients.depot import Depot
from compute.clients.home import DEFINITION, DISK, Homes, read, settle
from compute.clients.images import TOLD, Images, run
from compute.domain.image import Blob
from compute.domain.order import Template
from compute.ports.hypervisor import HostTrouble
from compute.ports.images import NeverThere, NotNow

_MAGIC = b"QFI\xfb"
_EXTERNAL_DATA = 1 << 2
_OLD = 3600.0
_LONG = 1800.0  # seconds that a conversion may take


def _no_locks() -> WeakValueDictionary[str, asyncio.Lock]:
    return WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class QemuShelf:
    """The templates of tenants under `root`, one folder each, as `images` finds them."""

    root: Path
    homes: Homes
    images: Images
    depot: Depot
    _locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=_no_locks)

    async def shelve(self, template: Template, blob: Blob) -> None:
        """Make a template of what the depot has fetched; done already, it is done. NeverThere or NotNow."""
        fetched = self.depot.blob(blob.sha256)
        flat = self.depot.blob(f"{blob.sha256}.qcow2")
        async with self._locks.setdefault(blob.sha256, asyncio.Lock()):  # two may name the same
            if not flat.exists():
                await _convert(_kind_of(fetched), fetched, flat)
            fetched.unlink(missing_ok=True)
        size = json.loads(await _asked(flat))["virtual-size"]
        if size > template.min_disk_gb << 30:
            raise NeverThere(
                f"its disk has {size} bytes, more than min_disk_gb {template.min_disk_gb}"
            )
        self._put(template, flat, {})

    async def keep(self, blob: Blob) -> None:
        """Keep what the depot has fetched as a medium, as it is; done already, it is done. NotNow."""
        medium = self.homes.medium(blob.sha256)
        try:
            self.depot.blob(blob.sha256).replace(medium)
        except FileNotFoundError:
            if not medium.exists():
                raise NotNow("what was fetched is gone") from None
        medium.touch()  # it is not old, whenever it came first
        settle(medium.parent)

    async def copy(self, template: Template, vm: UUID) -> Blob:
        """Make a template of the disk of a machine that is off. NeverThere or NotNow."""
        home = self.homes.of(vm)
        if processes.running(home):
            raise NeverThere("the machine runs: stop it first")
        if not (home / DISK).exists():
            raise NeverThere("the machine has no disk on this host")
        self.depot.make()
        flat = self.depot.blob(f"of-{template.id}.qcow2")
        await _convert("qcow2", home / DISK, flat)
        self._put(template, flat, self._boots(home))
        return await asyncio.to_thread(_measured, flat)

    async def clear(self, known: Collection[UUID]) -> None:
        """Drop what lies there for templates that are none of these any more, if it is old."""
        names = {str(one) for one in known}
        for folder in filter(_is_old, self.root.glob("*")):
            if folder.name not in names:
                shutil.rmtree(folder, ignore_errors=True)
        for file in filter(_is_old, self.depot.root.glob("*/*")):
            if file.is_file() and file.stat().st_nlink == 1:  # no template's disk
                file.unlink(missing_ok=True)

    def _boots(self, home: Path) -> dict[str, Any]:
        """Return what a machine boots with beside its disk: a kernel of its template's, if that has one."""
        said = read(home / DEFINITION).get("template")
        with suppress(HostTrouble):
            image = self.images.find(UUID(said)) if said else None
            if image is not None and image.file("vmlinuz"):
                return {
                    "append": image.append,
                    "ready_line": image.ready_line,
                    "from": image.folder,
                }
        return {}

    def _put(self, template: Template, flat: Path, boots: dict[str, Any]) -> None:
        """Make the folder of a template beside the others, and put it among them by a rename."""
        done, half = self.root / str(template.id), self.depot.root / "halves" / str(template.id)
        if done.exists():
            return
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700, parents=True)
        os.link(flat, half / DISK)
        if folder := boots.pop("from", None):
            for name in ("vmlinuz", "initrd"):
                if (folder / name).exists():
                    shutil.copyfile(folder / name, half / name)
        told = {"id": str(template.id), "name": template.name, **boots}
        (half / TOLD).write_text(json.dumps(told))
        settle(half)
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        half.rename(done)
        settle(self.root)


def _is_old(path: Path) -> bool:
    return time.time() - path.stat().st_mtime > _OLD


def _measured(disk: Path) -> Blob:
    with disk.open("rb") as file:
        return Blob(file_digest(file, "sha256").hexdigest(), disk.stat().st_size)


def _kind_of(path: Path) -> str:
    """Return the format of what was fetched, by its header (QEMU's docs/interop/qcow2); NeverThere for bad ones."""
    try:
        with path.open("rb") as file:
            head = file.read(104).ljust(104, b"\0")
    except FileNotFoundError:
        raise NotNow("what was fetched is gone") from None
    if head[:4] != _MAGIC:
        return "raw"
    version, backing = int.from_bytes(head[4:8]), int.from_bytes(head[8:16])
    features = int.from_bytes(head[72:80]) if version >= 3 else 0
    if backing or features & _EXTERNAL_DATA:
        raise NeverThere("the image names other files: make it a whole one")
    if int.from_bytes(head[32:36]):
        raise NeverThere("the image is encrypted")
    return "qcow2"


async def _asked(path: Path) -> str:
    try:
        return await run("qemu-img", "info", "--output=json", "-f", "qcow2", str(path))
    except HostTrouble as why:
        raise NotNow(str(why)) from None


async def _convert(kind: str, source: Path, target: Path) -> None:
    """Make a flat copy, whole or not at all."""
    half = target.with_suffix(f".{os.getpid()}.half")
    words = ("convert", "-f", kind, "-O", "qcow2", str(source), str(half))
    try:
        await run("qemu-img", *words, patience=_LONG)
        with half.open("rb") as file:
            await asyncio.to_thread(os.fsync, file.fileno())
        half.rename(target)
    except HostTrouble as why:
        raise NeverThere(f"this is no image that can be read: {why}") from None
    finally:
        half.unlink(missing_ok=True)
    settle(target.parent)
