"""The settings of compute, read once from `COMPUTE_*`."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    """Everything that may differ between two deployments."""

    model_config = SettingsConfigDict(env_prefix="COMPUTE_", frozen=True, extra="ignore")

    # What one tenant may have at most. Memory and disk in GiB.
    quota_vms: int = Field(default=10, ge=0, le=1_000_000)
    quota_cpu: int = Field(default=32, ge=0, le=1_000_000)
    quota_memory_gb: int = Field(default=64, ge=0, le=1_000_000)
    quota_disk_gb: int = Field(default=1000, ge=0, le=1_000_000)

    # Where guests live (their disks, sockets and logs), and where the built-in template lies.
    guests_dir: Path = Path("/data/guests")
    images_dir: Path = Path("/data/images")
    # What makes guests quick: auto takes KVM where a guest really boots with it.
    accel: Literal["auto", "kvm", "tcg"] = "auto"
    # Seconds that a guest is given to boot and, once its button is pressed, to shut down.
    boot_seconds: int = Field(default=45, ge=1, le=3600)
    halt_seconds: int = Field(default=10, ge=1, le=3600)
    # Seconds that a guest which is in no table is kept before it is ended.
    orphan_seconds: int = Field(default=3600, ge=1, le=604_800)
