"""What iam needs to be told, beside what all services are told."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from chassis.settings import ServiceSettings
from iam.domain import password
from iam.domain.tenant import PLATFORM


class Settings(ServiceSettings):
    """Settings of the iam service."""

    model_config = SettingsConfigDict(env_prefix="IAM_", frozen=True, extra="ignore")

    # Without it nobody is made administrator: an empty platform stays empty.
    bootstrap_admin_password: SecretStr | None = None
    # A server-side key for development that is known before the platform starts.
    bootstrap_api_key: SecretStr | None = None
    password_profile: Literal["", "compat", "standard", "test"] = ""
    # Encrypts the private signing keys in the database; the mesh secret does where this is not set.
    key_secret: SecretStr | None = Field(default=None, min_length=32)
    access_seconds: int = Field(default=600, ge=30, le=3600)
    refresh_days: float = Field(default=30.0, gt=0, le=366)
    rotate_days: float = Field(default=30.0, gt=0.1, le=366)

    # The subdomain of the tenant in which people register by themselves; without it nobody can.
    registration_tenant: str = ""

    # Origins whose pages may listen at /ws, separated by commas, beside our own. The gate reads it too.
    cors_origins: str = ""
    sockets: int = Field(default=2000, ge=0)
    sockets_per_account: int = Field(default=20, ge=0)
    socket_beat: float = Field(default=20.0, gt=0, le=60)
    socket_patience: float = Field(default=10.0, gt=0, le=60)
    # Avatars are kept in this folder (which all replicas must share), or in a bucket if its URL is set.
    storage_dir: Path = Path("var/avatars")
    s3_url: str = ""
    s3_bucket: str = "switchyard"
    s3_region: str = "us-east-1"
    s3_access_key: str = ""
    s3_secret_key: SecretStr = SecretStr("")

    @property
    def passwords(self) -> password.Profile:
        """The rules for passwords: as set, or what fits the deployment."""
        if self.password_profile:
            return self.password_profile
        return "standard" if self.profile == "production" else "compat"

    @property
    def sealing_secret(self) -> str:
        """What private keys are encrypted with."""
        return self.key_secret.get_secret_value() if self.key_secret else self.mesh_secret

    @model_validator(mode="after")
    def _safe(self) -> "Settings":
        if self.passwords != "standard" and self.issuer.startswith("https://"):
            raise ValueError(
                f"the password profile {self.passwords!r} is for closed networks; a public https "
                "issuer needs IAM_PASSWORD_PROFILE=standard"
            )
        if self.s3_url and not (self.s3_access_key and self.s3_secret_key.get_secret_value()):
            raise ValueError("IAM_S3_URL needs IAM_S3_ACCESS_KEY and IAM_S3_SECRET_KEY")
        if self.registration_tenant == PLATFORM:
            raise ValueError("IAM_REGISTRATION_TENANT cannot be the tenant that runs the platform")
        if self.profile == "production":
            self._safe_in_production()
        return self

    def _safe_in_production(self) -> None:
        if self.passwords == "test":
            raise ValueError(
                "IAM_PASSWORD_PROFILE=test hashes cheaply and is refused in production"
            )
        if self.bootstrap_api_key:
            raise ValueError("IAM_BOOTSTRAP_API_KEY is for development and refused in production")
        given = self.bootstrap_admin_password
        if given and password.known(given.get_secret_value()):
            raise ValueError(
                "IAM_BOOTSTRAP_ADMIN_PASSWORD is among the first passwords that an attacker tries"
            )
