"""One contract for the books of images and of templates with images: those in memory and those in PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from compute.domain.image import Blob, Image, ImageState, Progress
from compute.domain.order import Template

LEASE = timedelta(seconds=30)


@pytest.fixture
async def wanted(open_work, tenant, clock):
    """A template whose image is wanted, before all others."""
    id_, long_ago = uuid4(), clock() - timedelta(days=999)
    at = {"created_at": clock(), "updated_at": clock(), "due_at": long_ago}
    image = Image(id=id_, tenant=tenant, url="https://x.example/y", **at)
    sizes = {"min_memory_gb": 1, "min_disk_gb": 2, "description": "", "architecture": "x86_64"}
    template = Template(id=id_, tenant=tenant, name="t", created_at=clock(), image=image, **sizes)
    async with open_work() as work:
        await work.templates.add(template)
        await work.images.add(image)
    yield template
    async with open_work() as work:
        if found := await work.templates.owned(id_):
            await work.templates.remove(found)


async def test_a_template_comes_back_with_its_image(open_work, wanted, tenant):
    async with open_work() as work:
        for look in (work.templates.find, work.templates.use, work.templates.take):
            assert await look(tenant, wanted.id) == wanted
            assert await look(uuid4(), wanted.id) is None
        assert await work.templates.owned(wanted.id) == wanted
        assert wanted.id in await work.templates.known()
        assert (await work.templates.count(tenant), await work.templates.used(wanted.id)) == (1, 0)


async def test_an_image_is_claimed_by_one_told_about_and_done(open_work, wanted, clock, tenant):
    async def claim():
        async with open_work() as work:
            return await work.images.claim(clock(), LEASE)

    claimed = [it for it in await asyncio.gather(*(claim() for _ in range(4))) if it]
    [image] = [it for it in claimed if it.id == wanted.id]
    assert (image.state, image.fence, image.attempts) == (ImageState.FETCHING, 1, 1)
    progress = Progress(received_bytes=5, total_bytes=2**33, validator='"v"')
    async with open_work() as work:
        assert await work.images.renew(image, progress, clock() + LEASE)
        assert (await work.templates.find(tenant, wanted.id)).image.progress == progress
        done = image.made(Blob("ab" * 32, 2**33), clock())
        assert await work.images.put(done)
        assert (await work.templates.find(tenant, wanted.id)).image == done
        assert not await work.images.renew(image, progress, clock() + LEASE)


async def test_a_dead_workers_image_goes_to_the_next_and_the_dead_one_is_refused(
    open_work, wanted, clock, tenant
):
    async with open_work() as work:
        first = await work.images.claim(clock(), LEASE)
        await work.images.renew(first, Progress(received_bytes=7, validator='"v"'), clock() + LEASE)
    later = clock.forward(seconds=31)
    async with open_work() as work:
        second = await work.images.claim(later, LEASE)
        assert (second.id, second.fence, second.progress.received_bytes) == (wanted.id, 2, 7)
        assert not await work.images.put(first.failed("late", later, final=True))
        assert not await work.images.renew(first, Progress(), later)
        assert await work.images.put(second.failed("away", later, final=False))
        found = (await work.templates.find(tenant, wanted.id)).image
        assert (found.state, found.trouble, found.progress.received_bytes) == (
            ImageState.WAITING,
            "away",
            7,
        )


async def test_a_template_that_is_removed_takes_its_image_along(open_work, wanted, clock, tenant):
    async with open_work() as work:
        await work.templates.remove(wanted)
    async with open_work() as work:
        assert await work.templates.find(tenant, wanted.id) is None
        assert not await work.images.put(replace(wanted.image, state=ImageState.FETCHING))


async def test_of_each_tenant_one_image_is_in_hands_at_a_time(open_work, wanted, clock):
    async def claim():
        async with open_work() as work:
            return await work.images.claim(clock(), LEASE)

    second = replace(wanted.image, id=uuid4(), due_at=wanted.image.due_at + timedelta(days=1))
    async with open_work() as work:
        await work.images.add(second)
    first = await claim()
    assert first.id == wanted.id
    assert getattr(await claim(), "id", None) != second.id
    async with open_work() as work:
        assert await work.images.put(first.made(Blob("ab" * 32, 1), clock()))
    assert (await claim()).id == second.id
    async with open_work() as work:
        await work.images.forget(second.id)


async def test_of_many_who_ask_at_once_one_has_a_tenants_image(open_work, wanted, clock, tenant):
    others = [
        replace(wanted.image, id=uuid4(), due_at=wanted.image.due_at + timedelta(seconds=n))
        for n in range(1, 4)
    ]
    async with open_work() as work:
        for one in others:
            await work.images.add(one)

    async def claim():
        async with open_work() as work:
            found = await work.images.claim(clock(), LEASE)
            await asyncio.sleep(0.05)  # the others ask before this is written down
            return found

    claimed = await asyncio.gather(*(claim() for _ in range(4)))
    try:
        assert len([one for one in claimed if one and one.tenant == tenant]) == 1
    finally:
        async with open_work() as work:
            for one in others:
                await work.images.forget(one.id)
