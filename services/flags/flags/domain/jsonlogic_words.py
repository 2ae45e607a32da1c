"""The words of JsonLogic in which `jsonlogic` writes: clauses over one attribute, said so that implementations agree.

Nothing here leans on how JsonLogic compares loosely, which each implementation does a little differently:

    a text      cat(v) === v
    a number    +v === v, and cat(v) spells neither true nor false (in Python True === 1)
    a boolean   v === true, and cat(v) spells it
    absent      v === null
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flags.domain.context import UNIT, USER, Attribute
from flags.domain.operators.dates import instant
from flags.domain.operators.versions import span, spelled, version

Logic = Any  # a JSON document
FALSE: Logic = {"!": [True]}
_SPECIAL = frozenset(
    {"length", "constructor", "toString", "valueOf", "hasOwnProperty", "prototype", "__proto__"}
)
_STRANGE = re.compile(r"[.$]|^\d+$")


class Unsaid(Exception):
    """JsonLogic has no exact words for this."""


def var(attribute: Attribute) -> Logic:
    """Return how an attribute is read."""
    if not attribute.name.startswith("/"):
        if attribute.kind != USER and attribute.name == UNIT:
            raise Unsaid("the key of another kind than the user cannot be said")
        steps = [attribute.name]
    else:
        pointed = attribute.name[1:].split("/")
        steps = [step.replace("~1", "/").replace("~0", "~") for step in pointed]
    if attribute.kind != USER:
        steps.insert(0, attribute.kind)
    for step in steps:
        if not step or step in _SPECIAL or _STRANGE.search(step):
            raise Unsaid(f"the attribute {attribute.name!r} cannot be read there")
    return {"var": ".".join(steps)}


def is_text(unit: Logic) -> Logic:
    """Return whether a value is a text."""
    return {"===": [{"cat": [unit]}, unit]}


def is_number(unit: Logic) -> Logic:
    """Return whether a value is a number."""
    spelled = {"in": [{"cat": [unit]}, ["true", "false", "True", "False"]]}
    return every([{"===": [{"+": [unit]}, unit]}, inverse(spelled)])


def every(parts: Sequence[Logic]) -> Logic:
    """Return that all parts hold."""
    return parts[0] if len(parts) == 1 else {"and": list(parts)}


def some(parts: Sequence[Logic]) -> Logic:
    """Return that at least one part holds."""
    return parts[0] if len(parts) == 1 else {"or": list(parts)}


def inverse(part: Logic) -> Logic:
    """Return that a part does not hold."""
    return {"!": [part]}


def among(unit: Logic, texts: Sequence[str]) -> Logic:
    """Return whether a value is one of some texts."""
    return {"in": [unit, list(texts)]}


def _equals(unit: Logic, value: Any) -> Logic:  # noqa: ANN401 - JSON is anything
    if isinstance(value, bool):
        spelled = {"in": [{"cat": [unit]}, [str(value), str(value).lower()]]}
        return every([{"===": [unit, value]}, spelled])
    if isinstance(value, int | float):
        return every([is_number(unit), {"<=": [unit, value]}, {">=": [unit, value]}])
    if value is None or isinstance(value, str):
        return {"===": [unit, value]}
    raise Unsaid("a list or an object as operand cannot be said")


def _amongsome(unit: Logic, values: Sequence[Any]) -> Logic:
    texts = [value for value in values if isinstance(value, str)]
    parts = [among(unit, texts)] if texts else []
    return some(parts + [_equals(unit, value) for value in values if not isinstance(value, str)])


def _parted(write: Callable[[Logic, str], Logic]) -> "Write":
    def said(unit: Logic, operand: Mapping[str, Any]) -> Logic:
        return every([is_text(unit), some([write(unit, part) for part in operand["values"]])])

    return said


def _compared(sign: str) -> "Write":
    def said(unit: Logic, operand: Mapping[str, Any]) -> Logic:
        return every([is_number(unit), {sign: [unit, operand["value"]]}])

    return said


def _version(sign: str) -> "Write":
    def said(unit: Logic, operand: Mapping[str, Any]) -> Logic:
        wanted = version(operand["value"])
        if wanted is None:
            raise Unsaid("an operand is no version")
        return every([is_text(unit), {"sem_ver": [unit, sign, spelled(wanted)]}])

    return said


def _ranges(unit: Logic, operand: Mapping[str, Any]) -> Logic:
    parts: list[Logic] = []
    for text in operand["values"]:
        low, high = span(text)
        ends = [{"sem_ver": [unit, ">=", low]}]
        parts.append(every([*ends, {"sem_ver": [unit, "<", high]}] if high else ends))
    return every([is_text(unit), some(parts)])


def _typed(unit: Logic, operand: Mapping[str, Any]) -> Logic:
    known = {
        "string": is_text(unit),
        "number": is_number(unit),
        "boolean": some([_equals(unit, True), _equals(unit, False)]),
        "null": {"===": [unit, None]},
    }
    if strange := set(operand["values"]) - known.keys():
        raise Unsaid(f"the type {min(strange)} cannot be said")
    return some([known[name] for name in operand["values"]])


def by_now(op: str, operand: Mapping[str, Any]) -> Logic:
    """Return whether it is before or after a whole second: flagd's clock counts no smaller part of one."""
    seconds = instant(operand.get("value"))
    if op not in ("before", "after") or seconds is None or seconds != int(seconds):
        raise Unsaid(f"{op} of the time cannot be said")
    return {"<" if op == "before" else ">=": [{"var": "$flagd.timestamp"}, int(seconds)]}


Write = Callable[[Logic, Mapping[str, Any]], Logic]
WRITE: Mapping[str, Write] = {
    "eq": lambda unit, said: _equals(unit, said["value"]),
    "ne": lambda unit, said: inverse(_equals(unit, said["value"])),
    "in": lambda unit, said: _amongsome(unit, said["values"]),
    "not_in": lambda unit, said: inverse(_amongsome(unit, said["values"])),
    "contains": _parted(lambda unit, part: {"in": [part, unit]}),
    "starts": _parted(lambda unit, part: {"starts_with": [unit, part]}),
    "ends": _parted(lambda unit, part: {"ends_with": [unit, part]}),
    "present": lambda unit, _: {"!==": [unit, None]},
    "absent": lambda unit, _: {"===": [unit, None]},
    "type_of": _typed,
    "semver_eq": _version("="),
    "semver_ne": lambda unit, said: inverse(_version("=")(unit, said)),
    "semver_lt": _version("<"),
    "semver_le": _version("<="),
    "semver_gt": _version(">"),
    "semver_ge": _version(">="),
    "semver_range": _ranges,
}
NUMERIC: Mapping[str, Write] = {
    "num_eq": lambda unit, said: _equals(unit, said["value"]),
    "num_ne": lambda unit, said: inverse(_equals(unit, said["value"])),
    "num_lt": _compared("<"),
    "num_le": _compared("<="),
    "num_gt": _compared(">"),
    "num_ge": _compared(">="),
    "between": lambda unit, said: every(
        [is_number(unit), {">=": [unit, said["min"]]}, {"<=": [unit, said["max"]]}]
    ),
}
