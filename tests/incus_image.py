"""An image for containers of Incus: the busybox of the built-in template, with an init that says that it is up."""

import gzip
import io
import json
import os
import tarfile
import time
from pathlib import Path

INITRD = Path(__file__).parents[1] / ".images/switchyard-linux/initrd"
READY = "switchyard: up"
PROPERTIES = {
    "switchyard.name": "switchyard-container",
    "switchyard.description": "busybox",
    "switchyard.ready_line": READY,
}
_INITTAB = "::sysinit:/etc/rc\nconsole::respawn:/bin/sh\n::ctrlaltdel:/bin/busybox poweroff\n"
_RC = f'#!/bin/sh\necho "{READY}" >/dev/console\n'


class Unusable(Exception):
    """Why there is no Incus to be had here."""


def archive() -> bytes:
    """Return an image for containers: busybox, of the built-in template; Unusable if that was not made."""
    if not INITRD.exists():
        raise Unusable("the built-in template, whose busybox is needed, was not made (make setup)")
    busybox = _member(gzip.decompress(INITRD.read_bytes()), b"bin/busybox")
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w:gz") as tar:
            about = {"architecture": os.uname().machine, "creation_date": int(time.time())}
            about["properties"] = PROPERTIES
            _add(tar, "metadata.yaml", json.dumps(about).encode())
            for name in ("", "bin", "sbin", "dev", "proc", "sys", "etc", "tmp", "run", "root"):
                _add(tar, f"rootfs/{name}".rstrip("/"), None)
            _add(tar, "rootfs/bin/busybox", busybox, 0o755)
            for name in ("bin/sh", "sbin/init"):
                _add(tar, f"rootfs/{name}", "/bin/busybox")
            _add(tar, "rootfs/etc/inittab", _INITTAB.encode())
            _add(tar, "rootfs/etc/rc", _RC.replace("echo", "/bin/busybox echo").encode(), 0o755)
        return file.getvalue()


def _add(tar: tarfile.TarFile, name: str, what: bytes | str | None, mode: int = 0o644) -> None:
    """Add a file (bytes), a symbolic link (str) or a folder (None)."""
    info = tarfile.TarInfo(name)
    info.mode = mode if isinstance(what, bytes) else 0o755
    if isinstance(what, bytes):
        info.size = len(what)
        tar.addfile(info, io.BytesIO(what))
        return
    info.type, info.linkname = (tarfile.DIRTYPE, "") if what is None else (tarfile.SYMTYPE, what)
    tar.addfile(info)


def _member(cpio: bytes, wanted: bytes) -> bytes:
    """Return one file of a `newc` archive (cpio(5)), as deploy/local/guest/prepare.py writes them."""
    place = 0
    while cpio[place : place + 6] == b"070701":
        size, length = (int(cpio[place + at : place + at + 8], 16) for at in (54, 94))
        data = (place + 110 + length + 3) & ~3
        if cpio[place + 110 : place + 110 + length - 1] == wanted:
            return cpio[data : data + size]
        place = (data + size + 3) & ~3
    raise Unusable("there is no busybox in the built-in template")
