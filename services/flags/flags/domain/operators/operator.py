"""What an operator is: the fields that it reads, and how it becomes a test."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flags.domain.wrong import Wrong

Said = dict[str, Any]
Test = Callable[[Any], bool]
Timed = Callable[[Any, float], bool]

MOST_VALUES = 10_000
LONGEST_VALUE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One comparison. `prepare` checks the operand and returns the test; what cannot be tested raises Wrong.

    `timed` ones look at the time as well. Where the attribute is absent, the test is given None.
    """

    prepare: Callable[[Said], Test]
    fields: frozenset[str] = field(default_factory=frozenset[str])
    timed: Callable[[Said], Timed] | None = None


def number_like(value: object) -> bool:
    """Tell whether a value is a number that can be compared."""
    return value.__class__ is int or (value.__class__ is float and value - value == 0)  # type: ignore[operator]


def values(said: Said, most: int = MOST_VALUES) -> list[Any]:
    """Return the operand's values, of which any one will do."""
    found: Any = said.get("values")
    if not isinstance(found, list):
        raise Wrong("/values", "must be a list")
    if not 1 <= len(found) <= most:  # type: ignore[reportUnknownArgumentType]
        raise Wrong("/values", f"must have 1 to {most} items", "length")
    return found  # type: ignore[reportUnknownVariableType]


def texts(said: Said, most: int = MOST_VALUES) -> list[str]:
    """Return the operand's values, which have to be strings."""
    found = values(said, most)
    for index, value in enumerate(found):
        if not isinstance(value, str) or len(value) > LONGEST_VALUE:
            raise Wrong(
                f"/values/{index}", f"must be a string of at most {LONGEST_VALUE} characters"
            )
    return found


def flag(said: Said, name: str) -> bool:
    """Return an option that is on or off; off if absent."""
    found = said.get(name, False)
    if not isinstance(found, bool):
        raise Wrong(f"/{name}", "must be true or false")
    return found


def negated(operator: Operator) -> Operator:
    """Return the exact opposite: true wherever the other is false, also of what is absent."""

    def prepare(said: Said) -> Test:
        test = operator.prepare(said)
        return lambda value: not test(value)

    return Operator(prepare=prepare, fields=operator.fields)


def named(**operators: Operator) -> Mapping[str, Operator]:
    """Return operators by their names."""
    return operators
