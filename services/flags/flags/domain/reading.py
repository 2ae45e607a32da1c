"""Rules out of their JSON documents. What cannot be read raises Wrong, with a pointer to it.

Operators check their operands here as well, so that whatever can be read can be compiled.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flags.domain.bucketing import WHOLE
from flags.domain.context import KINDS, LONGEST_NAME, UNIT, USER, Attribute
from flags.domain.operators import OPERATORS
from flags.domain.rules import (
    DEEPEST,
    MOST_PARTS,
    MOST_PREREQUISITES,
    MOST_RULES,
    MOST_TARGETS,
    All,
    Clause,
    Condition,
    Elements,
    Evaluates,
    InSegment,
    Membership,
    Not,
    Rule,
    Some,
    Split,
    Target,
    Targeting,
    inside,
)
from flags.domain.wrong import Wrong, items, only, text, thing

T = TypeVar("T")
Said = dict[str, Any]
LONGEST_KEY = 200
MOST_MEMBERS = 100_000
_AT = frozenset({"op", "attribute", "kind"})


def targeting_of(said: object) -> Targeting:
    """Return the targeting that a document says."""
    found = thing(said)
    only(found, frozenset({"prerequisites", "targets", "rules"}))
    targets = _each(found, "targets", MOST_TARGETS, _target)
    if sum(len(target.values) for target in targets) > MOST_TARGETS:
        raise Wrong("/targets", f"more than {MOST_TARGETS} values: use a segment", "length")
    return Targeting(
        prerequisites=_each(found, "prerequisites", MOST_PREREQUISITES, _prerequisite),
        targets=targets,
        rules=_each(found, "rules", MOST_RULES, _rule),
    )


def membership_of(said: object, included: object = (), excluded: object = ()) -> Membership:
    """Return who is in a segment, by its document and its two lists."""
    found = thing(said)
    only(found, frozenset({"attribute", "kind", "when"}))
    return Membership(
        attribute=_attribute(found, UNIT),
        included=_ids("/included", included),
        excluded=_ids("/excluded", excluded),
        when=_within(found, "when", 0) if found.get("when") is not None else None,
    )


def condition_of(said: object, depth: int = 0) -> Condition:
    """Return the condition that a document says."""
    found = thing(said)
    if depth > DEEPEST:
        raise Wrong("", f"is nested deeper than {DEEPEST} levels", "depth")
    for name, read in _JUNCTIONS.items():
        if name in found:
            only(found, frozenset({name}))
            return read(found, depth)
    op = found.get("op")
    if not isinstance(op, str):
        raise Wrong("/op", "is needed: a condition has `all`, `any`, `not` or `op`", "missing")
    if special := _SPECIAL.get(op):
        return special(found, depth)
    return _clause(found, op)


def _clause(found: Said, op: str) -> Clause:
    operator = OPERATORS.get(op)
    if operator is None:
        known = ", ".join([*OPERATORS, *_SPECIAL])
        raise Wrong("/op", f"{op[:50]!r} is no operator; operators are {known}", "unknown_operator")
    only(found, _AT | operator.fields)
    operand = {name: found[name] for name in found.keys() & operator.fields}
    attribute = _attribute(found, "" if op != "time_between" else "$now")
    operator.prepare(operand)
    return Clause(op, attribute, operand)


def _attribute(found: Said, usual: str = "") -> Attribute:
    kind = found.get("kind", USER)
    if kind not in KINDS:
        raise Wrong("/kind", f"must be one of {', '.join(KINDS)}")
    if "attribute" not in found and usual:
        return Attribute(usual, kind)
    return Attribute(text(found, "attribute", LONGEST_NAME), kind)


def _junction(name: str, kind: type[All] | type[Some]) -> Callable[[Said, int], Condition]:
    def read(found: Said, depth: int) -> Condition:
        parts = items(found, name, MOST_PARTS)
        return kind(
            tuple(
                _below(f"/{name}/{index}", condition_of, part, depth + 1)
                for index, part in enumerate(parts)
            )
        )

    return read


def _not(found: Said, depth: int) -> Condition:
    return Not(_within(found, "not", depth + 1))


def _elements(found: Said, depth: int) -> Condition:
    only(found, _AT | {"where"})
    where = _within(found, "where", depth + 1)
    if any(isinstance(part, InSegment | Evaluates) for part in inside(where)):
        raise Wrong("/where", "is about one element, which is in no segment and is served no flag")
    return Elements(_attribute(found), where)


def _segments(*, negated: bool) -> Callable[[Said, int], Condition]:
    def read(found: Said, _: int) -> Condition:
        only(found, frozenset({"op", "segments"}))
        return InSegment(_keys(found, "segments"), negated)

    return read


def _flag(found: Said, _: int) -> Evaluates:
    only(found, frozenset({"op", "flag", "variants"}))
    return Evaluates(text(found, "flag", LONGEST_KEY), _keys(found, "variants"))


_JUNCTIONS: Mapping[str, Callable[[Said, int], Condition]] = {
    "all": _junction("all", All),
    "any": _junction("any", Some),
    "not": _not,
}
_SPECIAL: Mapping[str, Callable[[Said, int], Condition]] = {
    "elem_match": _elements,
    "in_segment": _segments(negated=False),
    "not_in_segment": _segments(negated=True),
    "flag": _flag,
}


def _prerequisite(said: object) -> Evaluates:
    found = thing(said)
    only(found, frozenset({"flag", "variants"}))
    return Evaluates(text(found, "flag", LONGEST_KEY), _keys(found, "variants"))


def _target(said: object) -> Target:
    found = thing(said)
    only(found, frozenset({"variant", "values", "attribute", "kind"}))
    values = _keys(found, "values", MOST_TARGETS)
    return Target(text(found, "variant"), values, _attribute(found, UNIT))


def _rule(said: object) -> Rule:
    found = thing(said)
    only(found, frozenset({"id", "name", "when", "variant", "split"}))
    if ("variant" in found) == ("split" in found):
        raise Wrong("/variant", "either `variant` or `split` is needed, and not both", "missing")
    return Rule(
        serve=text(found, "variant")
        if "variant" in found
        else _below("/split", _split, found["split"]),
        when=_within(found, "when", 0) if found.get("when") is not None else None,
        id=text(found, "id", 100) if found.get("id") else "",
        name=text(found, "name", 200) if found.get("name") else "",
    )


def _split(said: object) -> Split:
    found = thing(said)
    only(found, frozenset({"weights", "by", "salt"}))
    weights = _each(found, "weights", 100, _weight, 1)
    if (total := sum(weight for _, weight in weights)) != WHOLE:
        raise Wrong("/weights", f"must add up to {WHOLE} (100 %), not {total}", "weights")
    by = _keys(found, "by", 10) if "by" in found else (UNIT,)
    return Split(
        weights=weights,
        by=tuple(Attribute(name) for name in by),
        salt=text(found, "salt", 100) if found.get("salt") else "",
    )


def _weight(said: object) -> tuple[str, int]:
    found = thing(said)
    only(found, frozenset({"variant", "weight"}))
    weight = found.get("weight")
    if weight.__class__ is not int or not 0 <= weight <= WHOLE:  # type: ignore[operator]
        raise Wrong("/weight", f"must be a whole number from 0 to {WHOLE}, in steps of 0.001 %")
    return text(found, "variant"), weight  # type: ignore[return-value]


def _keys(found: Said, field: str, most: int = 100) -> tuple[str, ...]:
    keys = items(found, field, most)
    for index, key in enumerate(keys):
        if not isinstance(key, str) or not 1 <= len(key) <= 1000:
            raise Wrong(f"/{field}/{index}", "must be a string of 1 to 1000 characters")
    return tuple(keys)


def _ids(pointer: str, ids: object) -> frozenset[str]:
    if not isinstance(ids, list | tuple | frozenset | set):
        raise Wrong(pointer, "must be a list")
    if not all(isinstance(one, str) for one in ids):  # type: ignore[reportUnknownVariableType]
        raise Wrong(pointer, "must be strings")
    found = frozenset[Any](ids)  # type: ignore[reportUnknownArgumentType]
    if len(found) > MOST_MEMBERS:
        raise Wrong(pointer, f"must have at most {MOST_MEMBERS} ids", "length")
    return found


def _each(
    found: Said, field: str, most: int, read: Callable[[object], T], least: int = 0
) -> tuple[T, ...]:
    said = items(found, field, most, least)
    return tuple(_below(f"/{field}/{index}", read, one) for index, one in enumerate(said))


def _within(found: Said, field: str, depth: int) -> Condition:
    if field not in found:
        raise Wrong(f"/{field}", "is needed: a condition", "missing")
    return _below(f"/{field}", condition_of, found[field], depth)


def _below(pointer: str, read: Callable[..., T], *said: object) -> T:
    try:
        return read(*said)
    except Wrong as wrong:
        raise wrong.below(pointer) from None
