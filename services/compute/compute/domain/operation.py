"""An operation: something that was asked of a machine, and what became of it."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from compute.domain.vm import Vm


class Outcome(StrEnum):
    """How an operation stands. All but the first are for good."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What was asked of a machine in one generation; `detail` says why it failed or was cancelled.

    `snapshot_id`: it was asked of a snapshot of the machine, and how the machine is does not end it.
    """

    id: UUID
    tenant: UUID
    vm_id: UUID
    owner_id: str
    action: str
    generation: int
    asked_by: str
    created_at: datetime
    status: Outcome = Outcome.RUNNING
    detail: str | None = None
    finished_at: datetime | None = None
    snapshot_id: UUID | None = None

    @property
    def version(self) -> int:
        """Changes once: when it ends."""
        return 1 if self.status is Outcome.RUNNING else 2

    def judged(self, vm: Vm, now: datetime) -> "Operation":
        """Return the operation as the machine's state decides it; itself while that is open."""
        if self.status is not Outcome.RUNNING or self.snapshot_id is not None:
            return self
        if self.generation == vm.settled:
            return self._ended(Outcome.SUCCEEDED, None, now)
        if self.generation < vm.generation:
            return self._ended(
                Outcome.CANCELLED, "something else was asked before it was done", now
            )
        return self._ended(Outcome.FAILED, vm.trouble, now) if vm.trouble else self

    def dropped(self, now: datetime) -> "Operation":
        """Return the operation once its machine is gone: whatever was open is cancelled."""
        if self.status is not Outcome.RUNNING:
            return self
        return self._ended(Outcome.CANCELLED, "the machine was deleted", now)

    def ended(self, trouble: str | None, now: datetime) -> "Operation":
        """Return the operation once what was asked was done (`trouble` None), or given up."""
        return self._ended(Outcome.FAILED if trouble else Outcome.SUCCEEDED, trouble, now)

    def _ended(self, status: Outcome, detail: str | None, now: datetime) -> "Operation":
        return replace(self, status=status, detail=detail, finished_at=now)
