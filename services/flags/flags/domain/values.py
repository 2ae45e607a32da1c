"""The values a flag can serve: five types, and what is of which."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from math import isfinite
from typing import Any

Value = Any  # a JSON value; `fits` says of which type
Variants = Mapping[str, Value]

# Beyond this, a client that reads numbers as doubles (every browser) gets another number than was meant.
LARGEST = 2**53 - 1


class FlagType(StrEnum):
    """What a flag's variants are."""

    BOOLEAN = "boolean"
    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    JSON = "json"


# What to send for a type, in words.
MEANT = {
    FlagType.BOOLEAN: "true or false",
    FlagType.STRING: "a string",
    FlagType.INTEGER: f"a whole number from -{LARGEST} to {LARGEST}",
    FlagType.FLOAT: f"a number, and if a whole one from -{LARGEST} to {LARGEST}",
    FlagType.JSON: f"an object or an array, with whole numbers from -{LARGEST} to {LARGEST}",
}


def fits(kind: FlagType, value: object) -> bool:
    """Tell whether a value is of a type. A boolean is no number; a whole number is a float too."""
    return _FITS[kind](value)


def as_served(kind: FlagType, value: Value) -> Value:
    """Return the value as clients get it: a float stays one (1.0) even if it was written as 1."""
    return float(value) if kind is FlagType.FLOAT else value


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST


def _is_float(value: object) -> bool:
    return isfinite(value) if isinstance(value, float) else _is_integer(value)


def _is_text(value: object) -> bool:
    """Tell whether a value is a string that has a form in UTF-8: half of a surrogate pair has none."""
    return isinstance(value, str) and value.encode(errors="ignore").decode() == value


def _is_json(value: object) -> bool:
    """Tell whether every part of a value can be sent: no NaN, no number that clients would read as another."""
    match value:
        case dict():
            return all(_is_text(name) and _is_json(item) for name, item in value.items())  # type: ignore[reportUnknownVariableType]
        case list():
            return all(_is_json(item) for item in value)  # type: ignore[reportUnknownVariableType]
        case None | bool():
            return True
        case _:
            return _is_text(value) or _is_float(value)


_FITS: Mapping[FlagType, Callable[[object], bool]] = {
    FlagType.BOOLEAN: lambda value: isinstance(value, bool),
    FlagType.STRING: _is_text,
    FlagType.INTEGER: _is_integer,
    FlagType.FLOAT: _is_float,
    FlagType.JSON: lambda value: isinstance(value, dict | list) and _is_json(value),  # type: ignore[reportUnknownArgumentType]
}
