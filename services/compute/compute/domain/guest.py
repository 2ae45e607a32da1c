"""A guest as a host knows it: what it is to be like, and what was seen of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum, auto
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Key:
    """For which machine, in which generation, and with which fence a host is told something.

    A host that has heard a higher fence for the machine refuses: whoever tells it has lost its lease.
    """

    vm: UUID
    generation: int
    fence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a guest is made of. Memory and disk in GiB.

    `template` None: an empty disk, to be installed on from `medium`, an ISO image by its SHA-256 in hex.
    """

    name: str
    cpu: int
    memory_gb: int
    disk_gb: int
    template: UUID | None = None
    medium: str | None = None
    user_data: str | None = None
    ssh_keys: Sequence[str] = ()


class Power(StrEnum):
    """What a host says of a guest. UNKNOWN: it may run, and does not answer; that is never ABSENT."""

    ABSENT = auto()
    OFF = auto()
    RUNNING = auto()
    PAUSED = auto()
    HALTED = auto()
    UNKNOWN = auto()


class Switch(StrEnum):
    """What a host can be told to do to a guest. PRESS is the power button, which the guest may obey."""

    ON = auto()
    PRESS = auto()
    OFF = auto()
    PAUSE = auto()
    RESUME = auto()
    RESET = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of a guest.

    `up`: it said so itself since it was switched on, or nobody knows what it would say. `generation`, `reset_at`: for
    which it was switched on and reset. `crashed`: it is off, and nobody switched it off. `made`: it has its disk.
    `silence`: for how long it has been UNKNOWN.
    """

    power: Power
    up: bool = False
    generation: int = 0
    reset_at: int = 0
    crashed: bool = False
    made: bool = False
    silence: timedelta = timedelta(0)


ABSENT = Seen(power=Power.ABSENT)


@dataclass(frozen=True, slots=True)
class Line:
    """A line that a guest wrote to its serial console; `at`: when it was first seen there."""

    at: datetime
    text: str
