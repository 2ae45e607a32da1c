"""Templates of images and of machines: asked for, had under a lease, failed with a reason, deleted when unused."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from chassis.errors import Forbidden
from compute.domain.errors import NoHypervisor, TemplateNotFound
from compute.domain.image import MOST_ATTEMPTS, Blob, ImageState
from compute.domain.image_errors import (
    BadImageUrl,
    GlobalTemplateForbidden,
    NoSuchVm,
    TemplateInUse,
    TemplateNotReady,
    TooManyTemplates,
    VmNotStopped,
)
from compute.domain.vm import Step, Wish
from compute.ports.images import NeverThere, NotNow
from compute.usecases import templates as usecase
from compute.usecases.importer import Importer
from compute.usecases.templates import NewTemplate
from tests.waiting import until

URL = "https://images.example/x.qcow2"
SIZE = {"description": "", "architecture": "x86_64", "min_memory_gb": 1, "min_disk_gb": 1}


def new(**said):
    if "source_vm_id" not in said:
        said = {"image_url": URL} | said
    return NewTemplate(**SIZE | {"name": "mine"} | said)


@pytest.fixture
def importer(work, depot, clock):
    return Importer(work=work, depot=depot, shelf=depot, now=clock, beat=0.01)


async def test_an_image_is_had_and_its_template_is_ready(
    templates, importer, ana, work, depot, driven
):
    made = await templates.create(ana, new(image_sha256="cd" * 32))
    assert (made.state, made.tenant) == (ImageState.WAITING, ana.tenant)
    assert await importer.process_due()
    assert not await importer.process_due()
    found = await templates.read(ana, made.id)
    assert (found.state, found.image.sha256, found.image.detail) == (
        ImageState.READY,
        "ab" * 32,
        None,
    )
    assert depot.shelved == [(made.id, Blob("ab" * 32, 10))]
    assert [f.action for f in work.facts] == ["template.created", "template.prepared"]


async def test_what_cannot_be_had_fails_at_once_and_says_why(
    templates, importer, ana, depot, driven, order
):
    made = await templates.create(ana, new())
    depot.comes = NeverThere("the server answered 404")
    await importer.process_due()
    found = await templates.read(ana, made.id)
    assert (found.state, found.image.detail) == (ImageState.FAILED, "the server answered 404")
    assert not await importer.process_due()
    with pytest.raises(TemplateNotReady, match="404"):
        found.must_be_ready()


async def test_what_cannot_be_had_now_is_tried_again_later_and_later_and_then_given_up(
    templates, importer, ana, depot, driven, clock
):
    made = await templates.create(ana, new())
    depot.comes = NotNow("the connection failed")
    for attempt in range(1, MOST_ATTEMPTS + 1):
        assert await importer.process_due()
        image = (await templates.read(ana, made.id)).image
        assert (image.attempts, image.trouble) == (attempt, "the connection failed")
        assert not await importer.process_due(), "not before it is due"
        clock.forward(minutes=6)
    assert image.state is ImageState.FAILED
    assert not await importer.process_due()


async def test_how_far_it_is_can_be_seen_while_it_comes(templates, importer, ana, depot, driven):
    made = await templates.create(ana, new())
    depot.gate = asyncio.Event()
    having = asyncio.create_task(importer.process_due())
    before = made.revision
    async with asyncio.timeout(20):
        while (found := await templates.read(ana, made.id)).image.progress.received_bytes < 5:
            await asyncio.sleep(0.01)
    assert (found.state, found.image.detail) == (ImageState.FETCHING, "5 of 10 bytes")
    assert found.revision != before
    depot.gate.set()
    await having
    assert (await templates.read(ana, made.id)).state is ImageState.READY


async def test_a_worker_that_lost_its_lease_stops_and_changes_nothing(
    templates, importer, ana, depot, driven, work, clock
):
    made = await templates.create(ana, new())
    depot.gate = asyncio.Event()
    frozen = asyncio.create_task(importer.process_due())
    async with asyncio.timeout(20):
        while not (await templates.read(ana, made.id)).image.progress.received_bytes:
            await asyncio.sleep(0.01)
        async with work() as opened:
            image = work.templates.kept[made.id].image
            work.templates.kept[made.id] = replace(made, image=replace(image, lease_until=clock()))
            second = await opened.images.claim(clock(), timedelta(minutes=1))
        assert await frozen
    assert (second.fence, second.progress.validator) == (2, '"v"')
    assert depot.shelved == []
    assert (await templates.read(ana, made.id)).image.fence == 2


async def test_of_each_tenant_one_image_is_had_at_a_time_and_none_waits_for_anothers(
    templates, importer, ana, otto, depot, driven
):
    slow, next_ = [await templates.create(ana, new()) for _ in range(2)]
    other = await templates.create(otto, new())
    depot.gate = asyncio.Event()
    having = [asyncio.create_task(importer.process_due()) for _ in range(3)]
    await until(lambda: sum(task.done() for task in having))
    states = {it.id: it.state for it in templates.work.templates.kept.values()}
    assert [states[it.id] for it in (slow, next_, other)] == ["fetching", "waiting", "fetching"]
    depot.gate.set()
    await asyncio.gather(*having)
    assert await importer.process_due()
    assert (await templates.read(ana, next_.id)).state is ImageState.READY


async def test_only_what_may_be_asked_is_wanted_and_only_where_machines_run(
    templates, ana, depot, work, driven, host
):
    depot.refuses = "the host is not on the public internet"
    with pytest.raises(BadImageUrl) as refused:
        await templates.create(ana, new())
    assert refused.value.errors[0].pointer == "/image_url"
    depot.refuses, host.found = "", type(host)().found
    with pytest.raises(NoHypervisor):
        await templates.create(ana, new())
    assert {it.tenant for it in work.templates.kept.values()} == {None}
    assert work.facts == []


async def test_a_template_is_the_tenants_own_unless_the_platform_makes_it_for_all(
    templates, ana, otto, root, vera, driven
):
    own = await templates.create(ana, new())
    with pytest.raises(TemplateNotFound):
        await templates.read(otto, own.id)
    with pytest.raises(TemplateNotFound):
        await templates.delete(otto, own.id)
    with pytest.raises(GlobalTemplateForbidden):
        await templates.create(ana, new(is_global=True))
    for_all = await templates.create(root, new(is_global=True))
    assert (await templates.read(otto, for_all.id)).tenant is None
    with pytest.raises(GlobalTemplateForbidden):
        await templates.delete(ana, for_all.id)
    for call in (templates.create(vera, new()), templates.delete(vera, own.id)):
        with pytest.raises(Forbidden):
            await call
    await templates.delete(root, for_all.id)


async def test_a_template_in_use_is_not_deleted_and_a_free_one_is_with_its_files(
    templates, importer, ana, work, depot, driven, make_vm
):
    made = await templates.create(ana, new())
    await importer.process_due()
    vm = make_vm(template_id=made.id)
    work.vms.kept[vm.id] = vm
    with pytest.raises(TemplateInUse, match="1 machines"):
        await templates.delete(ana, made.id)
    del work.vms.kept[vm.id]
    await templates.delete(ana, made.id, "old")
    assert work.facts[-1].reason == "old"
    await importer.sweep()
    assert depot.shelved == []


async def test_a_template_is_made_of_a_stopped_machine_that_one_may_read(
    templates, importer, ana, otto, work, depot, driven, make_vm
):
    vm = make_vm(step=Step.UP)
    work.vms.kept[vm.id] = vm
    with pytest.raises(VmNotStopped):
        await templates.create(ana, new(source_vm_id=vm.id))
    work.vms.kept[vm.id] = replace(vm, step=Step.DOWN, wish=Wish.STOP)
    for caller, source in ((otto, vm.id), (ana, uuid4())):
        with pytest.raises(NoSuchVm):
            await templates.create(caller, new(source_vm_id=source))
    made = await templates.create(ana, new(source_vm_id=vm.id))
    await importer.process_due()
    assert (await templates.read(ana, made.id)).state is ImageState.READY
    assert depot.shelved == [(made.id, vm.id)]


async def test_a_tenant_has_no_more_templates_than_it_may(templates, ana, driven, monkeypatch):
    monkeypatch.setattr(usecase, "MOST", 1)
    await templates.create(ana, new())
    with pytest.raises(TooManyTemplates):
        await templates.create(ana, new())
