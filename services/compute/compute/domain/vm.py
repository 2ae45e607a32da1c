"""A virtual machine: what its owner wishes, and how far we have come.

The API writes wishes and nothing else; the worker writes steps and nothing else.
The state that people see is read off both. What the worker does next is in `course`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum, auto
from typing import TypedDict
from uuid import UUID

from compute.domain.errors import ActionDoesNotFit, VmStale
from compute.domain.order import SourceType
from compute.domain.quota import Amount


class Wish(StrEnum):
    """What the owner wants."""

    RUN = auto()
    PAUSE = auto()
    STOP = auto()
    VANISH = auto()


class Step(StrEnum):
    """How far the worker has come, as far as it has seen."""

    PLACE = auto()
    BOOT = auto()
    UP = auto()
    HELD = auto()
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


class Action(StrEnum):
    """What an owner can tell a machine to do."""

    START = auto()
    STOP = auto()
    RESTART = auto()
    PAUSE = auto()
    RESUME = auto()
    RESET = auto()


_SHOWN = {
    Step.PLACE: Status.PROVISIONING,
    Step.BOOT: Status.PROVISIONING,
    Step.UP: Status.RUNNING,
    Step.HELD: Status.RUNNING,
    Step.HALT: Status.RUNNING,
    Step.DOWN: Status.STOPPED,
    Step.RELEASE: Status.STOPPED,
    Step.GONE: Status.STOPPED,
}
_DETAIL = {
    Step.PLACE: "waiting for a place on a host",
    Step.BOOT: "booting",
    Step.HELD: "paused",
    Step.HALT: "shutting down",
    Step.RELEASE: "being deleted",
    Step.GONE: "deleted",
}
# A machine that is off and is to run is on its way, though nobody has lifted a hand for it yet.
SHOWN = {
    (wish, step): Status.PROVISIONING
    if step is Step.DOWN and wish in (Wish.RUN, Wish.PAUSE)
    else status
    for wish in Wish
    for step, status in _SHOWN.items()
}
# Which wishes an action can follow, and which it makes. Of those that keep the wish, the generation is the news.
_FITS: dict[Action, tuple[frozenset[Wish], Wish]] = {
    Action.START: (frozenset({Wish.STOP}), Wish.RUN),
    Action.STOP: (frozenset({Wish.RUN, Wish.PAUSE}), Wish.STOP),
    Action.RESTART: (frozenset({Wish.RUN}), Wish.RUN),
    Action.PAUSE: (frozenset({Wish.RUN}), Wish.PAUSE),
    Action.RESUME: (frozenset({Wish.PAUSE}), Wish.RUN),
    Action.RESET: (frozenset({Wish.RUN}), Wish.RUN),
}
_NEEDS_GUEST = frozenset({Action.RESTART, Action.PAUSE, Action.RESET})
_STANDS = {
    Wish.RUN: "is to run already",
    Wish.PAUSE: "is paused",
    Wish.STOP: "is stopped",
    Wish.VANISH: "is being deleted",
}


class Changes(TypedDict, total=False):
    """What an owner may change about a machine, where said."""

    name: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vm:
    """One machine of a tenant; `number` counts within the tenant. Memory and disk in GiB.

    `wish` is the owner's; each wish makes a `generation`. `restart_at` and `reset_at` are those in which a restart and
    a reset were last asked for, so both are wishes too. From `host` to `due_at` all is the worker's: `made` says that
    it has its disk, `medium` which ISO image was fetched for it (SHA-256 in hex), `settled` is the last generation
    that came true, `crashes` how often in a row its guest died soon after it was started. `ip_address` is None until it
    was observed.
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
    iso_sha256: str | None = None
    user_data: str | None = None
    ssh_keys: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    ip_address: str | None = None
    wish: Wish = Wish.RUN
    generation: int = 1
    restart_at: int = 0
    reset_at: int = 0
    operation_id: UUID | None = None
    host: str | None = None
    step: Step = Step.PLACE
    step_since: datetime | None = None
    made: bool = False
    medium: str | None = None
    settled: int = 0
    trouble: str | None = None
    attempts: int = 0
    crashes: int = 0
    due_at: datetime | None = None
    version: int = 1

    @property
    def status(self) -> Status:
        """The one word that people see."""
        return Status.ERROR if self.trouble else SHOWN[self.wish, self.step]

    @property
    def status_detail(self) -> str | None:
        """What there is to say beyond the one word; None if nothing."""
        if self.wish is Wish.VANISH and self.step is not Step.GONE:
            return self.trouble or _DETAIL[Step.RELEASE]
        if self.waits_for_medium and self.status is Status.PROVISIONING:
            return "fetching its ISO image"
        starting = self.step is Step.DOWN and self.status is Status.PROVISIONING
        return self.trouble or ("starting" if starting else _DETAIL.get(self.step))

    @property
    def waits_for_medium(self) -> bool:
        """Whether the ISO image that it is to be installed from has not come yet."""
        return self.source_type is SourceType.ISO and self.medium is None

    @property
    def amount(self) -> Amount:
        """How much of the quota the machine takes."""
        return Amount(vms=1, cpu=self.cpu, memory_gb=self.memory_gb, disk_gb=self.disk_gb)

    @property
    def on_host(self) -> bool:
        """Whether a host may know of it: then only a worker can make it vanish."""
        return self.host is not None and self.step is not Step.GONE

    def expect(self, version: int | None) -> None:
        """Refuse to go on unless this is the version that was expected (None: any)."""
        if version is not None and version != self.version:
            raise VmStale(f"machine {self.name!r} is at version {self.version}, not {version}")

    def changed(self, changes: Changes, now: datetime) -> "Vm":
        """Return the machine with these changes; itself where they change nothing."""
        after = replace(self, **changes)
        return self if after == self else replace(after, version=self.version + 1, updated_at=now)

    def supplied(self, medium: str | None, trouble: str | None, now: datetime) -> "Vm":
        """Return the machine once its ISO image has come, or cannot be had."""
        version = self.version + 1
        after = replace(self, medium=medium, trouble=trouble, version=version, updated_at=now)
        return replace(after, attempts=0, due_at=None)

    def told(self, action: Action, operation_id: UUID, now: datetime) -> "Vm":
        """Return the machine once its owner told it to do something; ActionDoesNotFit says why it cannot."""
        follows, wish = _FITS[action]
        if self.wish not in follows:
            raise ActionDoesNotFit(f"{action} does not fit: the machine {_STANDS[self.wish]}")
        if action in _NEEDS_GUEST and self.step is not Step.UP:
            shown = self.status_detail or self.status
            raise ActionDoesNotFit(f"{action} does not fit: the machine is not up ({shown})")
        after = self.wished(wish, operation_id, now)
        # A guest whose button was pressed goes down, whatever is wished since: then a start restarts it.
        again = action is Action.RESTART or (action is Action.START and self._on_its_way)
        return replace(
            after,
            restart_at=after.generation if again else self.restart_at,
            reset_at=after.generation if action is Action.RESET else self.reset_at,
        )

    @property
    def _on_its_way(self) -> bool:
        """Whether what was wished last has not come true: a worker may be about it, and not have written it down."""
        return self.settled != self.generation

    def wished(self, wish: Wish, operation_id: UUID | None, now: datetime) -> "Vm":
        """Return the machine with this wish, in a new generation; what went wrong before is tried again at once."""
        return replace(
            self,
            wish=wish,
            generation=self.generation + 1,
            operation_id=operation_id,
            attempts=0,
            crashes=0,
            due_at=None,
            version=self.version + 1,
            updated_at=now,
        )
