"""Templates in an Incus: images of the project whose properties say so (`switchyard.name` and the others below).

`switchyard.template` names the template of a tenant: then it is not for all.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from compute.clients.images import built_in_id
from compute.clients.incus_marks import name_of
from compute.clients.incus_wire import STOPPED, NotThere, Wire
from compute.domain.image import Blob
from compute.domain.order import Template
from compute.ports.hypervisor import HostTrouble
from compute.ports.images import NeverThere, NotNow

_OF = "switchyard."
_NOT_FETCHED = (
    "on Incus a template is made of a machine, not of an image at an address: name a source_vm_id"
)
_OLD = timedelta(hours=1)
_LONG = 600  # seconds that packing a disk may take


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
    """The shelf of templates of tenants: images of the project, published from machines that are off."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def shelve(self, template: Template, blob: Blob) -> None:
        """Refuse: NeverThere."""
        raise NeverThere(_NOT_FETCHED)

    async def keep(self, blob: Blob) -> None:
        """Refuse: NeverThere. No order of a machine with an ISO image comes this far."""
        raise NeverThere("on Incus machines are not installed from ISO images here")

    async def copy(self, template: Template, vm: UUID) -> Blob:
        """Publish a machine that is off as an image; done already, it is done. NeverThere or NotNow."""
        try:
            found = await self._published(template.id)
            if not found:
                await self._publish(template, vm)
                found = await self._published(template.id)
        except HostTrouble as why:
            raise NotNow(str(why)) from None
        if not found:
            raise NotNow("Incus does not show the image yet")
        return Blob(found[0]["fingerprint"], found[0]["size"])

    async def _publish(self, template: Template, vm: UUID) -> None:
        try:
            source = (await self._wire.get(f"/1.0/instances/{name_of(vm)}")).said
        except NotThere:
            raise NeverThere("the machine has no disk on this host") from None
        if source["status_code"] != STOPPED:
            raise NeverThere("the machine runs: stop it first")
        said = {"template": str(template.id), "name": template.name}
        if line := source["config"].get(f"image.{_OF}ready_line"):
            said["ready_line"] = line
        body = {
            "source": {"type": "instance", "name": name_of(vm)},
            "properties": {f"{_OF}{name}": it for name, it in said.items()},
        }
        await self._wire.done("POST", "/1.0/images", body, patience=_LONG)

    async def _published(self, template: UUID) -> Sequence[Mapping[str, Any]]:
        found = await self._wire.all("/1.0/images")
        return [one for one in found if one["properties"].get(f"{_OF}template") == str(template)]

    async def clear(self, known: Collection[UUID]) -> None:
        """Drop images of templates that are none of these any more, if they are old."""
        names = {str(one) for one in known}
        with suppress(HostTrouble):
            for one in await self._wire.all("/1.0/images"):
                of = one["properties"].get(f"{_OF}template")
                if of and of not in names and _is_old(one["uploaded_at"]):
                    await self._wire.done("DELETE", f"/1.0/images/{one['fingerprint']}")


def _is_old(uploaded_at: str) -> bool:
    return datetime.now(UTC) - datetime.fromisoformat(uploaded_at) > _OLD


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
