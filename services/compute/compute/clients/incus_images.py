"""Templates in an Incus: images of the project whose properties say so (`switchyard.name` and the others below)."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from compute.clients.images import built_in_id
from compute.clients.incus_wire import Wire
from compute.domain.image import Blob
from compute.domain.order import Template
from compute.ports.images import NeverThere

_OF = "switchyard."
_NONE = (
    "on Incus templates are the images of its project: tenants cannot make any of their own here"
)


@dataclass(frozen=True, slots=True)
class IncusImage:
    """One image. `type`: container or virtual-machine. `for_all`: no tenant made it."""

    template: Template
    fingerprint: str
    type: str
    ready_line: str | None
    for_all: bool

    @property
    def name(self) -> str:
        """What its template is called."""
        return self.template.name


class IncusShelf:
    """The shelf of templates of tenants: none yet, as whoever asks for one is told."""

    async def shelve(self, template: Template, blob: Blob) -> None:
        """Refuse: NeverThere."""
        raise NeverThere(_NONE)

    async def keep(self, blob: Blob) -> None:
        """Refuse: NeverThere. No order of a machine with an ISO image comes this far."""
        raise NeverThere("on Incus machines are not installed from ISO images here")

    async def copy(self, template: Template, vm: UUID) -> Blob:
        """Refuse: NeverThere."""
        raise NeverThere(_NONE)

    def clear(self, known: Collection[UUID]) -> None:
        """Do nothing: there is none."""


async def images(wire: Wire) -> Mapping[UUID, IncusImage]:
    """Return the templates that there are, by their ids."""
    found = await wire.all("/1.0/images")
    named = [_image(one) for one in found if one["properties"].get(f"{_OF}name")]
    return {image.template.id: image for image in named}


def _image(one: Mapping[str, Any]) -> IncusImage:
    said = {
        name.removeprefix(_OF): it for name, it in one["properties"].items() if name.startswith(_OF)
    }
    template = Template(
        id=_id(said),
        tenant=None,
        name=said["name"],
        description=said.get("description", ""),
        architecture=one["architecture"],
        min_memory_gb=_number(said.get("min_memory_gb")),
        min_disk_gb=_number(said.get("min_disk_gb")),
        created_at=datetime.fromisoformat(one["uploaded_at"]),
    )
    line = said.get("ready_line") or None
    return IncusImage(template, one["fingerprint"], one["type"], line, "template" not in said)


def _id(said: Mapping[str, str]) -> UUID:
    with suppress(KeyError, ValueError):
        return UUID(said["template"])
    return built_in_id(said["name"])


def _number(said: str | None) -> int:
    return int(said) if said and said.isdigit() and int(said) else 1
