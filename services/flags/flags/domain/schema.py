"""JSON Schema for flags whose variants are JSON: the part of draft 2020-12 that speaks about plain data.

Our own, because a general validator compiles users' patterns with backtracking and fetches what `$ref` names. Here
patterns are RE2, `$ref` reaches `#/$defs/…` only, and a keyword that would be ignored is refused when it is written.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flags.domain.operators.numbers import number
from flags.domain.operators.shapes import TYPES, types_of
from flags.domain.operators.text import pattern_of
from flags.domain.wrong import Wrong, escaped, listed

Schema = dict[str, Any]
DEEPEST = 64
LONGEST_REFERENCE = 1_000
# What a check may take, in some microseconds: references can ask for the same again and again, twice as often with each
# that refers on. A document of 1 MiB that is held against a plain schema takes less.
MOST_STEPS = 2_000_000
A_SCHEMA, A_PATTERN, PATTERN_SPEED = (
    7,
    100,
    80,
)  # steps; and instructions times characters that one step stands for

_SAYS_NOTHING = frozenset(
    {"title", "description", "default", "examples", "$schema", "$comment", "$defs"}
)
_MANY = ("allOf", "anyOf", "oneOf")


def check_schema(schema: object) -> None:
    """Refuse a schema that could not be held against a value as it was meant."""
    _Reader(schema).read(schema, "", 0)


class _TooMuch(Exception):
    """A check takes more steps than it may. No Wrong: what combines schemas takes that for an answer."""


@dataclass(slots=True)
class Effort:
    """How many steps are left for holding values against a schema."""

    left: int = MOST_STEPS

    def take(self, steps: int) -> None:
        """Take so many steps; stop where there are none left."""
        self.left -= steps
        if self.left < 0:
            raise _TooMuch


Check = Callable[[Any, Any, Effort], bool]


def misfit(schema: Schema, value: object, effort: Effort | None = None) -> Wrong | None:
    """Return the first place where a value breaks a schema (that was checked); None if it fits.

    Values that are held against it one after the other share their `effort`.
    """
    try:
        _hold((schema, effort or Effort()), schema, value, "", 0)
    except Wrong as wrong:
        return wrong
    except _TooMuch:
        return Wrong("", "takes too long to hold against the schema: make that simpler", "schema")
    return None


class _Reader:
    def __init__(self, whole: object) -> None:
        self._defs: Any = whole.get("$defs", {}) if isinstance(whole, dict) else {}  # type: ignore[reportUnknownMemberType]

    def read(self, schema: object, at: str, depth: int) -> None:
        if isinstance(schema, bool):
            return
        if not isinstance(schema, dict) or depth > DEEPEST:
            raise Wrong(at, "must be a schema: an object, true or false")
        said: Schema = schema  # type: ignore[reportUnknownVariableType]
        for keyword, operand in said.items():
            self._keyword(keyword, operand, f"{at}/{escaped(keyword)}", depth)

    def _keyword(self, keyword: str, operand: Any, at: str, depth: int) -> None:  # noqa: ANN401
        if keyword in _PLAIN:
            if not _OPERANDS[keyword](operand):
                raise Wrong(at, f"is no operand that {keyword} takes")
        elif keyword in ("properties", "$defs", *_MANY):
            self._each(operand, list if keyword in _MANY else dict, at, depth)
        elif keyword in ("additionalProperties", "items", "not"):
            self.read(operand, at, depth + 1)
        elif keyword == "$ref":
            self._reference(operand, at)
        elif keyword not in _SAYS_NOTHING:
            raise Wrong(at, f"the keyword {keyword[:50]!r} is not known here", "unknown")

    def _reference(self, operand: object, at: str) -> None:
        if len(str(operand)) > LONGEST_REFERENCE or _target(self._defs, operand) is None:
            raise Wrong(at, "must name one of #/$defs/…")

    def _each(self, operand: Any, kind: type, at: str, depth: int) -> None:  # noqa: ANN401
        if not isinstance(operand, kind):
            raise Wrong(at, "must hold schemas")
        named: Any = operand.items() if kind is dict else enumerate(operand)  # type: ignore[reportUnknownMemberType]
        for name, part in named:
            self.read(part, f"{at}/{escaped(name)}", depth + 1)


Whole = tuple[Schema, Effort]  # where references lead, and what is left to follow them


def _hold(whole: Whole, schema: Any, value: Any, at: str, depth: int) -> None:  # noqa: ANN401
    whole[1].take(A_SCHEMA + len(at) // 1000)
    if schema is True:
        return
    if schema is False or depth > DEEPEST * 2:
        raise Wrong(at, "is not allowed by the schema", "schema")
    for keyword, check in _PLAIN.items():
        if keyword in schema and not check(value, schema[keyword], whole[1]):
            said = _briefly(schema[keyword])
            raise Wrong(at, f"breaks {keyword} {said} of the schema", "schema")
    _inside(whole, schema, value, at, depth)
    if "$ref" in schema:
        _hold(whole, _target(whole[0].get("$defs", {}), schema["$ref"]), value, at, depth + 1)
    for keyword in (*_MANY, "not"):
        if keyword in schema:
            _combined(whole, keyword, schema[keyword], value, at, depth)


def _inside(whole: Whole, schema: Schema, value: Any, at: str, depth: int) -> None:  # noqa: ANN401
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        for name, part in value.items():  # type: ignore[reportUnknownVariableType]
            _hold(whole, known.get(name, others), part, f"{at}/{escaped(name)}", depth + 1)  # type: ignore[reportUnknownArgumentType]
    elif isinstance(value, list):
        for index, part in enumerate(value):  # type: ignore[reportUnknownVariableType]
            _hold(whole, schema.get("items", True), part, f"{at}/{index}", depth + 1)


def _combined(
    whole: Whole,
    keyword: str,
    operand: Any,  # noqa: ANN401
    value: Any,  # noqa: ANN401
    at: str,
    depth: int,
) -> None:
    parts = [operand] if keyword == "not" else operand
    fitting = sum(_fits(whole, part, value, at, depth + 1) for part in parts)
    wanted = {
        "allOf": fitting == len(parts),
        "anyOf": fitting > 0,
        "oneOf": fitting == 1,
        "not": not fitting,
    }
    if not wanted[keyword]:
        raise Wrong(at, f"breaks {keyword} of the schema", "schema")


def _fits(whole: Whole, schema: Any, value: Any, at: str, depth: int) -> bool:  # noqa: ANN401
    try:
        _hold(whole, schema, value, at, depth)
    except Wrong:
        return False
    return True


def _target(defs: Any, ref: object) -> Any:  # noqa: ANN401
    name = ref.removeprefix("#/$defs/") if isinstance(ref, str) else ""
    return defs.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(defs, dict) else None  # type: ignore[reportUnknownMemberType]


def _briefly(operand: Any) -> str:  # noqa: ANN401 - JSON is anything
    """Return the beginning of what a keyword says, without writing all of it out."""
    return str(listed(operand)[:20] if listed(operand) else operand)[:80]


def _typed(value: Any, wanted: Any, _: Effort) -> bool:  # noqa: ANN401
    return not set(_names(wanted)).isdisjoint(types_of(value))


def _names(operand: Any) -> list[Any]:  # noqa: ANN401
    return listed(operand) or [operand]


def _numeric(holds: Callable[[Any, Any], bool]) -> Check:
    return lambda value, wanted, _: (
        isinstance(value, bool) or not isinstance(value, int | float) or holds(value, wanted)
    )


def _sized(kind: type, holds: Callable[[int, int], bool]) -> Check:
    return lambda value, wanted, _: not isinstance(value, kind) or holds(len(value), wanted)


def _required(value: Any, wanted: Any, effort: Effort) -> bool:  # noqa: ANN401
    effort.take(len(wanted))
    return not isinstance(value, dict) or set(wanted) <= value.keys()


def _unique(value: Any, wanted: Any, effort: Effort) -> bool:  # noqa: ANN401
    if not wanted or not isinstance(value, list):
        return True
    return len({_identity(one, effort) for one in value}) == len(value)  # type: ignore[reportUnknownVariableType]


def _identity(value: Any, effort: Effort) -> object:  # noqa: ANN401
    """Return what two values have in common exactly where they are the same: 1 and 1.0 are, 1 and true are not."""
    effort.take(1)
    if isinstance(value, list):
        return tuple(_identity(one, effort) for one in value)  # type: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return frozenset((name, _identity(one, effort)) for name, one in value.items())  # type: ignore[reportUnknownVariableType]
    return (isinstance(value, bool), value)


def _equal(value: Any, wanted: Any, effort: Effort) -> bool:  # noqa: ANN401
    return _identity(value, effort) == _identity(wanted, effort)


def _one_of(value: Any, wanted: Any, effort: Effort) -> bool:  # noqa: ANN401
    known = _identity(value, effort)
    return any(_identity(one, effort) == known for one in wanted)


def _matching(value: Any, wanted: Any, effort: Effort) -> bool:  # noqa: ANN401
    if not isinstance(value, str):
        return True
    pattern = pattern_of(wanted)
    effort.take(A_PATTERN + (len(value) + 10) * pattern.programsize // PATTERN_SPEED)
    return pattern.search(value) is not None


_PLAIN: Mapping[str, Check] = {
    "type": _typed,
    "enum": _one_of,
    "const": _equal,
    "required": _required,
    "minimum": _numeric(lambda value, wanted: value >= wanted),
    "maximum": _numeric(lambda value, wanted: value <= wanted),
    "exclusiveMinimum": _numeric(lambda value, wanted: value > wanted),
    "exclusiveMaximum": _numeric(lambda value, wanted: value < wanted),
    "multipleOf": _numeric(lambda value, wanted: value % wanted == 0),
    "minLength": _sized(str, lambda size, wanted: size >= wanted),
    "maxLength": _sized(str, lambda size, wanted: size <= wanted),
    "minItems": _sized(list, lambda size, wanted: size >= wanted),
    "maxItems": _sized(list, lambda size, wanted: size <= wanted),
    "minProperties": _sized(dict, lambda size, wanted: size >= wanted),
    "maxProperties": _sized(dict, lambda size, wanted: size <= wanted),
    "uniqueItems": _unique,
    "pattern": _matching,
}


def _is_type(operand: Any) -> bool:  # noqa: ANN401
    names = _names(operand)
    known = all(isinstance(n, str) and n in TYPES for n in names)
    return known and 0 < len(names) <= len(TYPES)


def _is_text(operand: Any) -> bool:  # noqa: ANN401
    return isinstance(operand, str)


def _is_count(operand: Any) -> bool:  # noqa: ANN401
    return operand.__class__ is int and operand >= 0


def _is_number(operand: Any) -> bool:  # noqa: ANN401
    return not isinstance(operand, str) and number(operand) is not None


def _is_pattern(operand: Any) -> bool:  # noqa: ANN401
    try:
        return isinstance(operand, str) and len(operand) <= 1000 and pattern_of(operand) is not None
    except ValueError:
        return False


_OPERANDS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _is_number),
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
        _is_count,
    ),
    "type": _is_type,
    "enum": lambda operand: isinstance(operand, list),
    "const": lambda _: True,
    "required": lambda operand: isinstance(operand, list) and all(map(_is_text, operand)),  # type: ignore[reportUnknownArgumentType]
    "multipleOf": lambda operand: _is_number(operand) and operand > 0,
    "uniqueItems": lambda operand: isinstance(operand, bool),
    "pattern": _is_pattern,
}
