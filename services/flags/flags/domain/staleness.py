"""Staleness: which flags look as if their code could go, and why.

A flag looks stale when somebody says so (`marked`), or when nobody has changed it for long (`age`) and it no longer
decides anything: it serves the same to everybody by its own rules (`one_sided`), it served only one variant lately
although its rules know more (`one_variant`), or nobody asks for it (`unused`). Use is spoken of only where it has been
counted for long enough. A flag with the tag `permanent` is meant to stay.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from flags.domain.flag import Flag, Lifecycle, Switch
from flags.domain.usage import Used

Why = Literal["marked", "age", "one_sided", "one_variant", "unused"]
PERMANENT = "permanent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked: at which environment is looked, how long unchanged is long, how long unused; and now."""

    environment: str
    unchanged: timedelta
    unused: timedelta
    now: datetime


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason why a flag looks stale, in a word and in a sentence."""

    why: Why
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """A flag that looks stale, why, and when it was last asked for (an hour's beginning; None: never, as is known)."""

    flag: Flag
    reasons: Sequence[Reason]
    last: datetime | None


def stale(flag: Flag, used: Used | None, begun: datetime | None, asked: Asked) -> Stale | None:
    """Return why a flag looks stale; None if it does not. `begun`: since when use is counted in the environment."""
    reasons = [*_marked(flag)]
    if PERMANENT not in flag.tags and flag.updated_at <= asked.now - asked.unchanged:
        idle = [*_idle(flag, used, begun, asked)]
        days = (asked.now - flag.updated_at).days
        reasons += [Reason("age", f"nobody has changed it for {days} days"), *idle] if idle else []
    return Stale(flag=flag, reasons=reasons, last=used.last if used else None) if reasons else None


def _marked(flag: Flag) -> Iterator[Reason]:
    if flag.lifecycle is Lifecycle.STALE:
        yield Reason("marked", "its lifecycle was set to stale")


def _idle(flag: Flag, used: Used | None, begun: datetime | None, asked: Asked) -> Iterator[Reason]:
    switch = flag.switch(asked.environment)
    only = served_to_all(switch)
    if only is not None:
        yield Reason("one_sided", f"in {asked.environment} everybody gets {only!r}")
    elif used and len(used.variants) == 1 and "" not in used.variants:
        seen = next(iter(used.variants))
        said = f"every evaluation of the last {asked.unused.days} days gave {seen!r}"
        yield Reason("one_variant", said)
    since = asked.now - asked.unused
    if begun is not None and begun <= since and (used is None or not used.variants):
        said = f"nobody asked for it in {asked.environment} in the last {asked.unused.days} days"
        yield Reason("unused", said)


def served_to_all(switch: Switch) -> str | None:
    """Return the variant that a switch serves to everybody, whatever is asked; None if it depends."""
    if not switch.enabled:
        return switch.off_variant
    served = {switch.default_variant}
    if switch.prerequisites:
        served.add(switch.off_variant)
    served |= {str(target.get("variant")) for target in switch.targets}
    for rule in switch.rules:
        served |= _served_by(rule)
    return switch.default_variant if len(served) == 1 else None


def _served_by(rule: object) -> set[str]:
    """Return the variants that a rule's document can serve; a share of nothing is none."""
    match rule:
        case {"split": {"weights": [*weights]}}:  # type: ignore[reportUnknownVariableType]
            return {_name(share) for share in weights if _weight(share)}  # type: ignore[reportUnknownArgumentType]
        case {"variant": str(name)}:
            return {name}
        case _:
            return {""}  # what cannot be read may serve anything


def _name(share: object) -> str:
    return str(share.get("variant")) if isinstance(share, dict) else ""  # type: ignore[reportUnknownMemberType]


def _weight(share: object) -> bool:
    return not isinstance(share, dict) or share.get("weight") != 0  # type: ignore[reportUnknownMemberType]
