"""JSON Schema for flags whose variants are JSON: the part of draft 2020-12 that speaks about plain data.

Our own, because a general validator compiles users' patterns with backtracking and fetches what `$ref` names. Here
patterns are RE2, `$ref` reaches `#/$defs/…` only, and a keyword that would be ignored is refused when it is written.
"""

from collections.abc import Callable, Mapping
from typing import Any

from flags.domain.operators.numbers import number
from flags.domain.operators.shapes import TYPES, types_of
from flags.domain.operators.text import pattern_of, same
from flags.domain.wrong import Wrong, escaped, listed

Schema = dict[str, Any]
Check = Callable[[Any, Any], bool]
DEEPEST = 64

_SAYS_NOTHING = frozenset(
    {"title", "description", "default", "examples", "$schema", "$comment", "$defs"}
)
_MANY = ("allOf", "anyOf", "oneOf")


def check_schema(schema: object) -> None:
    """Refuse a schema that could not be held against a value as it was meant."""
    _Reader(schema).read(schema, "", 0)


def misfit(schema: Schema, value: object) -> Wrong | None:
    """Return the first place where a value breaks a schema (that was checked); None if it fits."""
    try:
        _hold(schema, schema, value, "", 0)
    except Wrong as wrong:
        return wrong
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
        if _target(self._defs, operand) is None:
            raise Wrong(at, "must name one of #/$defs/…")

    def _each(self, operand: Any, kind: type, at: str, depth: int) -> None:  # noqa: ANN401
        if not isinstance(operand, kind):
            raise Wrong(at, "must hold schemas")
        named: Any = operand.items() if kind is dict else enumerate(operand)  # type: ignore[reportUnknownMemberType]
        for name, part in named:
            self.read(part, f"{at}/{escaped(name)}", depth + 1)


def _hold(whole: Schema, schema: Any, value: Any, at: str, depth: int) -> None:  # noqa: ANN401
    if schema is True:
        return
    if schema is False or depth > DEEPEST * 2:
        raise Wrong(at, "is not allowed by the schema", "schema")
    for keyword, check in _PLAIN.items():
        if keyword in schema and not check(value, schema[keyword]):
            raise Wrong(at, f"breaks {keyword} {str(schema[keyword])[:80]} of the schema", "schema")
    _inside(whole, schema, value, at, depth)
    if "$ref" in schema:
        _hold(whole, _target(whole.get("$defs", {}), schema["$ref"]), value, at, depth + 1)
    for keyword in (*_MANY, "not"):
        if keyword in schema:
            _combined(whole, keyword, schema[keyword], value, at, depth)


def _inside(whole: Schema, schema: Schema, value: Any, at: str, depth: int) -> None:  # noqa: ANN401
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        for name, part in value.items():  # type: ignore[reportUnknownVariableType]
            _hold(whole, known.get(name, others), part, f"{at}/{escaped(name)}", depth + 1)  # type: ignore[reportUnknownArgumentType]
    elif isinstance(value, list):
        for index, part in enumerate(value):  # type: ignore[reportUnknownVariableType]
            _hold(whole, schema.get("items", True), part, f"{at}/{index}", depth + 1)


def _combined(
    whole: Schema,
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


def _fits(whole: Schema, schema: Any, value: Any, at: str, depth: int) -> bool:  # noqa: ANN401
    try:
        _hold(whole, schema, value, at, depth)
    except Wrong:
        return False
    return True


def _target(defs: Any, ref: object) -> Any:  # noqa: ANN401
    name = ref.removeprefix("#/$defs/") if isinstance(ref, str) else ""
    return defs.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(defs, dict) else None  # type: ignore[reportUnknownMemberType]


def _typed(value: Any, wanted: Any) -> bool:  # noqa: ANN401
    return not set(_names(wanted)).isdisjoint(types_of(value))


def _names(operand: Any) -> list[Any]:  # noqa: ANN401
    return listed(operand) or [operand]


def _numeric(holds: Callable[[Any, Any], bool]) -> Check:
    return lambda value, wanted: (
        isinstance(value, bool) or not isinstance(value, int | float) or holds(value, wanted)
    )


def _sized(kind: type, holds: Callable[[int, int], bool]) -> Check:
    return lambda value, wanted: not isinstance(value, kind) or holds(len(value), wanted)


def _unique(value: Any, wanted: Any) -> bool:  # noqa: ANN401
    if not wanted or not isinstance(value, list):
        return True
    return not any(same(a, b) for n, a in enumerate(value) for b in value[:n])  # type: ignore[reportUnknownVariableType]


_PLAIN: Mapping[str, Check] = {
    "type": _typed,
    "enum": lambda value, wanted: any(same(value, one) for one in wanted),
    "const": same,
    "required": lambda value, wanted: not isinstance(value, dict) or set(wanted) <= value.keys(),
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
    "pattern": lambda value, wanted: (
        not isinstance(value, str) or pattern_of(wanted).search(value) is not None
    ),
}


def _is_type(operand: Any) -> bool:  # noqa: ANN401
    names = _names(operand)
    return bool(names) and all(isinstance(n, str) and n in TYPES for n in names)


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
