"""The settings of flags, read once from `FLAGS_*`, else from `SWITCHYARD_*`."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    """What may differ between two deployments of flags."""

    model_config = SettingsConfigDict(env_prefix="FLAGS_", frozen=True, extra="ignore")

    # How often a replica asks the database whether it missed an announcement (seconds).
    poll_every: float = Field(default=5.0, gt=0, le=10)
    # What one API key may evaluate each second, at each replica: far more than it may manage.
    evaluations_per_second: int = Field(default=20_000, gt=0)
    # How often counts of evaluations are stored (seconds): so much of them is lost with a process that is killed.
    usage_every: float = Field(default=10.0, gt=0, le=600)
    # Where the last good state is kept for a start without database, Redis or iam; empty: nowhere.
    snapshot_dir: str = ""
    # How old (seconds) what is kept of API keys may be to be believed in such a start.
    keys_usable_for: float = Field(default=86_400.0, gt=0)
