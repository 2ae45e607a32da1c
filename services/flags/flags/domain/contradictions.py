"""Clauses that cannot hold together, and rules that nobody can reach: found where that is cheap and certain."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flags.domain.context import Attribute
from flags.domain.operators.numbers import number
from flags.domain.rules import All, Clause, Condition, Not, Rule, inside

_TEXTS = frozenset({"contains", "starts", "ends", "matches", "in_cidr", "semver_range"})
_LISTS = frozenset({"array_any", "array_all", "array_none"})
_EXACT = frozenset({"eq", "in"})


def contradictions(condition: Condition) -> Iterator[str]:
    """Yield a sentence for each conjunction in a condition whose clauses cannot all hold."""
    for part in inside(condition):
        if isinstance(part, All):
            yield from _conjunction(part)


def _conjunction(junction: All) -> Iterator[str]:
    for part in junction.parts:
        if Not(part) in junction.parts:
            yield "a condition and its opposite are both demanded"
            return
    about: dict[Attribute, list[Clause]] = {}
    for part in junction.parts:
        if isinstance(part, Clause):
            about.setdefault(part.attribute, []).append(part)
    for attribute, clauses in about.items():
        if why := _clash(clauses):
            yield f"no {attribute.name!r} can fulfil all of these clauses: {why}"


def _clash(clauses: list[Clause]) -> str:
    for check in (_presence, _sorts, _values, _range):
        if why := check(clauses):
            return why
    return ""


def _presence(clauses: list[Clause]) -> str:
    ops = {clause.op for clause in clauses}
    positive = ops - {"absent", "empty", "ne", "not_in", "num_ne", "semver_ne"}
    return "it is to be absent, and to be something" if "absent" in ops and positive else ""


def _sorts(clauses: list[Clause]) -> str:
    ops = {clause.op for clause in clauses}
    return "one asks for a text, one for a list" if ops & _TEXTS and ops & _LISTS else ""


def _values(clauses: list[Clause]) -> str:
    allowed: list[Any] | None = None
    for clause in clauses:
        if clause.op in _EXACT and not clause.operand.get("ignore_case"):
            values = clause.operand.get("values") or [clause.operand.get("value")]
            allowed = values if allowed is None else [v for v in allowed if _is_in(v, values)]
            if not allowed:
                return "the values have none in common"
    return ""


def _is_in(value: object, values: list[Any]) -> bool:
    return any(value == other and type(value) is type(other) for other in values)


def _range(clauses: list[Clause]) -> str:
    low, high = float("-inf"), float("inf")
    for clause in clauses:
        bounds = _bounds(clause.op, clause.operand)
        if bounds:
            low, high = max(low, bounds[0]), min(high, bounds[1])
    return "the range of numbers is empty" if low > high else ""


def _bounds(op: str, operand: Mapping[str, Any]) -> tuple[float, float] | None:
    if op == "between":
        return operand["min"], operand["max"]
    value = number(operand.get("value"))
    if value is None:
        return None
    if op in ("num_gt", "num_ge"):
        return value, float("inf")
    if op in ("num_lt", "num_le"):
        return float("-inf"), value
    return (value, value) if op == "num_eq" else None


def unreachable(rules: Iterable[Rule]) -> Iterator[tuple[int, str]]:
    """Yield the index of each rule that an earlier one always forestalls, and a sentence that says which."""
    everybody: int | None = None
    seen: dict[str, int] = {}
    for index, rule in enumerate(rules):
        if everybody is not None:
            yield index, f"is never reached: rule {everybody} is for everybody"
            continue
        if rule.when is None:
            everybody = index
            continue
        said = repr(rule.when)
        if said in seen:
            yield index, f"is never reached: rule {seen[said]} has the same condition"
        seen.setdefault(said, index)
