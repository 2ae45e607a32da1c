"""Wishes, steps, and what people see of them."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compute.domain.errors import VmStale
from compute.domain.vm import Status, Step, Wish, next_step

ENDS = {Wish.RUN: Step.UP, Wish.STOP: Step.DOWN, Wish.VANISH: Step.GONE}
ALIVE = st.sampled_from(sorted(set(Step) - {Step.RELEASE, Step.GONE}))
with_fixtures = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@with_fixtures
@given(wish=st.sampled_from(Wish), step=ALIVE)
def test_every_wish_comes_true_when_the_host_obeys(make_vm, wish, step):
    vm = make_vm(wish=wish, step=step)
    for _ in Step:
        vm = replace(vm, step=next_step(vm, done=True))
    assert vm.step is ENDS[wish]


@with_fixtures
@given(
    wish=st.sampled_from([Wish.RUN, Wish.STOP]),
    step=st.sampled_from([Step.PLACE, Step.BOOT, Step.HALT]),
)
def test_an_unfinished_step_is_not_left(make_vm, wish, step):
    assert next_step(make_vm(wish=wish, step=step), done=False) is step


def test_a_new_machine_is_provisioning_and_nothing_is_made_up(make_vm):
    vm = make_vm()
    assert (vm.status, vm.ip_address, vm.on_host) == (Status.PROVISIONING, None, False)


@pytest.mark.parametrize(
    ("step", "status", "detail"),
    [
        (Step.PLACE, "PROVISIONING", "waiting for a place on a host"),
        (Step.BOOT, "PROVISIONING", "booting"),
        (Step.UP, "RUNNING", None),
        (Step.HALT, "RUNNING", "shutting down"),
        (Step.DOWN, "STOPPED", None),
        (Step.RELEASE, "STOPPED", "being deleted"),
        (Step.GONE, "STOPPED", "deleted"),
    ],
)
def test_each_step_has_a_word_that_people_know(make_vm, step, status, detail):
    vm = make_vm(step=step)
    assert (vm.status, vm.status_detail) == (status, detail)


@pytest.mark.parametrize("step", Step)
def test_trouble_is_an_error_that_says_why_whatever_the_step(make_vm, step):
    vm = make_vm(step=step, trouble="the image is damaged")
    assert (vm.status, vm.status_detail) == (Status.ERROR, "the image is damaged")


def test_a_running_machine_that_is_to_vanish_says_so(make_vm):
    vm = make_vm(step=Step.UP, wish=Wish.VANISH)
    assert (vm.status, vm.status_detail) == (Status.RUNNING, "being deleted")


def test_a_change_makes_the_next_version_and_none_makes_none(make_vm, clock):
    vm, later = make_vm(), clock.at + timedelta(hours=1)
    after = vm.changed({"name": "api", "labels": {"a": "b"}}, later)
    assert (after.name, after.version, after.updated_at) == ("api", 2, later)
    assert vm.changed({"name": "web"}, later) is vm
    assert vm.wished(Wish.STOP, later).version == 2
    assert vm.wished(Wish.RUN, later) is vm


def test_another_version_than_the_expected_is_stale(make_vm):
    make_vm().expect(None)
    make_vm().expect(1)
    with pytest.raises(VmStale, match="at version 1, not 2"):
        make_vm().expect(2)
