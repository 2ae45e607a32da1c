"""The settings of compute, read once from `COMPUTE_*`."""

from ipaddress import ip_network
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from chassis.settings import ServiceSettings
from egress.guard import Rules

_OUR_OWN = tuple(
    ip_network(net) for net in ("127.0.0.0/8", "169.254.0.0/16", "0.0.0.0/8", "::/127", "fe80::/10")
)

_PLAIN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"


class Settings(ServiceSettings):
    """Everything that may differ between two deployments."""

    model_config = SettingsConfigDict(env_prefix="COMPUTE_", frozen=True, extra="ignore")

    # What one tenant may have at most. Memory and disk in GiB.
    quota_vms: int = Field(default=10, ge=0, le=1_000_000)
    quota_cpu: int = Field(default=32, ge=0, le=1_000_000)
    quota_memory_gb: int = Field(default=64, ge=0, le=1_000_000)
    quota_disk_gb: int = Field(default=1000, ge=0, le=1_000_000)

    # What runs machines: QEMU on this machine, or an Incus (one daemon or a cluster) at an address.
    driver: Literal["qemu", "incus"] = "qemu"
    incus_address: str = Field(default="", max_length=300)
    # Our certificate and its key, and the daemon's own (none: the authorities that this machine trusts).
    incus_cert: Path | None = None
    incus_key: Path | None = None
    incus_server_cert: Path | None = None
    # Our project (made if it is not there), the storage pool of disks, and where machines go: a member of the cluster,
    # @ and a group of members, or nothing: Incus chooses.
    incus_project: str = Field(default="switchyard", pattern=_PLAIN)
    incus_pool: str = Field(default="default", pattern=_PLAIN)
    incus_target: str = Field(default="", pattern=rf"^(@?{_PLAIN[1:-1]})?$")

    # Where guests live (their disks, sockets and logs), and where the built-in template lies.
    guests_dir: Path = Path("/data/guests")
    images_dir: Path = Path("/data/images")
    # The bytes that one image may have, and the networks beyond the public internet that images may come from.
    image_max_bytes: int = Field(default=10 * 2**30, ge=1, le=2**42)
    egress_allowed: str = ""
    egress_plain_http: bool = False
    # What makes guests quick: auto takes KVM where a guest really boots with it.
    accel: Literal["auto", "kvm", "tcg"] = "auto"
    # Seconds that a guest is given to boot and, once its button is pressed, to shut down.
    boot_seconds: int = Field(default=45, ge=1, le=3600)
    halt_seconds: int = Field(default=10, ge=1, le=3600)
    # Seconds that a guest which is in no table is kept before it is ended.
    orphan_seconds: int = Field(default=3600, ge=1, le=604_800)

    @field_validator("egress_allowed")
    @classmethod
    def _are_networks(cls, given: str) -> str:
        Rules.of(given)
        return given

    @model_validator(mode="after")
    def _incus_is_whole(self) -> "Settings":
        if self.driver == "incus":
            files = {name: getattr(self, f"incus_{name}") for name in ("cert", "key")}
            if not self.incus_address.startswith("https://") or None in files.values():
                raise ValueError(
                    "COMPUTE_DRIVER=incus needs COMPUTE_INCUS_ADDRESS (https://host:port), COMPUTE_INCUS_CERT and "
                    "COMPUTE_INCUS_KEY"
                )
            files["server_cert"] = self.incus_server_cert
            for name, file in files.items():
                if file is not None and not file.is_file():
                    raise ValueError(f"COMPUTE_INCUS_{name.upper()}: there is no file {file}")
        return self

    @model_validator(mode="after")
    def _production_asks_nothing_of_its_own(self) -> "Settings":
        allowed = Rules.of(self.egress_allowed).allowed
        here = any(
            net.version == own.version and net.overlaps(own) for net in allowed for own in _OUR_OWN
        )
        if self.profile == "production" and (here or self.egress_plain_http):
            raise ValueError(
                "in production no image comes from loopback, link-local or over plain HTTP"
            )
        return self
