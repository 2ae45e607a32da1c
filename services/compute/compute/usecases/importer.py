"""Having images: of each tenant one at a time, under a lease, with progress that everybody sees."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chassis.facts import Fact, Target
from compute.domain.happening import Happening, Level
from compute.domain.image import Blob, Image, ImageState, Progress
from compute.domain.order import Template
from compute.ports import OpenWork
from compute.ports.images import Depot, NeverThere, NotNow, Shelf
from compute.usecases.claims import WORKER
from compute.usecases.keeping import Lost, while_kept
from compute.usecases.reconciler import changed

NO_MEDIUM = "its ISO image could not be had"


@dataclass(slots=True)
class _Gauge:
    """How far it is, as far as the depot has told."""

    now: Progress = field(default_factory=Progress)

    def tell(self, progress: Progress) -> None:
        self.now = progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """Has images. A worker holds one for `lease`, and says every `beat` seconds how far it is and that it lives."""

    work: OpenWork
    depot: Depot
    shelf: Shelf
    now: Callable[[], datetime]
    lease: timedelta = timedelta(seconds=30)
    beat: float = 1.0

    async def process_due(self) -> bool:
        """Have one image that is due; tell whether there was one."""
        async with self.work() as work:
            image = await work.images.claim(self.now(), self.lease)
            template = await work.templates.owned(image.id) if image else None
        if image is None:
            return False
        try:
            after = await self._tried(image, template)
        except Lost:
            return True
        await (self._settle(after, template) if template else self._supply(after))
        return True

    async def sweep(self) -> None:
        """Drop what lies on the shelf for templates that are gone."""
        async with self.work() as work:
            known = await work.templates.known()
        await self.shelf.clear(known)

    async def _tried(self, image: Image, template: Template | None) -> Image:
        gauge = _Gauge(image.progress)
        try:
            blob = await self._held(image, gauge, template)
        except NeverThere as why:
            return image.failed(str(why), self.now(), final=True)
        except NotNow as why:
            return image.failed(str(why), self.now(), final=False)
        return image.made(blob, self.now())

    async def _held(self, image: Image, gauge: _Gauge, template: Template | None) -> Blob:
        """Have the image while its lease is renewed; Lost as soon as another has it."""

        async def renew() -> bool:
            async with self.work() as work:
                return await work.images.renew(image, gauge.now, self.now() + self.lease)

        return await while_kept(self._had(image, gauge, template), renew, self.beat)

    async def _had(self, image: Image, gauge: _Gauge, template: Template | None) -> Blob:
        if template and image.source_vm_id is not None:
            return await self.shelf.copy(template, image.source_vm_id)
        blob = await self.depot.fetch(image, gauge.tell)
        await (self.shelf.shelve(template, blob) if template else self.shelf.keep(blob))
        return blob

    async def _supply(self, image: Image) -> None:
        """Tell a machine that its medium is there, or cannot be had. It is locked first, as whoever deletes it does."""
        over = {ImageState.READY: None, ImageState.FAILED: f"{NO_MEDIUM}: {image.trouble}"}
        async with self.work() as work:
            before = await work.vms.take_any(image.id)
            if not await work.images.put(image) or before is None or image.state not in over:
                return
            now = self.now()
            after = before.supplied(image.sha256, over[image.state], now)
            await work.vms.put(before, after)
            said = Happening(now, Level.INFO, f"its ISO image is sha256:{image.sha256}")
            if after.trouble:
                said = Happening(now, Level.ERROR, after.trouble)
            await work.log.add(after.id, said)
            for operation in await work.operations.open_of(after.id):
                await work.operations.put(operation.judged(after, now))
            work.record(changed(before, after))
            work.stir()

    async def _settle(self, image: Image, template: Template) -> None:
        async with self.work() as work:
            kept = await work.images.put(image)
            if kept and image.state in (ImageState.READY, ImageState.FAILED):
                work.record(_told(image, template))


def _told(image: Image, template: Template) -> Fact:
    return Fact(
        tenant=template.tenant,
        actor=WORKER,
        action=f"template.{'prepared' if image.state is ImageState.READY else 'failed'}",
        target=Target("template", str(template.id), template.name),
        after={"sha256": image.sha256, "size_bytes": image.progress.total_bytes},
        reason=image.trouble or "",
    )
