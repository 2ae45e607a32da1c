"""What is asked for when a machine is to be made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from chassis.errors import FieldError
from compute.domain.errors import BadSource, TooSmall
from compute.domain.host import Probe
from compute.domain.image import Image, ImageState
from compute.domain.image_errors import TemplateNotReady
from compute.domain.quota import Amount


class SourceType(StrEnum):
    """What a machine is made from."""

    TEMPLATE = "template"
    ISO = "iso"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """An image that machines are made from, for one tenant or (tenant None) for all. Memory and disk in GiB.

    `image`: how the image is being had; None where it came with the deployment.
    """

    id: UUID
    tenant: UUID | None
    name: str
    description: str
    architecture: str
    min_memory_gb: int
    min_disk_gb: int
    created_at: datetime
    image: Image | None = None

    @property
    def state(self) -> ImageState:
        """Whether machines can be made from it."""
        return self.image.state if self.image else ImageState.READY

    @property
    def revision(self) -> int:
        """A number that is another one as soon as something else is to be shown."""
        if self.image is None:
            return 1
        come, states = self.image.progress.received_bytes, list(ImageState)
        return 1 + come + 10**13 * (states.index(self.state) + 10 * self.image.fence)

    def must_be_ready(self) -> None:
        """Refuse to make a machine of what is not there."""
        if self.state is not ImageState.READY:
            why = self.image.detail if self.image else None
            raise TemplateNotReady(
                f"template {self.name!r} is {self.state}{f': {why}' if why else ''}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A machine as it is asked for. Memory and disk in GiB."""

    name: str
    source_type: SourceType
    cpu: int
    memory_gb: int
    disk_gb: int
    template_id: UUID | None = None
    iso_url: str | None = None
    iso_sha256: str | None = None
    user_data: str | None = None
    ssh_keys: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict[str, str])

    def __post_init__(self) -> None:
        template = self.source_type is SourceType.TEMPLATE
        needed, other = ("template_id", "iso_url") if template else ("iso_url", "template_id")
        if getattr(self, needed) is None:
            raise _bad_source(needed, f"source_type {self.source_type} needs {needed}")
        if getattr(self, other) is not None:
            raise _bad_source(other, f"source_type {self.source_type} takes no {other}")
        if template and self.iso_sha256 is not None:
            raise _bad_source("iso_sha256", "iso_sha256 is the checksum of what lies at iso_url")

    @property
    def amount(self) -> Amount:
        """How much of the quota the machine takes."""
        return Amount(vms=1, cpu=self.cpu, memory_gb=self.memory_gb, disk_gb=self.disk_gb)

    def check_can_be_made(self, probe: Probe) -> None:
        """Refuse what cannot be run, or not be made, by the hypervisor that was found."""
        probe.must_run_machines()
        if self.source_type is SourceType.ISO:
            probe.must_take_media()

    def check_fits(self, template: Template) -> None:
        """Refuse an order of a template that is not there yet, or smaller than it can do with."""
        template.must_be_ready()
        for name, least in (
            ("memory_gb", template.min_memory_gb),
            ("disk_gb", template.min_disk_gb),
        ):
            if getattr(self, name) < least:
                text = f"template {template.name!r} needs a {name} of {least} or more"
                raise TooSmall(text, errors=(FieldError(f"/{name}", text, TooSmall.code),))


def _bad_source(name: str, text: str) -> BadSource:
    return BadSource(text, errors=(FieldError(f"/{name}", text, BadSource.code),))
