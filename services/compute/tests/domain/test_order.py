"""What can be ordered, and what a look at the host says."""

from dataclasses import replace

import pytest

from compute.domain.errors import BadSource, NoHypervisor, NoSuchMedium, NotTriedYet, TooSmall
from compute.domain.host import Probe
from compute.domain.order import SourceType
from compute.domain.quota import Amount


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"template_id": None}, "/template_id"),
        ({"iso_url": "https://images.example/a.iso"}, "/iso_url"),
        ({"iso_sha256": "ab" * 32}, "/iso_sha256"),
        ({"source_type": SourceType.ISO}, "/iso_url"),
        (
            {"source_type": SourceType.ISO, "iso_url": "https://images.example/a.iso"},
            "/template_id",
        ),
    ],
)
def test_a_source_that_does_not_fit_its_type_is_refused(order, changes, pointer):
    with pytest.raises(BadSource) as refusal:
        replace(order, **changes)
    assert refusal.value.errors[0].pointer == pointer


def test_an_order_takes_one_machine_and_its_size(order):
    assert order.amount == Amount(vms=1, cpu=2, memory_gb=4, disk_gb=20)


def test_an_order_must_be_as_large_as_its_template_needs(order, template):
    order.check_fits(replace(template, min_memory_gb=4, min_disk_gb=20))
    with pytest.raises(TooSmall, match="memory_gb of 5 or more"):
        order.check_fits(replace(template, min_memory_gb=5))
    with pytest.raises(TooSmall, match="disk_gb of 21 or more"):
        order.check_fits(replace(template, min_disk_gb=21))


def test_without_a_hypervisor_it_says_what_to_install():
    with pytest.raises(NoHypervisor, match=r"install qemu-system-x86 and qemu-utils .*qemu-img"):
        Probe(trouble="not found: qemu-img").must_run_machines()


def test_a_hypervisor_that_is_being_tried_is_not_called_missing():
    with pytest.raises(NotTriedYet, match="a small guest is being booted"):
        Probe(version="9.2.1", trying=True).must_run_machines()


def test_a_hypervisor_on_which_no_guest_runs_is_none_and_says_why():
    with pytest.raises(NoHypervisor, match=r"no guest runs on it here: kvm: it hangs"):
        Probe(version="9.2.1", ran=False, trouble="kvm: it hangs").must_run_machines()


def test_where_a_guest_ran_machines_run():
    Probe(version="9.2.1", ran=True, accel="tcg").must_run_machines()


def test_a_machine_from_an_iso_image_needs_a_hypervisor_that_takes_one(order):
    iso = replace(
        order, source_type=SourceType.ISO, iso_url="https://a.example/a", template_id=None
    )
    runs = Probe(version="9.9", ran=True)
    with pytest.raises(NoSuchMedium, match="from a template"):
        iso.check_can_be_made(runs)
    iso.check_can_be_made(replace(runs, media=True))
    order.check_can_be_made(runs)
