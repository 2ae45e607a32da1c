"""The settings of experiments, read once from `EXPERIMENTS_*`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    """Everything that may differ between two deployments."""

    model_config = SettingsConfigDict(env_prefix="EXPERIMENTS_", frozen=True, extra="ignore")

    # How long the scheduler sleeps at most, in seconds; it wakes at the next due date anyway.
    schedule_interval: float = Field(default=15 * 60.0, gt=0, le=24 * 3600)
