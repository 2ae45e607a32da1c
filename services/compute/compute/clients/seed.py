"""User data and keys as a disk that cloud-init's NoCloud source reads: an ISO image named cidata."""

import io
import os
from pathlib import Path
from uuid import UUID

import orjson
import pycdlib

from compute.clients.home import settle
from compute.domain.guest import Definition

LABEL = "cidata"


def write_seed(path: Path, vm: UUID, definition: Definition) -> None:
    """Write the disk, whole or not at all."""
    half = path.with_suffix(".half")
    disk = pycdlib.PyCdlib()
    disk.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    for number, (name, text) in enumerate(_files(vm, definition).items()):
        data = text.encode()
        disk.add_fp(
            io.BytesIO(data), len(data), f"/F{number}.;1", rr_name=name, joliet_path=f"/{name}"
        )
    with half.open("wb") as file:
        disk.write_fp(file)
        file.flush()
        os.fsync(file.fileno())
    disk.close()
    half.rename(path)
    settle(path.parent)


def _files(vm: UUID, definition: Definition) -> dict[str, str]:
    """Return the files of the seed. JSON is YAML, so no key or name can break out of its place."""
    meta = {
        "instance-id": str(vm),
        "local-hostname": host_name(definition.name, vm),
        "public-keys": list(definition.ssh_keys),
    }
    lines = (f"{key}: {_yaml(value)}" for key, value in meta.items())
    return {"meta-data": "\n".join(lines) + "\n", "user-data": definition.user_data or ""}


def _yaml(value: str | list[str]) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def host_name(name: str, vm: UUID) -> str:
    """Return a machine's name as a host's name may be spelled (RFC 1123); one made of its id where nothing is left."""
    kept = "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower())
    return kept.strip("-")[:63].strip("-") or f"vm-{vm.hex[:12]}"
