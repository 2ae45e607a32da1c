"""The settings of compute, read once from `COMPUTE_*`."""

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
