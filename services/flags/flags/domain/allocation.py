"""Allocations: what an active experiment has a flag serve to its units.

They come after a flag's prerequisites and individual targets and before its rules, in the order of experiments' ids.
Who is not in an experiment - before its start, after its end, by its targeting, its traffic, its layer, a holdout, or
for want of a unit - is served what the flag would serve without it. Units are drawn with the bucketing of the flag:
each gate has a salt of its own, so that they are independent of each other and of the shares.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from typing import Any
from uuid import UUID

from flags.domain.answers import Answer, Answers
from flags.domain.bucketing import BUCKETS, WHOLE, bounds, share_of
from flags.domain.compile import Asked, Compiler, Holds, Notes
from flags.domain.context import Attribute, Context, Read, reader, unit
from flags.domain.reading import condition_of
from flags.domain.rules import Condition
from flags.domain.wrong import Wrong, items, text, thing

MOST_ARMS = 20
MOST_HOLDOUTS = 100
Trace = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Arm:
    """One variant of an experiment: its share of 100,000, and the flag's variant that it serves."""

    key: str
    weight: int
    serves: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """Who may pass: units whose bucket under `salt` lies in [start, end)."""

    salt: str
    start: int
    end: int
    name: str

    def open_to(self, bucket: Callable[[str, str], int], name: str) -> bool:
        """Tell whether a unit passes."""
        return self.start <= bucket(self.salt, name) < self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """What one experiment wants of one flag, from `starts` to `ends` (seconds since 1970)."""

    experiment_id: UUID
    experiment: str
    phase: int
    unit: Attribute
    salt: str
    arms: tuple[Arm, ...]
    gates: tuple[Gate, ...] = ()
    when: Condition | None = None
    starts: float = -inf
    ends: float = inf

    @property
    def timed(self) -> bool:
        """Tell whether it begins or ends by itself."""
        return self.starts > -inf or self.ends < inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What was last said of an experiment: at which version of it, and what it wants of which flag (None: nothing)."""

    experiment_id: UUID
    tenant: UUID
    version: int
    flag_id: UUID | None = None
    environment_id: UUID | None = None
    document: Mapping[str, Any] | None = None
    at: datetime


def allocation_of(said: object) -> Allocation:
    """Return the allocation that a document says; Wrong if it cannot be read."""
    found = thing(said)
    arms = tuple(_arm(one) for one in items(found, "arms", MOST_ARMS, 2))
    if (total := sum(arm.weight for arm in arms)) != WHOLE:
        raise Wrong("/arms", f"the weights must add up to {WHOLE}, not {total}", "weights")
    return Allocation(
        experiment_id=UUID(text(found, "experiment_id")),
        experiment=text(found, "experiment"),
        phase=_whole(found, "phase", 2**31),
        unit=Attribute(text(found, "unit", 256)),
        salt=text(found, "salt"),
        arms=arms,
        gates=_gates(found),
        when=_when(found),
        starts=_instant(found, "starts_at", -inf),
        ends=_instant(found, "ends_at", inf),
    )


def served_by(arms: Sequence[Arm], variants: Mapping[str, object]) -> tuple[Arm, ...]:
    """Return arms that say which variant they serve: one that does not is its namesake, or off and on of a boolean."""
    return tuple(_serving(place, arm, variants) for place, arm in enumerate(arms))


def _serving(place: int, arm: Arm, variants: Mapping[str, object]) -> Arm:
    if (arm.serves or arm.key) in variants:
        return replace(arm, serves=arm.serves or arm.key)
    value = place > 0
    found = [name for name, served in variants.items() if served is value]
    if arm.serves or len(found) != 1:
        there = ", ".join(list(variants)[:10])
        text = f"{arm.serves or arm.key!r} is no variant of the flag, which has {there}"
        raise Wrong(f"/arms/{place}", text, "unknown_variant")
    return replace(arm, serves=found[0])


@dataclass(frozen=True, slots=True)
class Assigner:
    """An allocation in the form that answers."""

    allocation: Allocation
    read: Read
    bucket: Callable[[str, str], int]
    holds: Holds | None
    ends: Sequence[int]
    answers: tuple[Answer, ...]

    def answer(self, context: Context, asked: Asked) -> Answer | None:
        """Return the answer of the arm that a context is in; None if it is in none."""
        it = self.allocation
        if not it.starts <= asked.now < it.ends:
            return None
        if self.holds is not None and not self.holds(context, asked):
            return None
        name = unit(self.read(context))
        if name is None or not all(gate.open_to(self.bucket, name) for gate in it.gates):
            return None
        return self.answers[share_of(self.bucket(it.salt, name), self.ends)]

    def told(self, context: Context, asked: Asked) -> Trace:
        """Return why a context is in an arm, or in none."""
        it, name = self.allocation, unit(self.read(context))
        found = self.answer(context, asked)
        return {
            "step": "experiment",
            "experiment": it.experiment,
            "phase": it.phase,
            "running": it.starts <= asked.now < it.ends,
            "targeted": self.holds is None or self.holds(context, asked),
            "attribute": it.unit.name,
            "unit": name,
            "gates": [
                {"name": gate.name, "holds": gate.open_to(self.bucket, name)}
                for gate in it.gates
                if name is not None
            ],
            "bucket": None if name is None else self.bucket(it.salt, name),
            "holds": found is not None,
            "variant": found.variant if found else None,
        }


def assigner(
    document: object, bucketing: int, answers: Answers, compiler: Compiler, notes: Notes
) -> Assigner:
    """Return a stored allocation in the form that answers. Wrong if it cannot be served."""
    it = allocation_of(document)
    notes.timed |= it.timed
    return Assigner(
        allocation=it,
        read=reader(it.unit),
        bucket=BUCKETS[bucketing],
        holds=None if it.when is None else compiler.condition(it.when, notes),
        ends=bounds([arm.weight for arm in it.arms]),
        answers=tuple(_answer(it, arm, answers) for arm in it.arms),
    )


def _answer(it: Allocation, arm: Arm, answers: Answers) -> Answer:
    try:
        return answers.arm(arm.key, arm.serves, it.experiment, it.phase)
    except KeyError:
        raise Wrong("/arms", f"there is no variant {arm.serves!r}", "unknown_variant") from None


def _when(found: Mapping[str, Any]) -> Condition | None:
    if found.get("when") is None:
        return None
    try:
        return condition_of(found["when"])
    except Wrong as wrong:
        raise wrong.below("/when") from None


def _arm(said: object) -> Arm:
    found = thing(said)
    serves = text(found, "serves") if found.get("serves") else ""
    return Arm(text(found, "key"), _whole(found, "weight", WHOLE), serves)


def _gates(found: Mapping[str, Any]) -> tuple[Gate, ...]:
    return tuple(
        Gate(
            text(said, "salt"),
            _whole(said, "start", WHOLE),
            _whole(said, "end", WHOLE),
            text(said, "name"),
        )
        for said in map(thing, items(dict(found), "gates", MOST_HOLDOUTS + 2, 0))
    )


def _whole(found: Mapping[str, Any], field: str, most: int) -> int:
    value = found.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise Wrong(f"/{field}", f"must be a whole number from 0 to {most}")
    return value


def _instant(found: Mapping[str, Any], field: str, otherwise: float) -> float:
    value = found.get(field)
    if value is None:
        return otherwise
    try:
        return datetime.fromisoformat(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        raise Wrong(f"/{field}", "must be a time with an offset") from None
