"""What flags and segments use: which other flags, which segments. It answers "where used", and finds rings."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from flags.domain.rules import Condition, Evaluates, InSegment, Targeting, inside


@dataclass(frozen=True, slots=True)
class Uses:
    """The keys of the flags and of the segments that something looks at, directly."""

    flags: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()

    def __or__(self, other: "Uses") -> "Uses":
        """Return what either uses."""
        return Uses(self.flags | other.flags, self.segments | other.segments)


NOTHING = Uses()


def used_by(targeting: Targeting) -> Uses:
    """Return what a flag's targeting uses."""
    conditions = (rule.when for rule in targeting.rules if rule.when is not None)
    before = Uses(frozenset(p.flag for p in targeting.prerequisites))
    return before | used_in(conditions)


def used_in(conditions: Iterable[Condition]) -> Uses:
    """Return what conditions use."""
    flags, segments = set[str](), set[str]()
    for condition in conditions:
        for part in inside(condition):
            if isinstance(part, Evaluates):
                flags.add(part.flag)
            elif isinstance(part, InSegment):
                segments.update(part.segments)
    return Uses(frozenset(flags), frozenset(segments))


@dataclass(frozen=True, slots=True)
class Use:
    """A place where something is asked for: a flag in one environment, a segment, or an experiment."""

    kind: Literal["flag", "segment", "experiment"]
    key: str
    environment: str = ""
