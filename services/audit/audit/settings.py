"""What the audit service needs to be told."""

from pydantic_settings import SettingsConfigDict

from chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    """Nothing beyond what all services are told."""

    model_config = SettingsConfigDict(env_prefix="AUDIT_", frozen=True, extra="ignore")
