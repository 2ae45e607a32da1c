"""What the worker does next, whatever is wished and whatever was seen."""

from dataclasses import replace
from datetime import timedelta
from itertools import product
from uuid import uuid4

import pytest

from compute.domain.course import (
    DYING,
    LATE,
    LOST,
    SILENT,
    Deed,
    Terms,
    failed,
    idle,
    progressed,
    settled,
    steer,
)
from compute.domain.guest import ABSENT, Power, Seen
from compute.domain.vm import Action, Status, Step, Wish

TERMS = Terms()
SECOND = timedelta(seconds=1)


def obey(deed, seen, vm):
    """Do to a guest in memory what a host does."""
    off = Seen(power=Power.OFF, made=True)
    on = Seen(power=Power.RUNNING, up=True, made=True, generation=vm.generation)
    return {
        Deed.NOTHING: seen,
        Deed.MAKE: off,
        Deed.ON: replace(on, reset_at=vm.generation),
        Deed.PRESS: replace(seen, power=Power.HALTED),
        Deed.OFF: replace(off, generation=seen.generation),
        Deed.PAUSE: replace(seen, power=Power.PAUSED),
        Deed.RESUME: replace(seen, power=Power.RUNNING),
        Deed.RESET: replace(seen, reset_at=vm.generation),
        Deed.REMOVE: ABSENT,
    }[deed]


SIGHTS = [
    ABSENT,
    *(
        Seen(power=power, up=up, made=True, crashed=power is Power.OFF and crashed)
        for power, up, crashed in product(
            sorted(set(Power) - {Power.ABSENT, Power.UNKNOWN}), (True, False), (True, False)
        )
    ),
]


@pytest.mark.parametrize("wish", Wish)
@pytest.mark.parametrize("step", sorted(set(Step) - {Step.GONE, Step.RELEASE}))
def test_every_wish_comes_true_from_every_state_of_a_host_that_obeys(make_vm, clock, wish, step):
    for seen, restart, reset in product(SIGHTS, (0, 9), (0, 9)):
        vm = make_vm(
            wish=wish, step=step, generation=9, restart_at=restart, reset_at=reset, settled=8
        )
        for _ in range(12):
            course = steer(vm, seen, clock(), TERMS)
            seen = obey(course.deed, seen, vm)
            if not seen.up and seen.power is Power.RUNNING:
                seen = replace(seen, up=True)
            vm = progressed(vm, course, seen, clock.forward(seconds=1))
            if settled(vm, course):
                break
        assert settled(vm, course), (wish, step, seen, course)
        assert vm.settled == vm.generation
        assert idle(vm, steer(vm, seen, clock(), TERMS))


def test_a_guest_of_which_nothing_is_known_is_left_alone(make_vm, clock):
    for wish in set(Wish) - {Wish.VANISH}:
        vm = make_vm(wish=wish, step=Step.UP)
        unknown = Seen(power=Power.UNKNOWN, made=True)
        assert steer(vm, unknown, clock(), TERMS).trouble is None
        course = steer(vm, replace(unknown, silence=6 * SECOND), clock(), TERMS)
        assert (course.deed, course.trouble) == (Deed.NOTHING, SILENT)


def test_a_disk_that_was_there_is_never_made_anew(make_vm, clock):
    for step in set(Step) - {Step.GONE, Step.RELEASE}:
        course = steer(make_vm(step=step, made=True), ABSENT, clock(), TERMS)
        assert (course.deed, course.trouble) == (Deed.NOTHING, LOST)


def test_a_guest_that_died_is_started_again_and_one_that_switched_itself_off_is_not(make_vm, clock):
    vm = make_vm(step=Step.UP, generation=3, settled=3)
    died = steer(vm, Seen(power=Power.OFF, crashed=True, made=True), clock(), TERMS)
    assert (died.deed, died.news) == (Deed.ON, "the guest ended unasked, and is started again")
    off = steer(vm, Seen(power=Power.HALTED, made=True, generation=1), clock(), TERMS)
    after = progressed(vm, off, ABSENT, clock())
    assert (off.follows, after.wish, after.generation) == (True, Wish.STOP, 4)


def died(vm, clock):
    """Let a guest die that was up, and the worker look until it is due no more; return the machine and its deeds."""
    dead, deeds = Seen(power=Power.OFF, crashed=True, made=True, generation=1), []
    while not vm.due_at and Deed.ON not in deeds:
        course = steer(vm, dead, clock(), TERMS)
        deeds.append(course.deed)
        vm = progressed(vm, course, dead, clock())
    return vm, deeds


def came_up(vm, clock):
    up = Seen(power=Power.RUNNING, up=True, made=True, generation=1)
    return progressed(vm, steer(vm, up, clock(), TERMS), up, clock())


