"""Whether guests really run in an Incus: it is reached, lets us in, and a small guest of a template of its own came up.

What is missing of ours is made (the project). The trial is remembered in the project, for each version and template.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from compute.clients.incus_images import IncusImage, images
from compute.clients.incus_marks import Marks
from compute.clients.incus_wire import NotThere, Refused, Unreachable, Wire
from compute.domain.host import Probe
from compute.ports.hypervisor import HostTrouble

AGAIN, PATIENCE = 15.0, 90.0
TRIED = "user.switchyard.trial"
INSTALL = (
    "this deployment cannot use its Incus, so it cannot run machines: see that the daemon runs, that "
    "COMPUTE_INCUS_ADDRESS is its own, and that it trusts the certificate of COMPUTE_INCUS_CERT "
    "(incus config trust add-certificate)"
)
NOTHING = Probe(engine="Incus", advice=INSTALL)


class IncusTrial:
    """What was found of an Incus. `images` are its templates, `host` names it: both as of the last look."""

    def __init__(self, wire: Wire, pool: str) -> None:
        self._wire, self._pool, self._marks = wire, pool, Marks(wire)
        self.found = replace(NOTHING, trying=True)
        self.host = ""
        self.images: Mapping[UUID, IncusImage] = {}

    async def keep_up(self) -> None:
        """Look, and look again, for ever; clear away what is old."""
        while True:
            if (await self.look()).ran:
                with suppress(HostTrouble):
                    await self._marks.forget_old()
                    await self._clear()
            await asyncio.sleep(AGAIN)

    async def look(self) -> Probe:
        """Look at the daemon and, where that was not done yet, try a guest."""
        try:
            self.found = await self._look()
        except Unreachable as why:
            self.found = replace(NOTHING, trouble=str(why))
        except HostTrouble as why:
            self.found = replace(self.found, ran=False, trying=False, trouble=str(why))
        return self.found

    async def image(self, template: UUID | None) -> IncusImage:
        """Return the image of a template as it is now; HostTrouble if there is none such."""
        if template is None:
            raise HostTrouble("on Incus machines are made from templates only")
        self.images = await images(self._wire)
        if (found := self.images.get(template)) is None:
            raise HostTrouble(f"template {template} is not on this host")
        return found

    async def _look(self) -> Probe:
        server = (await self._wire.get("/1.0")).said
        if server["auth"] != "trusted":
            raise Unreachable("it does not trust our certificate")
        about = server["environment"]
        found = replace(self.found, version=about["server_version"], trouble="")
        self.found = found
        project = await self._project()
        await self._wire.get(f"/1.0/storage-pools/{self._pool}")
        self.images = await images(self._wire)
        ours = [image for image in self.images.values() if image.for_all]
        if not ours:  # what tenants made proves nothing: it may boot or not
            raise HostTrouble(
                f"no image in its project {self._wire.project} has the property switchyard.name"
            )
        first = min(ours, key=lambda image: (image.ready_line is None, image.name))
        done = f"{found.version} {first.fingerprint}"
        if project["config"].get(TRIED) != done:
            await self._boot(first)
            await self._remember(project, done)
        self.host = f"incus:{about['certificate_fingerprint'][:16]}:{self._wire.project}"
        return replace(found, ran=True, trying=False)

    async def _project(self) -> Any:  # noqa: ANN401 - JSON
        """Return our project; make it, with images and profiles of its own, if it is not there."""
        path = f"/1.0/projects/{self._wire.project}"
        with suppress(NotThere):
            return (await self._wire.get(path)).said
        body = {"name": self._wire.project, "description": "Switchyard's machines"}
        await self._wire.send("POST", "/1.0/projects", body)
        return (await self._wire.get(path)).said

    async def _remember(self, project: Mapping[str, Any], done: str) -> None:
        """Note in the project what was tried; who may not change it tries again after a restart."""
        body = {**project, "config": {**project["config"], TRIED: done}}
        with suppress(HostTrouble):
            await self._wire.send("PUT", f"/1.0/projects/{self._wire.project}", body)

    async def _boot(self, image: IncusImage) -> None:
        """Start a small guest, wait for its word, and remove it."""
        name = f"trial-{uuid4().hex[:12]}"
        path, source = (
            f"/1.0/instances/{name}",
            {"type": "image", "fingerprint": image.fingerprint},
        )
        root = {"type": "disk", "path": "/", "pool": self._pool}
        body = {"name": name, "type": image.type, "source": source, "profiles": ["default"]}
        await self._wire.done("POST", "/1.0/instances", {**body, "devices": {"root": root}})
        try:
            await self._wire.done("PUT", f"{path}/state", {"action": "start", "timeout": 30})
            await self._came_up(path, image.ready_line)
        finally:
            await self._removed(path)

    async def _removed(self, path: str) -> None:
        with suppress(Refused):  # it never ran, or ended by itself
            gone = {"action": "stop", "force": True, "timeout": 30}
            await self._wire.done("PUT", f"{path}/state", gone)
        with suppress(NotThere):
            await self._wire.done("DELETE", path)

    async def _clear(self) -> None:
        """Remove what a trial left that was cut off."""
        for one in await self._wire.all("/1.0/instances"):
            if one["name"].startswith("trial-") and _is_old(one["created_at"]):
                await self._removed(f"/1.0/instances/{one['name']}")

    async def _came_up(self, path: str, line: str | None) -> None:
        end = time.monotonic() + PATIENCE
        while line is not None and line not in await self._wire.text(f"{path}/console"):
            if time.monotonic() > end:
                raise HostTrouble(f"the trial guest did not come up within {PATIENCE:.0f} s")
            await asyncio.sleep(0.1)


def _is_old(created_at: str) -> bool:
    return datetime.now(UTC) - datetime.fromisoformat(created_at) > timedelta(seconds=2 * PATIENCE)
