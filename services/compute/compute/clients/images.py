"""Templates on this host, and disks cloned from them.

A template is a folder with `template.json` and any of `vmlinuz`, `initrd` and `disk.qcow2`. What is not said there is
None. Its id is the one that is said, else one made of its name.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from uuid import NAMESPACE_URL, UUID, uuid5

from compute.clients.home import read, settle
from compute.ports.hypervisor import HostTrouble

TOLD = "template.json"
BUILT_IN = "switchyard-linux"
PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Image:
    """One template as it lies on this host. `append` is the kernel's command line, `ready_line` what says it is up.

    `for_all`: it was made by this deployment's own script and not by a tenant.
    """

    id: UUID
    folder: Path
    name: str
    description: str
    architecture: str
    min_memory_gb: int
    min_disk_gb: int
    append: str
    ready_line: str | None
    for_all: bool

    def file(self, name: str) -> Path | None:
        """Return one of its files; None if it has none such."""
        path = self.folder / name
        return path if path.exists() else None


@dataclass(frozen=True, slots=True)
class Images:
    """The templates in some folders."""

    folders: tuple[Path, ...]

    def all(self) -> Mapping[UUID, Image]:
        """Return the templates that there are."""
        told = (path for folder in self.folders for path in sorted(folder.glob(f"*/{TOLD}")))
        found = (_image(path) for path in told)
        return {image.id: image for image in found}

    def find(self, template: UUID) -> Image:
        """Return a template; HostTrouble if this host has none such."""
        if (found := self.all().get(template)) is None:
            raise HostTrouble(f"template {template} is not on this host")
        return found


def _image(path: Path) -> Image:
    told = read(path)
    name = str(told.get("name") or path.parent.name)
    return Image(
        id=UUID(told["id"]) if "id" in told else built_in_id(name),
        folder=path.parent,
        name=name,
        description=str(told.get("description", "")),
        architecture=str(told.get("architecture", "x86_64")),
        min_memory_gb=int(told.get("min_memory_gb", 1)),
        min_disk_gb=int(told.get("min_disk_gb", 1)),
        append=str(told.get("append", "")),
        ready_line=told.get("ready_line"),
        for_all="made_by" in told,
    )


def built_in_id(name: str) -> UUID:
    """Return the id of a template that is the same everywhere."""
    return uuid5(NAMESPACE_URL, f"switchyard:template:{name}")


async def make_disk(path: Path, gb: int, base: Path | None) -> None:
    """Make a disk, whole or not at all: a clone that holds only what differs from `base`, or an empty one."""
    half = path.with_suffix(".half")
    half.unlink(missing_ok=True)
    backing = ("-b", str(base), "-F", "qcow2") if base else ()
    await qemu_img("create", "-q", "-f", "qcow2", *backing, str(half), f"{gb}G")
    with half.open("rb") as file:
        os.fsync(file.fileno())
    half.rename(path)
    settle(path.parent)


async def qemu_img(*words: str) -> str:
    """Run qemu-img and return what it prints; HostTrouble with its reason."""
    return await run("qemu-img", *words)


async def run(
    *words: str,
    cwd: Path | None = None,
    complaints: IO[bytes] | None = None,
    patience: float | None = None,
) -> str:
    """Run a program to its end and return what it prints; HostTrouble with its reason (or `complaints` takes that)."""
    try:
        child = await asyncio.create_subprocess_exec(
            *words,
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL if complaints else asyncio.subprocess.PIPE,
            stderr=complaints or asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise HostTrouble(f"{words[0]} cannot be run: {error}") from error
    wait = PATIENCE if patience is None else patience
    try:
        async with asyncio.timeout(wait):
            out, complaint = await child.communicate()
    except TimeoutError:
        raise HostTrouble(f"{words[0]} did not end within {wait:.0f} s") from None
    finally:  # nor does it run on for somebody who was cancelled
        if child.returncode is None:
            with suppress(ProcessLookupError):  # it ended just now
                child.kill()
            await child.wait()
    if child.returncode:
        lines = (complaint or b"").decode(errors="replace").strip().splitlines()
        raise HostTrouble(f"{words[0]}: {lines[-1] if lines else f'status {child.returncode}'}")
    return (out or b"").decode(errors="replace")
