"""What the audit service needs to be told."""

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from chassis.settings import ServiceSettings
from egress.guard import Rules


class Settings(ServiceSettings):
    """Settings of the audit service."""

    model_config = SettingsConfigDict(
        env_prefix="AUDIT_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    # Wraps the keys of people and of the log; outside production the mesh secret does where this is not set. Never
    # change it lightly: without it nothing personal can be read again.
    key_secret: SecretStr | None = Field(default=None, min_length=32)
    # The name that this platform's logs sign with: a schema-less URL (C2SP checkpoint).
    log_name: str = Field(default="switchyard.local/audit", pattern=r"^[^\s+]{1,200}$")

    # Somebody who reads a log is told in it once in this time, by each process; 0: never.
    views_every_seconds: int = Field(default=3600, ge=0, le=31_536_000)

    # Networks beyond the public internet that entries may be streamed to: `10.1.0.0/16, fd00::/8`.
    egress_allowed: str = ""
    egress_plain_http: bool = False

    @field_validator("egress_allowed")
    @classmethod
    def _are_networks(cls, given: str) -> str:
        Rules.of(given)
        return given

    @model_validator(mode="after")
    def _sealed_in_production(self) -> "Settings":
        """The mesh secret is changed now and then; what wraps keys for years must not change with it."""
        if self.profile == "production" and self.key_secret is None:
            raise ValueError(
                "AUDIT_KEY_SECRET must be set in production: it wraps the keys of people and of the log. "
                "A log that was kept without it goes on with the mesh secret of that time as its value"
            )
        return self

    @property
    def sealing_secret(self) -> str:
        """What keys in the database are wrapped with."""
        return self.key_secret.get_secret_value() if self.key_secret else self.mesh_secret
