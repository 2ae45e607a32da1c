"""Sameness and texts: eq ne in not_in contains starts ends matches."""

from collections.abc import Callable
from typing import Any

import re2

from flags.domain.operators.operator import (
    Operator,
    Said,
    Test,
    flag,
    negated,
    number_like,
    texts,
    values,
)
from flags.domain.wrong import Wrong

MOST_PATTERNS = 100
MOST_MEMORY = 1 << 20  # of one compiled pattern, in bytes
# RE2 takes up to 12 ns for each instruction and character. So a clause takes half a second at the very most (ADR 102).
MOST_INSTRUCTIONS = 10_000
LONGEST_MATCHED = 4_096
_LISTED = frozenset({"values", "ignore_case"})
_REFUSED: type[Exception] = re2.error  # type: ignore[reportUnknownMemberType]


def same(left: Any, right: Any) -> bool:  # noqa: ANN401 - JSON is anything
    """Tell whether two JSON values are the same: 1 and 1.0 are, 1 and true are not."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)  # type: ignore[reportUnknownVariableType]
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))  # type: ignore[reportUnknownArgumentType]
    return left == right


def scalars(said: Said) -> list[Any]:
    """Return the operand's values, which have to be strings, numbers, booleans or null."""
    found = values(said)
    for index, value in enumerate(found):
        if not (value is None or isinstance(value, bool | str) or number_like(value)):
            raise Wrong(f"/values/{index}", "must be a string, a number, true, false or null")
    return found


def member(wanted: list[Any], *, fold: bool = False) -> Test:
    """Return the test whether a value is among `wanted`, with types told apart."""
    strings = frozenset(v.casefold() if fold else v for v in wanted if isinstance(v, str))
    others = [v for v in wanted if not isinstance(v, str)]
    if not others and not fold:
        return lambda value: value.__class__ is str and value in strings
    numbers = frozenset(v for v in others if number_like(v))
    words = [v for v in others if v is None or isinstance(v, bool)]

    def test(value: Any) -> bool:  # noqa: ANN401
        if value.__class__ is str:
            return (value.casefold() if fold else value) in strings
        if value.__class__ is int or value.__class__ is float:
            return value in numbers
        return any(value is word for word in words)

    return test


def _equal(said: Said) -> Test:
    if "value" not in said:
        raise Wrong("/value", "is needed", "missing")
    wanted, fold = said["value"], flag(said, "ignore_case")
    if isinstance(wanted, str) and fold:
        return member([wanted], fold=True)
    if isinstance(wanted, str):
        return lambda value: value.__class__ is str and value == wanted
    return lambda value: same(value, wanted)


def _among(said: Said) -> Test:
    return member(scalars(said), fold=flag(said, "ignore_case"))


def _part(holds: Callable[[str, tuple[str, ...]], bool]) -> Operator:
    """Return the operator that holds where a text has any of the operand's texts in some place."""

    def prepare(said: Said) -> Test:
        wanted = tuple(texts(said))
        if not flag(said, "ignore_case"):
            return lambda value: value.__class__ is str and holds(value, wanted)
        folded = tuple(part.casefold() for part in wanted)
        return lambda value: value.__class__ is str and holds(value.casefold(), folded)

    return Operator(prepare=prepare, fields=_LISTED)


def _has(value: str, wanted: tuple[str, ...]) -> bool:
    return any(part in value for part in wanted)


def _matches(said: Said) -> Test:
    fold = flag(said, "ignore_case")
    patterns = [
        _pattern(index, pattern, fold=fold)
        for index, pattern in enumerate(texts(said, MOST_PATTERNS))
    ]
    if (size := sum(pattern.programsize for pattern in patterns)) > MOST_INSTRUCTIONS:
        text = f"take {size} instructions of RE2, {MOST_INSTRUCTIONS} at most: repeat less, or split the clause"
        raise Wrong("/values", text, "regex")

    def test(value: Any) -> bool:  # noqa: ANN401
        if value.__class__ is not str or len(value) > LONGEST_MATCHED:
            return False
        try:
            return any(pattern.search(value) for pattern in patterns)
        except UnicodeEncodeError:
            return False

    return test


def _pattern(index: int, pattern: str, *, fold: bool) -> Any:  # noqa: ANN401 - re2 has no types
    try:
        return pattern_of(pattern, fold=fold)
    except ValueError as refused:
        raise Wrong(
            f"/values/{index}", f"is no regular expression of RE2: {refused}", "regex"
        ) from None


def pattern_of(pattern: str, *, fold: bool = False) -> Any:  # noqa: ANN401
    """Return a compiled pattern, which matches in linear time; ValueError if RE2 does not take it."""
    options: Any = re2.Options()
    options.log_errors = False
    options.case_sensitive = not fold
    options.max_mem = MOST_MEMORY
    try:
        return re2.compile(pattern, options)  # type: ignore[reportUnknownMemberType]
    except (_REFUSED, UnicodeEncodeError) as refused:
        raise ValueError(_why(refused)) from None


def _why(refused: Exception) -> str:
    said: Any = refused.args[0] if refused.args else refused
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


_EQUAL = Operator(prepare=_equal, fields=frozenset({"value", "ignore_case"}))
_AMONG = Operator(prepare=_among, fields=_LISTED)

TEXT = {
    "eq": _EQUAL,
    "ne": negated(_EQUAL),
    "in": _AMONG,
    "not_in": negated(_AMONG),
    "contains": _part(_has),
    "starts": _part(str.startswith),
    "ends": _part(str.endswith),
    "matches": Operator(prepare=_matches, fields=_LISTED),
}
