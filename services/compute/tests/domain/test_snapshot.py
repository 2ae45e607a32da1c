"""What may be asked of a snapshot, and what becomes of it."""

from datetime import timedelta
from itertools import product
from uuid import uuid4

import pytest

from compute.domain.errors import ActionDoesNotFit
from compute.domain.snapshot import (
    MOST_ATTEMPTS,
    Snapshot,
    SnapshotStatus,
    Task,
    must_be_off,
    must_be_takable,
)
from compute.domain.snapshot_errors import SnapshotBusy, SnapshotStale
from compute.domain.vm import Step, Wish


@pytest.fixture
def snapshot(tenant, clock):
    return Snapshot(
        id=uuid4(),
        tenant=tenant,
        vm_id=uuid4(),
        name="before the upgrade",
        created_by="Ana",
        created_at=clock(),
        updated_at=clock(),
        operation_id=uuid4(),
        disk_gb=20,
    )


def test_a_snapshot_is_ready_once_it_was_taken_and_says_what_is_done_with_it(snapshot, clock):
    assert snapshot.status is SnapshotStatus.CREATING
    ready = snapshot.done(clock())
    assert (ready.status, ready.version) == (SnapshotStatus.READY, 2)
    for task, shown in ((Task.RESTORE, "RESTORING"), (Task.DROP, "DELETING")):
        assert ready.asked(task, uuid4(), clock()).status == shown
    assert ready.asked(Task.RESTORE, uuid4(), clock()).done(clock()).status == "READY"


@pytest.mark.parametrize("task", [Task.RESTORE, Task.DROP])
def test_one_thing_at_a_time_is_done_with_it(snapshot, clock, task):
    with pytest.raises(SnapshotBusy, match="CREATING"):
        snapshot.asked(task, uuid4(), clock())


def test_what_fails_is_tried_again_later_each_time_and_given_up_in_the_end(snapshot, clock):
    waits = []
    for _ in range(MOST_ATTEMPTS - 1):
        snapshot = snapshot.failed("no space", clock())
        waits.append((snapshot.due_at - clock()).total_seconds())
        assert snapshot.status is SnapshotStatus.CREATING
    over = snapshot.failed("no space", clock())
    assert (waits, over.status, over.status_detail) == ([1, 2, 4, 8], "ERROR", "no space")
    with pytest.raises(ActionDoesNotFit, match="never taken"):
        over.asked(Task.RESTORE, uuid4(), clock())
    assert over.asked(Task.DROP, uuid4(), clock()).trouble is None


def test_a_snapshot_that_could_not_be_restored_is_still_one(snapshot, clock):
    asked = snapshot.done(clock()).asked(Task.RESTORE, uuid4(), clock())
    for _ in range(MOST_ATTEMPTS):
        asked = asked.failed("locked", clock.forward(seconds=30))
    assert (asked.status, asked.task, asked.due_at) == (SnapshotStatus.READY, None, None)
    again = asked.asked(Task.RESTORE, uuid4(), clock())
    assert (again.attempts, again.trouble) == (0, None)


def test_another_version_than_was_expected_is_refused(snapshot):
    snapshot.expect(None)
    snapshot.expect(1)
    with pytest.raises(SnapshotStale):
        snapshot.expect(2)


def test_only_the_disk_of_a_machine_that_is_off_for_certain_is_put_back(make_vm):
    for wish, step in product(Wish, Step):
        vm = make_vm(wish=wish, step=step, made=True)
        if (wish, step) == (Wish.STOP, Step.DOWN):
            must_be_off(vm)
        else:
            with pytest.raises(ActionDoesNotFit, match="stop it first"):
                must_be_off(vm)


def test_a_machine_without_a_disk_has_nothing_to_keep(make_vm):
    must_be_takable(make_vm(made=True, step=Step.UP))
    for vm in (make_vm(), make_vm(made=True, wish=Wish.VANISH)):
        with pytest.raises(ActionDoesNotFit, match="no disk"):
            must_be_takable(vm)


def test_due_is_said_in_the_time_of_the_caller(snapshot, clock):
    later = snapshot.failed("x", clock())
    assert later.due_at == clock() + timedelta(seconds=1)
