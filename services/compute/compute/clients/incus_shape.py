"""What an instance of Incus is made of: its limits, its disk, and what its cloud-init is told."""

from collections.abc import Mapping
from typing import Any

import orjson

from compute.domain.guest import Definition

Document = Mapping[str, Any]


def root(pool: str, gb: int) -> Mapping[str, str]:
    """Return the disk, in GiB."""
    return {"type": "disk", "path": "/", "pool": pool, "size": f"{gb}GiB"}


def size_of(found: Document) -> int:
    """Return how big the disk of an instance is, in GiB."""
    return int(found["devices"]["root"].get("size", "0").removesuffix("GiB"))


def limits(definition: Definition) -> Mapping[str, str]:
    """Return how much processor and memory it may have."""
    return {"limits.cpu": str(definition.cpu), "limits.memory": f"{definition.memory_gb}GiB"}


def seed(definition: Definition) -> Mapping[str, str]:
    """Return user data and keys as cloud-init gets them from Incus. JSON is YAML: no key can break out of its place."""
    keys = orjson.dumps({"ssh_authorized_keys": list(definition.ssh_keys)}).decode()
    vendor = {"cloud-init.vendor-data": f"#cloud-config\n{keys}\n"} if definition.ssh_keys else {}
    user = {"cloud-init.user-data": definition.user_data} if definition.user_data else {}
    return {**vendor, **user}


def seed_device(type_: str) -> Mapping[str, Mapping[str, str]]:
    """Return the disk that cloud-init of a virtual machine reads; a container's has other ways."""
    vm = type_ == "virtual-machine"
    return {"seed": {"type": "disk", "source": "cloud-init:config"}} if vm else {}
