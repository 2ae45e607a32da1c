"""Machines that are installed from an ISO image: it is fetched first, by the way of all images."""

from dataclasses import replace

import pytest

from compute.domain.errors import NoSuchMedium
from compute.domain.image import MOST_ATTEMPTS, ImageState, Progress
from compute.domain.image_errors import BadImageUrl
from compute.domain.operation import Outcome
from compute.domain.order import SourceType
from compute.domain.quota import Amount
from compute.domain.vm import Action, Step
from compute.ports.images import NeverThere, NotNow
from compute.usecases.importer import Importer
from compute.usecases.vms import Intent

DIGEST = "ab" * 32


@pytest.fixture
def importer(work, depot, clock):
    return Importer(work=work, depot=depot, shelf=depot, now=clock, beat=0.01)


@pytest.fixture
def iso(order):
    url = "https://images.example/installer.iso"
    return replace(order, source_type=SourceType.ISO, template_id=None, iso_url=url)


@pytest.fixture
async def vm(vms, ana, iso, driven):
    return await vms.create(ana, iso)


@pytest.fixture
def now_of(work):
    return lambda vm: work.vms.kept[vm.id]


@pytest.fixture
def settle(sweep):
    async def go():
        for _ in range(9):  # one that waits for its image is on its way all along
            await sweep()

    return go


async def test_it_waits_for_its_image_and_then_boots_with_it(
    vm, now_of, work, settle, importer, driven, depot
):
    assert (vm.status, vm.status_detail) == ("PROVISIONING", "fetching its ISO image")
    await settle()
    assert (driven.done, now_of(vm).step) == ([], Step.PLACE)
    assert await importer.process_due()
    assert depot.shelved == [("medium", depot.comes)]
    assert now_of(vm).medium == DIGEST
    await settle()
    assert driven.media == {vm.id: DIGEST}
    assert (now_of(vm).status, now_of(vm).status_detail) == ("RUNNING", None)
    [operation] = work.operations.kept.values()
    assert operation.status is Outcome.SUCCEEDED
    assert f"its ISO image is sha256:{DIGEST}" in [it.message for _, it in work.log.kept]


async def test_an_image_that_cannot_be_had_is_an_error_that_says_why(
    vm, now_of, work, settle, importer, driven, depot
):
    depot.comes = NeverThere("the server answered 404")
    await importer.process_due()
    await settle()
    why = "its ISO image could not be had: the server answered 404"
    assert (now_of(vm).status, now_of(vm).status_detail, driven.done) == ("ERROR", why, [])
    [operation] = work.operations.kept.values()
    assert (operation.status, operation.detail) == (Outcome.FAILED, why)
    assert work.facts[-1].action == "vm.status_changed"
    assert not await importer.process_due(), "nobody asks for it again"


async def test_what_cannot_be_had_now_is_tried_again_while_the_machine_waits(
    vm, now_of, importer, depot, clock
):
    come, depot.comes = depot.comes, NotNow("the connection failed")
    for _ in range(MOST_ATTEMPTS - 1):
        assert await importer.process_due()
        assert now_of(vm).status == "PROVISIONING"
        clock.forward(minutes=5)
    depot.comes = come
    assert await importer.process_due()
    assert now_of(vm).medium == DIGEST


async def test_a_machine_that_is_deleted_meanwhile_leaves_nothing_and_nobody_asks_for_its_image(
    vm, vms, ana, work, importer
):
    image = work.images.media[vm.id]
    taken = await work.images.claim(image.due_at, importer.lease)
    await vms.delete(ana, Intent(vm=vm.id))
    assert (work.vms.kept, work.images.media) == ({}, {})
    assert work.quotas.used[ana.tenant] == Amount()
    assert not await work.images.renew(taken, Progress(), image.due_at)
    assert not await work.images.put(replace(taken, state=ImageState.READY))
    assert not await importer.process_due()


async def test_one_that_is_stopped_while_it_waits_is_stopped_and_waits_again_when_started(
    vm, vms, ana, now_of, settle, importer, driven
):
    await vms.act(ana, Intent(vm=vm.id), Action.STOP)
    await settle()
    assert now_of(vm).status == "STOPPED"
    await vms.act(ana, Intent(vm=vm.id), Action.START)
    await settle()
    assert driven.done == []
    await importer.process_due()
    await settle()
    assert now_of(vm).status == "RUNNING"


async def test_an_address_that_may_never_be_asked_is_refused_before_anything_is_written(
    vms, ana, iso, work, driven, depot
):
    depot.refuses = "the address is not on the public internet"
    with pytest.raises(BadImageUrl, match="public internet") as refused:
        await vms.create(ana, iso)
    assert refused.value.errors[0].pointer == "/iso_url"
    assert (work.vms.kept, work.quotas.used, work.facts) == ({}, {}, [])


async def test_a_hypervisor_without_media_says_so(vms, ana, iso, work, driven):
    driven.found = replace(driven.found, media=False)
    with pytest.raises(NoSuchMedium, match="takes no ISO images"):
        await vms.create(ana, iso)
    assert (work.vms.kept, work.quotas.used) == ({}, {})
