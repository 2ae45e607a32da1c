"""Settings: read once from the environment, and refused as a whole when one of them makes no sense.

`FLAGS_HTTP_PORT` belongs to flags alone; what all share may be given once as `SWITCHYARD_…`.
"""

import secrets
from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from authz.mesh import keys

SHARED_PREFIX = "SWITCHYARD_"


class ServiceSettings(BaseSettings):
    """What every service needs to be told. A service adds its own and sets `env_prefix`."""

    # What was given is not repeated in an error: it may be a secret.
    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    database_url: str = "postgresql://localhost/switchyard"
    database_pool: int = 5
    redis_url: str = "redis://127.0.0.1:6379/0"
    http_host: str = "127.0.0.1"
    http_port: int = 8000
    grpc_host: str = "127.0.0.1"
    grpc_port: int = 9000
    iam_address: str = "127.0.0.1:9001"
    flags_address: str = "127.0.0.1:9002"
    experiments_address: str = "127.0.0.1:9003"
    audit_address: str = "127.0.0.1:9004"
    compute_address: str = "127.0.0.1:9005"
    profile: Literal["development", "test", "production"] = "development"
    issuer: str = "http://127.0.0.1:8080"
    audience: str = "switchyard"
    # Without one, a process trusts nobody else's signature: fine alone, useless in company.
    mesh_secret: str = Field(default_factory=lambda: secrets.token_urlsafe(32), min_length=32)
    log_level: str = "INFO"
    otlp_endpoint: str = ""
    build_id: str = "development"
    shutdown_delay: float = Field(default=0.0, ge=0)
    # Requests a second per credential; 0: the profile's own.
    rate_limit: int = Field(default=0, ge=0)

    @field_validator("mesh_secret")
    @classmethod
    def _every_part_is_long(cls, given: str) -> str:
        keys(given)  # `new,old` while it is turned
        return given

    @model_validator(mode="after")
    def _fit_for_production(self) -> "ServiceSettings":
        if self.profile == "production" and "mesh_secret" not in self.model_fields_set:
            raise ValueError("MESH_SECRET must be set in production: all services share one")
        return self

    @property
    def requests_per_second(self) -> int:
        """What one credential may ask each second, unless set: development and tests are generous."""
        return (
            self.rate_limit or {"production": 200, "development": 2000, "test": 20000}[self.profile]
        )

    @property
    def patience(self) -> float:
        """Seconds that a neighbour has for an answer; the machines that run tests are busy."""
        return 2.5 if self.profile == "test" else 1.0

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Look for a service's own variable first, then for the shared one."""
        shared = EnvSettingsSource(settings_cls, env_prefix=SHARED_PREFIX)
        return init_settings, env_settings, shared
