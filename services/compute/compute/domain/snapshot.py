"""A snapshot: how the disk of a machine was at one moment, kept inside that disk.

What is asked of it is a task, and one at a time; the worker does it at the machine's host, again until it is done or
has failed so often that it is given up. Memory is not in it: a machine that is restored boots.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum, auto
from uuid import UUID

from compute.domain.errors import ActionDoesNotFit
from compute.domain.quota import Amount
from compute.domain.snapshot_errors import SnapshotBusy, SnapshotStale
from compute.domain.vm import Step, Vm, Wish

MOST = 16  # snapshots of one machine
MOST_ATTEMPTS = 5
_PAUSE = timedelta(seconds=1)


class Task(StrEnum):
    """What is asked of a snapshot."""

    TAKE = auto()
    RESTORE = auto()
    DROP = auto()

    @property
    def action(self) -> str:
        """How the operation is called."""
        verb = "delete" if self is Task.DROP else self.value
        return f"{verb}_snapshot"


class SnapshotStatus(StrEnum):
    """The one word that people see."""

    CREATING = "CREATING"
    READY = "READY"
    RESTORING = "RESTORING"
    DELETING = "DELETING"
    ERROR = "ERROR"


_DURING = {
    Task.TAKE: SnapshotStatus.CREATING,
    Task.RESTORE: SnapshotStatus.RESTORING,
    Task.DROP: SnapshotStatus.DELETING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One snapshot of a machine. `task`: what is still to be done, by `operation_id`; `taken`: it is in the disk.

    `disk_gb`: what it takes of the tenant's quota, in GiB, the size of the disk: it can come to keep all of it.
    `trouble`: why the last attempt at a task failed. `due_at`: not before.
    """

    id: UUID
    tenant: UUID
    vm_id: UUID
    name: str
    created_by: str
    created_at: datetime
    updated_at: datetime
    operation_id: UUID
    disk_gb: int
    task: Task | None = Task.TAKE
    taken: bool = False
    trouble: str | None = None
    attempts: int = 0
    due_at: datetime | None = None
    version: int = 1

    @property
    def status(self) -> SnapshotStatus:
        """The one word that people see."""
        if self.task is not None:
            return _DURING[self.task]
        return SnapshotStatus.READY if self.taken else SnapshotStatus.ERROR

    @property
    def status_detail(self) -> str | None:
        """What there is to say beyond the one word; None if nothing."""
        return self.trouble

    @property
    def amount(self) -> Amount:
        """How much of the quota the snapshot takes."""
        return Amount(disk_gb=self.disk_gb)

    def expect(self, version: int | None) -> None:
        """Refuse to go on unless this is the version that was expected (None: any)."""
        if version is not None and version != self.version:
            text = f"snapshot {self.name!r} is at version {self.version}, not {version}"
            raise SnapshotStale(text)

    def asked(self, task: Task, operation_id: UUID, now: datetime) -> "Snapshot":
        """Return the snapshot with something to be done; SnapshotBusy while something else is."""
        if self.task is not None:
            raise SnapshotBusy(f"snapshot {self.name!r} is {self.status}: wait until that is done")
        if task is Task.RESTORE and not self.taken:
            raise ActionDoesNotFit("restore does not fit: the snapshot was never taken")
        fresh = replace(self, task=task, operation_id=operation_id, attempts=0, trouble=None)
        return fresh._touched(now)

    def done(self, now: datetime) -> "Snapshot":
        """Return the snapshot once its task was done."""
        return replace(self, task=None, taken=True, trouble=None, due_at=None)._touched(now)

    def failed(self, why: str, now: datetime) -> "Snapshot":
        """Return the snapshot after an attempt that failed: tried again later, and given up in the end."""
        attempts = self.attempts + 1
        over = attempts >= MOST_ATTEMPTS
        return replace(
            self,
            task=None if over else self.task,
            trouble=why,
            attempts=attempts,
            due_at=None if over else now + _PAUSE * 2**self.attempts,
        )._touched(now)

    def _touched(self, now: datetime) -> "Snapshot":
        return replace(self, version=self.version + 1, updated_at=now)


def must_be_takable(vm: Vm) -> None:
    """Refuse to take a snapshot of a machine that has no disk (yet, or any more)."""
    if vm.wish is Wish.VANISH or not vm.made:
        why = vm.status_detail or vm.status
        raise ActionDoesNotFit(f"a snapshot does not fit: the machine has no disk to keep ({why})")


def must_be_off(vm: Vm) -> None:
    """Refuse to put back the disk of a machine that is not off for certain."""
    if vm.wish is not Wish.STOP or vm.step is not Step.DOWN:
        shown = f"{vm.status}{f' ({vm.status_detail})' if vm.status_detail else ''}"
        raise ActionDoesNotFit(f"restore does not fit: the machine is {shown}; stop it first")
