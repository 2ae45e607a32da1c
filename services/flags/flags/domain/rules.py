"""Rules as values: what decides who gets which variant of a flag in one environment.

    Targeting   prerequisites, then individual targets, then rules in order; who is left gets the flag's default
    Rule        a condition, and what it serves: a variant or a split
    Condition   All, Some or Not over conditions, down to clauses: an operator over an attribute, a segment, a flag

Each has the form of a JSON document, in which it is sent, stored and shown; `reading` turns the one into the other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flags.domain.context import UNIT, USER, Attribute

MOST_RULES = 10_000
MOST_TARGETS = 10_000
MOST_PREREQUISITES = 100
MOST_PARTS = 1_000
DEEPEST = 20


@dataclass(frozen=True, slots=True)
class All:
    """Holds if every part holds."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """Holds if at least one part holds."""

    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """Holds if its part does not."""

    part: "Condition"


@dataclass(frozen=True, slots=True)
class Clause:
    """Holds if an operator holds for an attribute; `operand` are the operator's own fields."""

    op: str
    attribute: Attribute
    operand: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Elements:
    """Holds if the attribute is a list with an element for which `where` holds; the element is its context."""

    attribute: Attribute
    where: "Condition"


@dataclass(frozen=True, slots=True)
class InSegment:
    """Holds if who asks is in one of the segments; `negated`: in none of them."""

    segments: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Evaluates:
    """Holds if another flag serves one of these variants to who asks."""

    flag: str
    variants: tuple[str, ...]


Condition = All | Some | Not | Clause | Elements | InSegment | Evaluates


def inside(condition: Condition) -> Iterator[Condition]:
    """Yield a condition and all conditions in it."""
    yield condition
    for part in parts_of(condition):
        yield from inside(part)


def parts_of(condition: Condition) -> tuple[Condition, ...]:
    """Return the conditions that a condition is directly made of."""
    match condition:
        case All(parts) | Some(parts):
            return parts
        case Not(part) | Elements(_, part):
            return (part,)
        case _:
            return ()


BY_UNIT = Attribute(UNIT, USER)


@dataclass(frozen=True, slots=True)
class Split:
    """Serves variants by shares of 0.001 %, which add up to 100 000.

    The first attribute of `by` that is there names the unit, which then always gets the same variant. `salt` is the
    flag's own if empty: splits with one salt put a unit into the same place.
    """

    weights: tuple[tuple[str, int], ...]
    by: tuple[Attribute, ...] = (BY_UNIT,)
    salt: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """Serves a variant or a split to everybody for whom `when` holds; without it, to everybody."""

    serve: str | Split
    when: Condition | None = None
    id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """Serves a variant to those whose attribute is one of the values."""

    variant: str
    values: tuple[str, ...]
    attribute: Attribute = BY_UNIT


def in_order(targets: Sequence[Target]) -> list[tuple[int, Target]]:
    """Return targets in the order in which they decide, each with its place in the document: attribute by attribute.

    Attributes come in the order in which they are first named; of two targets with one attribute the first decides.
    """
    order: dict[Attribute, int] = {}
    for target in targets:
        order.setdefault(target.attribute, len(order))
    return sorted(enumerate(targets), key=lambda placed: order[placed[1].attribute])


@dataclass(frozen=True, slots=True)
class Targeting:
    """Everything that decides before the default does. A prerequisite that is not met serves the off variant."""

    prerequisites: tuple[Evaluates, ...] = ()
    targets: tuple[Target, ...] = ()
    rules: tuple[Rule, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there is anything that could decide."""
        return bool(self.prerequisites or self.targets or self.rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Who is in a segment: those listed, and those for whom a condition holds; never who is excluded."""

    attribute: Attribute = BY_UNIT
    included: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()
    when: Condition | None = None


EVERYBODY_ALIKE = Targeting()
