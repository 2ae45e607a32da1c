"""The ruleset: the flags of one environment in the form that answers, compiled once per revision.

Compiling refuses what cannot be served, so that answering cannot fail: a flag whose stored form makes no sense (written
by hand, by a bug, by a newer version) keeps its last good form, or is left out, and its neighbours are served.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from chassis.errors import Fault
from flags.domain.flag import must_fit
from flags.domain.place import Place
from flags.domain.values import FlagType, Value, as_served


class Reason(StrEnum):
    """Why a value was served, in OpenFeature's words."""

    STATIC = "STATIC"
    DISABLED = "DISABLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A flag as it lies in the store: nothing in it has been checked."""

    key: str
    type: str
    variants: object
    enabled: bool
    default_variant: str
    off_variant: str
    client_side: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client gets for one flag."""

    value: Value
    variant: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A flag that can be asked. Without targeting, its answer is the same for everybody."""

    key: str
    client_side: bool
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """Everything one environment serves at one revision."""

    place: Place
    revision: int
    flags: Mapping[str, Compiled] = field(default_factory=dict[str, Compiled])

    def visible(self, *, client_side: bool) -> Iterable[Compiled]:
        """Return what a key may see: a client-side key only the flags that are marked for clients."""
        return (flag for flag in self.flags.values() if flag.client_side or not client_side)


def compiled(stored: Stored) -> Compiled:
    """Return the flag in the form that answers. ValueError if what is stored cannot be served."""
    if not isinstance(stored.variants, dict):
        raise ValueError("the variants are not an object")
    variants: dict[str, Value] = stored.variants  # type: ignore[reportUnknownMemberType]
    kind, name = FlagType(stored.type), _served_variant(stored)
    try:
        must_fit(kind, variants)
    except Fault as fault:
        raise ValueError(fault.detail) from fault
    if name not in variants:
        raise ValueError(f"there is no variant {name!r}")
    reason = Reason.STATIC if stored.enabled else Reason.DISABLED
    answer = Answer(as_served(kind, variants[name]), name, reason)
    return Compiled(key=stored.key, client_side=stored.client_side, answer=answer)


def _served_variant(stored: Stored) -> str:
    return stored.default_variant if stored.enabled else stored.off_variant


def compile_all(
    place: Place, revision: int, rows: Iterable[Stored], before: Ruleset | None = None
) -> tuple[Ruleset, Mapping[str, str]]:
    """Return the ruleset of a revision, and what is wrong with each flag (by key) that had to be refused."""
    flags: dict[str, Compiled] = {}
    refused: dict[str, str] = {}
    for stored in rows:
        try:
            flags[stored.key] = compiled(stored)
        except ValueError as trouble:
            refused[stored.key] = str(trouble)
            if before and (good := before.flags.get(stored.key)):
                flags[stored.key] = good
    return Ruleset(place=place, revision=revision, flags=flags), refused
