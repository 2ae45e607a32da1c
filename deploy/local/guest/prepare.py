"""Make what virtual machines need: QEMU, and the built-in template from Debian's packages.

`python3 -I deploy/local/guest/prepare.py FOLDER` (the standard library only; `make setup` and `make up` run it).
Writes FOLDER/switchyard-linux/{vmlinuz,initrd,template.json}: the kernel of linux-image-cloud-amd64, and an initrd of
busybox-static, a few of the kernel's modules and `init` beside this file. Where packages cannot be had nothing fails:
one line says so, and the platform answers 503 where somebody asks for a machine. SWITCHYARD_MACHINES=off skips it all.
"""

import gzip
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

INIT = Path(__file__).with_name("init")
NAME = "switchyard-linux"
PACKAGES = ("qemu-system-x86", "qemu-utils")
SOURCES = ("linux-image-cloud-amd64", "busybox-static")
# In the order in which they need each other.
MODULES = (
    "virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci",
    "virtio_blk", "cdrom", "isofs", "evdev", "button",
)  # fmt: skip


class Unprepared(Exception):
    """Why there is nothing to run machines with."""


def main(folder: Path) -> None:
    """Bring FOLDER to what is wanted; say in one line what cannot be had."""
    if os.environ.get("SWITCHYARD_MACHINES") == "off":
        return
    try:
        _prepare(folder / NAME)
    except (Unprepared, OSError, subprocess.SubprocessError) as why:
        print(f"virtual machines cannot run here: {why}. Everything else can.", flush=True)


def _prepare(place: Path) -> None:
    if platform.machine() != "x86_64":
        raise Unprepared(f"the built-in template is for x86_64, this is {platform.machine()}")
    stamp = sha256(INIT.read_bytes() + Path(__file__).read_bytes()).hexdigest()
    if not all(shutil.which(name) for name in ("qemu-system-x86_64", "qemu-img")):
        _install()
    told = place / "template.json"
    if not told.exists() or json.loads(told.read_text())["made_by"] != stamp:
        print("making the built-in template for virtual machines …", flush=True)
        _make(place, stamp)


def _install() -> None:
    """Install QEMU where that is allowed."""
    before = _as_root()
    line = f"apt-get install -y --no-install-recommends {' '.join(PACKAGES)}"
    if before is None or shutil.which("apt-get") is None:
        raise Unprepared(f"QEMU is missing; type: sudo {line}")
    print(f"installing {' and '.join(PACKAGES)} …", flush=True)
    _refresh(before)
    if _run([*before, *line.split()]).returncode:
        raise Unprepared(f"QEMU could not be installed; type: sudo {line}")


def _as_root() -> list[str] | None:
    """Return what to put before a command to run it as root; None where that needs a password."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and _run(["sudo", "-n", "true"]).returncode == 0:
        return ["sudo", "-n"]
    return None


def _refresh(before: list[str]) -> None:
    """Bring the lists of packages up to date, unless a stale list still knows all."""
    if _run(["apt-cache", "show", *PACKAGES, *SOURCES]).returncode:
        _run([*before, "apt-get", "update"])


def _make(place: Path, stamp: str) -> None:
    """Make the template beside its place and put it there in one move."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as name:
        work, made = Path(name), Path(name, "made")
        root = _unpacked(work)
        made.mkdir(mode=0o755)
        kernel = next(root.glob("boot/vmlinuz-*"))
        shutil.copy(kernel, made / "vmlinuz")
        (made / "initrd").write_bytes(gzip.compress(b"".join(_initrd(root)), mtime=0))
        (made / "template.json").write_text(json.dumps(_told(kernel, stamp), indent=1))
        shutil.rmtree(place, ignore_errors=True)
        made.rename(place)


def _told(kernel: Path, stamp: str) -> dict[str, object]:
    version = kernel.name.removeprefix("vmlinuz-")
    return {
        "name": NAME,
        "description": f"Debian's kernel {version} and busybox, with a shell on the serial console",
        "architecture": "x86_64",
        "min_memory_gb": 1,
        "min_disk_gb": 1,
        "append": "console=ttyS0 quiet panic=5",
        "ready_line": "switchyard: up",
        "made_by": stamp,
    }


def _unpacked(work: Path) -> Path:
    """Return a folder with the files of the packages, fetched with apt's own checks of their signatures."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise Unprepared(
            "the built-in template is made from Debian's packages, and this is no Debian"
        )
    kernel = _kernel_package()
    os.chmod(work, 0o777)  # noqa: S103 - apt fetches as its own user, into this folder of the moment
    if (done := _run(["apt-get", "download", kernel, SOURCES[1]], cwd=work)).returncode:
        raise Unprepared(f"packages could not be fetched ({done.stderr.strip().splitlines()[-1:]})")
    for package in work.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", str(package), str(work / "root")], check=True)
    return work / "root"


def _kernel_package() -> str:
    """Return the package that the newest cloud kernel is in."""
    said = _run(["apt-cache", "depends", SOURCES[0]]).stdout.split()
    found = [word for word in said if word.startswith("linux-image-")][1:]
    if not found:
        raise Unprepared(f"no package {SOURCES[0]} is known here (apt-get update?)")
    return found[0]


def _initrd(root: Path) -> Iterator[bytes]:
    """Yield the archive: directories, busybox, the modules in their order, and init."""
    for name in ("bin", "modules", "dev"):
        yield _member(name, b"", 0o040755)
    yield _member("bin/busybox", (root / "bin/busybox").read_bytes(), 0o100755)
    found = {path.name.split(".")[0].replace("-", "_"): path for path in root.rglob("*.ko*")}
    there = [name for name in MODULES if name in found]
    for name in there:
        yield _member(f"modules/{found[name].name}", found[name].read_bytes(), 0o100644)
    order = "".join(f"{found[name].name}\n" for name in there)
    yield _member("modules/order", order.encode(), 0o100644)
    yield _member("init", INIT.read_bytes(), 0o100755)
    yield _member("TRAILER!!!", b"", 0)


def _member(name: str, data: bytes, mode: int) -> bytes:
    """Return one file as a `newc` cpio archive holds it (cpio(5)): thirteen hexadecimal fields, name, data, padded."""
    links = 2 if mode & 0o040000 else 1
    fields = (0, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return _padded(head) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def _run(command: list[str], cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    return subprocess.run(command, cwd=cwd, env=quiet, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
