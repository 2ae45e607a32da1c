"""Wishes, steps, and what people see of them."""

from datetime import timedelta
from uuid import uuid4

import pytest

from compute.domain.errors import ActionDoesNotFit, VmStale
from compute.domain.vm import SHOWN, Action, Status, Step, Wish


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
        (Step.HELD, "RUNNING", "paused"),
        (Step.DOWN, "PROVISIONING", "starting"),
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


def test_a_wish_makes_a_generation_and_what_failed_is_tried_at_once(make_vm, clock):
    vm = make_vm(attempts=3, due_at=clock.at + timedelta(hours=1), trouble="no disk")
    after = vm.wished(Wish.STOP, uuid4(), clock.at)
    assert (after.version, after.generation, after.attempts, after.due_at) == (2, 2, 0, None)


def test_a_stopped_machine_that_is_down_is_stopped(make_vm):
    assert make_vm(step=Step.DOWN, wish=Wish.STOP).status is Status.STOPPED
    assert set(SHOWN) == {(wish, step) for wish in Wish for step in Step}


@pytest.mark.parametrize(
    ("wish", "step", "fitting"),
    [
        (Wish.RUN, Step.UP, {"stop", "restart", "pause", "reset"}),
        (Wish.RUN, Step.BOOT, {"stop"}),
        (Wish.PAUSE, Step.HELD, {"stop", "resume"}),
        (Wish.STOP, Step.DOWN, {"start"}),
        (Wish.STOP, Step.HALT, {"start"}),
        (Wish.VANISH, Step.RELEASE, set()),
    ],
)
def test_each_state_has_actions_that_fit_and_refuses_the_others(
    make_vm, clock, wish, step, fitting
):
    vm = make_vm(wish=wish, step=step)
    for action in Action:
        if action.value in fitting:
            after = vm.told(action, uuid4(), clock.at)
            assert after.generation == vm.generation + 1
        else:
            with pytest.raises(ActionDoesNotFit, match=f"{action} does not fit: the machine"):
                vm.told(action, uuid4(), clock.at)


def test_a_restart_and_a_reset_are_wishes_too(make_vm, clock):
    vm = make_vm(step=Step.UP, generation=4)
    assert vm.told(Action.RESTART, uuid4(), clock.at).restart_at == 5
    assert vm.told(Action.RESET, uuid4(), clock.at).reset_at == 5


def test_another_version_than_the_expected_is_stale(make_vm):
    make_vm().expect(None)
    make_vm().expect(1)
    with pytest.raises(VmStale, match="at version 1, not 2"):
        make_vm().expect(2)
