"""A virtual machine: what its owner wishes, and how far we have come.

The API writes wishes and nothing else; the worker writes steps and nothing else.
The state that people see is read off both.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum, auto
from typing import TypedDict
from uuid import UUID

from compute.domain.errors import VmStale
from compute.domain.order import SourceType
from compute.domain.quota import Amount


class Wish(StrEnum):
    """What the owner wants."""

    RUN = auto()
    STOP = auto()
    VANISH = auto()


class Step(StrEnum):
    """Where the worker is."""

    PLACE = auto()
    BOOT = auto()
    UP = auto()
    HALT = auto()
    DOWN = auto()
    RELEASE = auto()
    GONE = auto()


class Status(StrEnum):
    """The one word that people see."""

    PROVISIONING = "PROVISIONING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    ERROR = "ERROR"


AFTER = {
    Step.PLACE: Step.BOOT,
    Step.BOOT: Step.UP,
    Step.HALT: Step.DOWN,
    Step.RELEASE: Step.GONE,
}
TURN = {(Step.UP, Wish.STOP): Step.HALT, (Step.DOWN, Wish.RUN): Step.BOOT}
SHOWN = {
    Step.PLACE: Status.PROVISIONING,
    Step.BOOT: Status.PROVISIONING,
    Step.UP: Status.RUNNING,
    Step.HALT: Status.RUNNING,
    Step.DOWN: Status.STOPPED,
    Step.RELEASE: Status.STOPPED,
    Step.GONE: Status.STOPPED,
}
DETAIL = {
    Step.PLACE: "waiting for a place on a host",
    Step.BOOT: "booting",
    Step.HALT: "shutting down",
    Step.RELEASE: "being deleted",
    Step.GONE: "deleted",
}


class Changes(TypedDict, total=False):
    """What an owner may change about a machine, where said."""

    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vm:
    """One machine of a tenant; `number` counts within the tenant. Memory and disk in GiB.

    `wish` is the owner's, `step` and `trouble` are the worker's; `ip_address` is None until it was observed.
    """

    id: UUID
    tenant: UUID
    number: int
    name: str
    owner_id: str
    source_type: SourceType
    cpu: int
    memory_gb: int
    disk_gb: int
    created_at: datetime
    updated_at: datetime
    template_id: UUID | None = None
    template_name: str | None = None
    iso_url: str | None = None
    user_data: str | None = None
    ssh_keys: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    ip_address: str | None = None
    wish: Wish = Wish.RUN
    step: Step = Step.PLACE
    trouble: str | None = None
    version: int = 1

    @property
    def status(self) -> Status:
        """The one word that people see."""
        return Status.ERROR if self.trouble else SHOWN[self.step]

    @property
    def status_detail(self) -> str | None:
        """What there is to say beyond the one word; None if nothing."""
        leaving = self.wish is Wish.VANISH and self.step is not Step.GONE
        return self.trouble or (DETAIL[Step.RELEASE] if leaving else DETAIL.get(self.step))

    @property
    def amount(self) -> Amount:
        """How much of the quota the machine takes."""
        return Amount(vms=1, cpu=self.cpu, memory_gb=self.memory_gb, disk_gb=self.disk_gb)

    @property
    def on_host(self) -> bool:
        """Whether a host may know of it: then only a worker can make it vanish."""
        return self.step not in (Step.PLACE, Step.GONE)

    def expect(self, version: int | None) -> None:
        """Refuse to go on unless this is the version that was expected (None: any)."""
        if version is not None and version != self.version:
            raise VmStale(f"machine {self.name!r} is at version {self.version}, not {version}")

    def changed(self, changes: Changes, now: datetime) -> "Vm":
        """Return the machine with these changes; itself where they change nothing."""
        after = replace(self, **changes)
        return self if after == self else replace(after, version=self.version + 1, updated_at=now)

    def wished(self, wish: Wish, now: datetime) -> "Vm":
        """Return the machine with this wish of its owner."""
        if wish is self.wish:
            return self
        return replace(self, wish=wish, version=self.version + 1, updated_at=now)


def next_step(vm: Vm, *, done: bool) -> Step:
    """Return where to go from here, given whether the present step is done."""
    if vm.wish is Wish.VANISH and vm.step not in (Step.RELEASE, Step.GONE):
        return Step.RELEASE
    if done and vm.step in AFTER:
        return AFTER[vm.step]
    return TURN.get((vm.step, vm.wish), vm.step)
