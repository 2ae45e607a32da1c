"""Answers: what a client gets for one flag, in OpenFeature's words. Each is made once, when the flag is compiled."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from flags.domain.values import Value


class Reason(StrEnum):
    """Why a value was served."""

    STATIC = "STATIC"
    DEFAULT = "DEFAULT"
    TARGETING_MATCH = "TARGETING_MATCH"
    SPLIT = "SPLIT"
    DISABLED = "DISABLED"
    ERROR = "ERROR"


class Trouble(StrEnum):
    """Why no value could be served."""

    PARSE_ERROR = "PARSE_ERROR"
    TARGETING_KEY_MISSING = "TARGETING_KEY_MISSING"
    INVALID_CONTEXT = "INVALID_CONTEXT"
    FLAG_NOT_FOUND = "FLAG_NOT_FOUND"
    GENERAL = "GENERAL"


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a client gets: a variant and its value, or with `trouble` neither. Two answers are never the same one.

    `flag` is the key of the flag that gives it, so that answers can be counted. In an experiment the variant is the key
    of the arm, which is what an exposure has to name.
    """

    value: Value
    variant: str
    reason: Reason
    trouble: Trouble | None = None
    details: str = ""
    flag: str = ""
    experiment: str = ""
    phase: int = 0
    stands_for: str = ""

    @property
    def serves(self) -> str:
        """The flag's own variant: that which the arm of an experiment stands for, else the one that is named."""
        return self.stands_for or self.variant


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """Answers that are always given together, so that they can be counted as one."""

    answers: tuple[Answer, ...]


def failed(trouble: Trouble, details: str, flag: str = "") -> Answer:
    """Return the answer of a flag that cannot be served; a client falls back to the default in its code."""
    return Answer(None, "", Reason.ERROR, trouble, details, flag)


class Answers:
    """Every answer that one flag can give: a variant for a reason, or trouble."""

    def __init__(self, variants: Mapping[str, Value], flag: str = "") -> None:
        self._variants = variants
        self._flag = flag
        self._made: dict[tuple[str, str], Answer] = {}

    def of(self, variant: str, reason: Reason) -> Answer:
        """Return the answer that serves a variant for a reason; KeyError if there is no such variant."""
        key = (variant, reason.value)
        if key not in self._made:
            self._made[key] = Answer(self._variants[variant], variant, reason, flag=self._flag)
        return self._made[key]

    def arm(self, arm: str, serves: str, experiment: str, phase: int) -> Answer:
        """Return the answer of an arm of an experiment, which serves one of the variants; KeyError if there is none."""
        key = (arm, f"{Reason.SPLIT.value} {experiment}")
        if key not in self._made:
            value = self._variants[serves]
            self._made[key] = Answer(
                value,
                arm,
                Reason.SPLIT,
                experiment=experiment,
                phase=phase,
                stands_for=serves,
                flag=self._flag,
            )
        return self._made[key]

    def trouble(self, trouble: Trouble, details: str) -> Answer:
        """Return the answer that tells of trouble."""
        key = ("", trouble.value)
        if key not in self._made:
            self._made[key] = failed(trouble, details, self._flag)
        return self._made[key]

    def all(self) -> tuple[Answer, ...]:
        """Return every answer that was made."""
        return tuple(self._made.values())