def test_a_guest_that_keeps_dying_is_an_error_and_started_later_each_time(make_vm, clock):
    vm = make_vm(step=Step.UP, step_since=clock(), settled=1)
    vm, deeds = died(vm, clock)
    assert (deeds, vm.trouble, vm.status) == ([Deed.ON], None, Status.PROVISIONING), "at first"
    waits = []
    for _ in range(9):
        vm, deeds = died(came_up(vm, clock), clock)
        assert (deeds, vm.status, vm.step) == ([Deed.NOTHING], Status.ERROR, Step.DOWN)
        waits.append((vm.due_at - clock()).total_seconds())
        clock.forward(seconds=waits[-1])
        vm, deeds = died(replace(vm, due_at=None), clock)
        assert (deeds, vm.status, vm.trouble) == ([Deed.ON], Status.PROVISIONING, None)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert vm.crashes == 10


def test_a_guest_that_dies_before_it_is_up_is_counted_as_well(make_vm, clock):
    vm = make_vm(step=Step.BOOT, step_since=clock(), crashes=2)
    vm, _ = died(vm, clock)
    assert vm.status_detail == f"{DYING}: 3 times in a row"


def test_one_that_was_up_for_long_or_is_told_to_do_something_begins_anew(make_vm, clock):
    vm = make_vm(step=Step.UP, step_since=clock(), crashes=7, settled=1)
    assert vm.told(Action.STOP, uuid4(), clock()).crashes == 0
    clock.forward(seconds=60)
    vm, deeds = died(vm, clock)
    assert (deeds, vm.crashes) == ([Deed.ON], 1)


def test_a_guest_that_was_stopped_and_then_wanted_again_is_started_again(make_vm, clock):
    vm = make_vm(step=Step.HALT, generation=3, settled=1)
    course = steer(vm, Seen(power=Power.HALTED, made=True, generation=1), clock(), TERMS)
    assert (course.deed, course.follows) == (Deed.OFF, False)


@pytest.mark.parametrize("written", [True, False])
def test_a_start_while_the_guest_still_shuts_down_ends_running(make_vm, clock, written):
    """Its button was pressed, whether or not that was written down: it goes down, and then it is to be up."""
    vm = make_vm(step=Step.UP, generation=1, settled=1)
    up = Seen(power=Power.RUNNING, up=True, made=True, generation=1)
    vm = vm.told(Action.STOP, uuid4(), clock())
    course = steer(vm, up, clock(), TERMS)
    assert course.deed is Deed.PRESS
    vm = progressed(vm, course, up, clock()) if written else vm
    vm = vm.told(Action.START, uuid4(), clock())
    seen = up
    for obeys in (False, False, True, True, True, True, True):
        course = steer(vm, seen, clock(), TERMS)
        seen = seen if course.deed is Deed.PRESS and not obeys else obey(course.deed, seen, vm)
        vm = progressed(vm, course, seen, clock.forward(seconds=1))
    assert (vm.wish, vm.step, vm.settled, seen.generation) == (Wish.RUN, Step.UP, 3, 3)


def test_a_start_of_one_that_is_off_is_no_restart(make_vm, clock):
    off = make_vm(wish=Wish.STOP, step=Step.DOWN, generation=2, settled=2)
    assert off.told(Action.START, uuid4(), clock()).restart_at == 0


def test_who_does_not_shut_down_in_time_is_switched_off(make_vm, clock):
    up = Seen(power=Power.RUNNING, up=True, made=True)
    vm = make_vm(wish=Wish.STOP, step=Step.HALT, step_since=clock())
    assert steer(vm, up, clock.forward(seconds=9), TERMS).deed is Deed.PRESS
    late = steer(vm, up, clock.forward(seconds=2), TERMS)
    assert (late.deed, late.news) == (
        Deed.OFF,
        "it did not shut down in time, and was switched off",
    )


def test_a_guest_that_does_not_boot_is_an_error_until_it_does(make_vm, clock):
    booting = Seen(power=Power.RUNNING, made=True, generation=1)
    vm = make_vm(step=Step.BOOT, step_since=clock())
    late = steer(vm, booting, clock.forward(seconds=46), TERMS)
    after = progressed(vm, late, booting, clock())
    assert (after.status, after.status_detail) == (Status.ERROR, LATE)
    up = steer(after, replace(booting, up=True), clock(), TERMS)
    assert progressed(after, up, booting, clock()).status is Status.RUNNING


def test_failures_are_tried_again_later_each_time_but_never_given_up(make_vm, clock):
    vm, waits = make_vm(), []
    for _ in range(20):
        vm = failed(vm, "no space", clock(), TERMS)
        waits.append((vm.due_at - clock()).total_seconds())
    assert (waits[:4], max(waits), vm.status) == ([1, 2, 4, 8], 60, Status.ERROR)


def test_the_version_grows_where_people_see_a_difference_and_only_there(make_vm, clock):
    vm = make_vm(step=Step.BOOT, step_since=clock())
    seen = Seen(power=Power.RUNNING, up=True, made=True, generation=1)
    up = progressed(vm, steer(vm, seen, clock(), TERMS), seen, clock())
    assert up.version == vm.version + 1
    assert progressed(up, steer(up, seen, clock(), TERMS), seen, clock()).version == up.version
