"""Something that happened to a machine, as its log tells it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, auto


class Level(StrEnum):
    """How much it matters; CONSOLE is what the guest itself wrote to its serial console."""

    INFO = auto()
    WARNING = auto()
    ERROR = auto()
    CONSOLE = auto()


@dataclass(frozen=True, slots=True)
class Happening:
    """One entry of a machine's log."""

    at: datetime
    level: Level
    message: str
