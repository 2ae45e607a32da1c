"""Layers and holdouts: who cannot be in an experiment because of something beside it.

A layer places each unit in one of 100,000 places (0 to 99,999), the same for all experiments of the layer; an
experiment that has a range of them never meets one that has another. A holdout keeps a share of all units out of every
phase that begins while it is there.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from chassis.errors import FieldError
from experiments.domain.errors import BadRange, RangeTaken, VersionStale

PLACES = 100_000
MOST_HELD = 20_000  # a holdout of more than a fifth is a mistake


class Words(TypedDict, total=False):
    """What may be changed about a layer or a holdout, where said."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class Slot:
    """The places from `start` up to but not with `end` of a layer."""

    layer: UUID
    start: int
    end: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end <= PLACES:
            text = f"a range lies within 0 and {PLACES}, its end after its start"
            raise BadRange(text, errors=(FieldError("/layer", text, BadRange.code),))

    def overlaps(self, other: "Slot") -> bool:
        """Tell whether some unit is in both."""
        return self.layer == other.layer and self.start < other.end and other.start < self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """Experiments that exclude each other."""

    id: UUID
    tenant: UUID
    key: str
    name: str
    owner_id: str
    description: str = ""
    version: int = 1
    created_at: datetime
    updated_at: datetime

    @property
    def salt(self) -> str:
        """What places are drawn with."""
        return f"layer:{self.id}"

    def changed(self, words: Words, now: datetime) -> "Layer":
        """Return the layer with other words; itself where they are the same."""
        after = replace(self, **words)
        if after == self:
            return self
        return replace(after, version=self.version + 1, updated_at=now)

    def expect(self, version: int | None) -> None:
        """Refuse to go on unless this is the version that was expected (None: any)."""
        _expect(f"layer {self.key!r}", self.version, version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdout:
    """A share of all units, in thousandths of a percent, that new phases leave alone."""

    id: UUID
    tenant: UUID
    key: str
    name: str
    owner_id: str
    share: int
    description: str = ""
    version: int = 1
    created_at: datetime
    updated_at: datetime

    def __post_init__(self) -> None:
        if not 0 < self.share <= MOST_HELD:
            text = f"a holdout holds 1 to {MOST_HELD} thousandths of a percent back"
            raise BadRange(text, errors=(FieldError("/share", text, BadRange.code),))

    @property
    def salt(self) -> str:
        """What those held back are drawn with."""
        return f"holdout:{self.id}"

    def changed(self, words: Words, now: datetime) -> "Holdout":
        """Return the holdout with other words; itself where they are the same."""
        after = replace(self, **words)
        if after == self:
            return self
        return replace(after, version=self.version + 1, updated_at=now)

    def expect(self, version: int | None) -> None:
        """Refuse to go on unless this is the version that was expected (None: any)."""
        _expect(f"holdout {self.key!r}", self.version, version)


@dataclass(frozen=True, slots=True)
class Held:
    """A holdout as a phase keeps it: which one, and its share then."""

    holdout: UUID
    share: int

    @property
    def salt(self) -> str:
        """What those held back are drawn with."""
        return f"holdout:{self.holdout}"


def check_free(wanted: Slot, taken: Iterable[tuple[str, Slot]]) -> None:
    """Refuse a range of which another experiment (by key) has a part."""
    for key, slot in taken:
        if wanted.overlaps(slot):
            text = (
                f"places {slot.start} to {slot.end - 1} of the layer belong to experiment {key!r}"
            )
            raise RangeTaken(text, errors=(FieldError("/layer", text, RangeTaken.code),))


def _expect(what: str, there: int, version: int | None) -> None:
    if version is not None and version != there:
        raise VersionStale(f"{what} is at version {there}, not {version}")
