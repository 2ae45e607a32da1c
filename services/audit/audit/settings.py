"""What the audit service needs to be told."""

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from chassis.settings import ServiceSettings
from egress.guard import Rules


class Settings(ServiceSettings):
    """Settings of the audit service."""

    model_config = SettingsConfigDict(
        env_prefix="AUDIT_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    # Wraps the keys of people and of the log; the mesh secret does where this is not set. Never change it lightly:
    # without it nothing personal can be read again.
    key_secret: SecretStr | None = Field(default=None, min_length=32)
    # The name that this platform's logs sign with: a schema-less URL (C2SP checkpoint).
    log_name: str = Field(default="switchyard.local/audit", pattern=r"^[^\s+]{1,200}$")

    # Networks beyond the public internet that entries may be streamed to: `10.1.0.0/16, fd00::/8`.
    egress_allowed: str = ""
    egress_plain_http: bool = False

    @field_validator("egress_allowed")
    @classmethod
    def _are_networks(cls, given: str) -> str:
        Rules.of(given)
        return given

    @property
    def sealing_secret(self) -> str:
        """What keys in the database are wrapped with."""
        return self.key_secret.get_secret_value() if self.key_secret else self.mesh_secret
