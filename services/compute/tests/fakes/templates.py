"""What machines are made from, in memory."""

from dataclasses import replace
from uuid import UUID

from compute.domain.image import Blob, ImageState, Progress
from compute.domain.order import Template
from services.compute.tests.fakes.common import part_of


class MemoryTemplates:
    def __init__(self):
        self.kept: dict[UUID, Template] = {}

    async def find(self, tenant, template_id):
        template = self.kept.get(template_id)
        return template if template and template.tenant in (None, tenant) else None

    async def list(self, tenant, wanted):
        text = wanted.search.lower()
        return part_of(
            [
                it
                for it in self.kept.values()
                if it.tenant in (None, tenant)
                and (text in it.name.lower() or text in it.description.lower())
            ],
            wanted,
        )

    async def put(self, template):
        changed = self.kept.get(template.id) != template
        self.kept[template.id] = template
        return changed

    use = take = find

    async def owned(self, template_id):
        return self.kept.get(template_id)

    async def known(self):
        return frozenset(self.kept) | {vm.template_id for vm in self.vms.kept.values()} - {None}

    async def count(self, tenant):
        return sum(it.tenant == tenant for it in self.kept.values())

    async def used(self, template_id):
        return sum(vm.template_id == template_id for vm in self.vms.kept.values())

    async def add(self, template):
        self.kept[template.id] = template

    async def remove(self, template):
        del self.kept[template.id]


class MemoryImages:
    """Images live in their templates, where they are shown; those of machines by themselves."""

    def __init__(self, templates):
        self.templates, self.media = templates, {}

    def _put(self, image):
        if image.id not in self.templates.kept:
            self.media[image.id] = image
            return
        kept = self.templates.kept
        kept[image.id] = replace(kept[image.id], image=image)

    def _now(self, image):
        kept = self.templates.kept.get(image.id)
        now = kept.image if kept else self.media.get(image.id)
        ours = now and (now.fence, now.state) == (image.fence, ImageState.FETCHING)
        return now if ours else None

    async def add(self, image):
        self._put(image)

    async def forget(self, image_id):
        self.media.pop(image_id, None)

    async def claim(self, now, lease):
        images = [*(it.image for it in self.templates.kept.values()), *self.media.values()]
        held = [
            it for it in images if it and it.state is ImageState.FETCHING and it.lease_until > now
        ]
        served = {it.tenant for it in held} - {None}
        for image in images:
            if image and image.tenant in served:
                continue
            waits = image and image.state is ImageState.WAITING and image.due_at <= now
            dead = image and image.state is ImageState.FETCHING and image.lease_until <= now
            if waits or dead:
                self._put(claimed := image.claimed(now, lease))
                return claimed
        return None

    async def renew(self, image, progress, until):
        if found := self._now(image):
            self._put(replace(found, progress=progress, lease_until=until))
        return found is not None

    async def put(self, image):
        if found := self._now(image):
            ready = image.state is ImageState.READY
            self._put(image if ready else replace(image, progress=found.progress))
        return found is not None


class FakeDepot:
    """A depot of which a test says what comes of fetching; it is also the shelf."""

    def __init__(self):
        self.refuses, self.comes, self.shelved, self.gate = "", Blob("ab" * 32, 10), [], None

    def trouble(self, url):
        return self.refuses

    async def fetch(self, image, told):
        told(Progress(received_bytes=5, total_bytes=10, validator='"v"'))
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.comes, Exception):
            raise self.comes
        return self.comes

    async def shelve(self, template, blob):
        self.shelved.append((template.id, blob))

    async def keep(self, blob):
        self.shelved.append(("medium", blob))

    async def copy(self, template, vm):
        self.shelved.append((template.id, vm))
        return self.comes

    async def clear(self, known):
        self.shelved = [it for it in self.shelved if it[0] in known]
