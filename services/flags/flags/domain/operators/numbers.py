"""Numbers: num_eq num_ne num_lt num_le num_gt num_ge between modulo.

A text that spells a number in decimal is taken for it, because some clients send every attribute as text.
"""

import operator as compare
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flags.domain.operators.operator import Operator, Said, Test, named, negated, number_like
from flags.domain.wrong import Wrong

_DECIMAL = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
Number = int | float


def number(value: Any) -> Number | None:  # noqa: ANN401 - JSON is anything
    """Return the number that a value is or spells; None if it is none, or none that can be compared (NaN)."""
    if value.__class__ is int:
        return value
    if value.__class__ is float:
        return value if value - value == 0 else None
    return _spelled(value) if value.__class__ is str and len(value) <= 70 else None


@lru_cache(4096)
def _spelled(text: str) -> Number | None:
    if not _DECIMAL.fullmatch(text):
        return None
    if text.lstrip("-").isdigit():
        return int(text)
    value = float(text)
    return value if value - value == 0 else None


def _operand(said: Said, field: str) -> Number:
    value: Any = said.get(field)
    if not number_like(value):
        raise Wrong(f"/{field}", "must be a number")
    return value


def _comparing(holds: Callable[[Number, Number], bool]) -> Operator:
    def prepare(said: Said) -> Test:
        wanted = _operand(said, "value")

        def test(value: object) -> bool:
            found = number(value)
            return found is not None and holds(found, wanted)

        return test

    return Operator(prepare=prepare, fields=frozenset({"value"}))


def _between(said: Said) -> Test:
    low, high = _operand(said, "min"), _operand(said, "max")
    if low > high:
        raise Wrong("/max", "must not be less than min", "empty_range")
    return lambda value: (found := number(value)) is not None and low <= found <= high


def _modulo(said: Said) -> Test:
    divisor, remainder = (_operand(said, field) for field in ("divisor", "remainder"))
    if divisor.__class__ is not int or divisor < 1:
        raise Wrong("/divisor", "must be a whole number above 0")
    if remainder.__class__ is not int or not 0 <= remainder < divisor:
        raise Wrong("/remainder", "must be a whole number from 0 to below the divisor")
    return lambda value: (found := number(value)) is not None and found % divisor == remainder


NUMBERS = named(
    num_eq=_comparing(compare.eq),
    num_ne=negated(_comparing(compare.eq)),
    num_lt=_comparing(compare.lt),
    num_le=_comparing(compare.le),
    num_gt=_comparing(compare.gt),
    num_ge=_comparing(compare.ge),
    between=Operator(prepare=_between, fields=frozenset({"min", "max"})),
    modulo=Operator(prepare=_modulo, fields=frozenset({"divisor", "remainder"})),
)
