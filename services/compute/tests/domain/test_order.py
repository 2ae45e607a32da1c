"""What can be ordered, and what a look at the host says."""

from dataclasses import replace
from uuid import UUID

import pytest

from compute.domain.errors import BadSource, NoDriver, NoHypervisor, TooSmall
from compute.domain.host import Probe
from compute.domain.order import SourceType
from compute.domain.quota import Amount


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"iso_url": None}, "/iso_url"),
        ({"template_id": UUID(int=1)}, "/template_id"),
        ({"source_type": SourceType.TEMPLATE}, "/template_id"),
        ({"source_type": SourceType.TEMPLATE, "template_id": UUID(int=1)}, "/iso_url"),
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


def test_a_hypervisor_without_a_driver_is_not_called_missing():
    with pytest.raises(NoDriver, match=r"QEMU 9\.2\.1 is installed, but"):
        Probe(version="9.2.1").must_run_machines()


def test_a_driven_hypervisor_runs_machines():
    Probe(version="9.2.1", driven=True).must_run_machines()
