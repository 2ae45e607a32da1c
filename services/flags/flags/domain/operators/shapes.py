"""Presence, types and lists: present absent empty type_of array_any array_all array_none size.

`elem_match` has a condition inside and is compiled with the conditions.
"""

from typing import Any

from flags.domain.operators.operator import Operator, Said, Test, named, number_like, texts
from flags.domain.operators.text import member, scalars
from flags.domain.wrong import Wrong

TYPES = ("string", "number", "integer", "boolean", "object", "array", "null")


def types_of(value: object) -> tuple[str, ...]:
    """Return the names of a value's types; a whole number has two."""
    if isinstance(value, bool):
        return ("boolean",)
    if isinstance(value, int):
        return ("number", "integer")
    if isinstance(value, float):
        return ("number", "integer") if value.is_integer() else ("number",)
    return (_PLAIN.get(type(value), "null"),)


_PLAIN: dict[type, str] = {str: "string", dict: "object", list: "array"}


def _present(_: Said) -> Test:
    return lambda value: value is not None


def _absent(_: Said) -> Test:
    return lambda value: value is None


def _empty(_: Said) -> Test:
    return lambda value: value is None or value in ("", [], {})


def _typed(said: Said) -> Test:
    wanted = frozenset(texts(said, len(TYPES)))
    if strange := wanted - set(TYPES):
        raise Wrong("/values", f"{min(strange)!r} is no type; types are {', '.join(TYPES)}")
    return lambda value: not wanted.isdisjoint(types_of(value))


def _any(said: Said) -> Test:
    is_wanted = member(scalars(said))
    return lambda value: value.__class__ is list and any(map(is_wanted, value))


def _none(said: Said) -> Test:
    is_wanted = member(scalars(said))
    return lambda value: value.__class__ is list and not any(map(is_wanted, value))


def _all(said: Said) -> Test:
    tests = [member([wanted]) for wanted in scalars(said)]
    if len(tests) > 100:
        raise Wrong("/values", "must have 1 to 100 items", "length")
    return lambda value: value.__class__ is list and all(any(map(t, value)) for t in tests)


def _sized(said: Said) -> Test:
    low, high = _count(said, "min", 0), _count(said, "max", 10**9)
    if "min" not in said and "max" not in said:
        raise Wrong("/min", "min, max or both are needed", "missing")
    if low > high:
        raise Wrong("/max", "must not be less than min", "empty_range")
    kinds = (str, list, dict)
    return lambda value: value.__class__ in kinds and low <= len(value) <= high


def _count(said: Said, field: str, usual: int) -> int:
    value: Any = said.get(field, usual)
    if not number_like(value) or value.__class__ is not int or value < 0:
        raise Wrong(f"/{field}", "must be a whole number, 0 or more")
    return value


_LISTED = frozenset({"values"})

SHAPES = named(
    present=Operator(prepare=_present),
    absent=Operator(prepare=_absent),
    empty=Operator(prepare=_empty),
    type_of=Operator(prepare=_typed, fields=_LISTED),
    array_any=Operator(prepare=_any, fields=_LISTED),
    array_all=Operator(prepare=_all, fields=_LISTED),
    array_none=Operator(prepare=_none, fields=_LISTED),
    size=Operator(prepare=_sized, fields=frozenset({"min", "max"})),
)
