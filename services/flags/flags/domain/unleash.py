"""Flags in Unleash's words: strategies with constraints, for SDKs that evaluate by themselves.

What can be said exactly is said; a flag of which any part cannot be is left out, so that an SDK falls back to the
default in the program, never to another answer than the other doors give. Unleash's own front end (`/api/frontend`)
is answered by evaluating here, and serves every flag.

A boolean flag is enabled where it serves true; a flag of another type is enabled where it is, and the variant is what
it serves, with its value as payload. Rules that serve become strategies in their order, of which the first one that
holds decides. To Unleash every attribute is a text; `targetingKey` is its `userId`.

Said: eq ne in not_in with texts, contains starts ends (case-sensitive), before after of `$now`, all any, segments,
targets. Not said: everything else, splits above all, because Unleash hashes units in its own way (1 % steps of another
hash), and a boolean rule that serves false before one that serves true.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Any

import orjson

from flags.domain.compile import StoredSegment
from flags.domain.context import NOW, UNIT, USER, Attribute
from flags.domain.operators.dates import instant
from flags.domain.reading import membership_of
from flags.domain.rules import All, Clause, Condition, InSegment, Rule, Some, in_order
from flags.domain.ruleset import Stored, recipe_of, variants_of
from flags.domain.values import FlagType, Value

MOST_STRATEGIES = 100
MOST_IDS = 10_000
MOST_PARTS = 10_000  # conditions that are written for one flag
DEEPEST = 10
Constraint = dict[str, Any]
# A condition as what Unleash has: any of these, each of which is all of its constraints.
Ways = list[list[Constraint]]
ALWAYS: Ways = [[]]


class Unsaid(Exception):
    """Unleash has no exact words for this."""


def features(
    project: str, rows: Iterable[Stored], segments: Iterable[StoredSegment]
) -> tuple[list[dict[str, Any]], Mapping[str, str]]:
    """Return the features of an environment, and why each flag (by key) that is not among them was left out."""
    writer = Writer(project, {segment.key: segment for segment in segments})
    said: list[dict[str, Any]] = []
    left: dict[str, str] = {}
    for row in rows:
        try:
            said.append(writer.feature(row))
        except (Unsaid, ValueError, RecursionError) as why:
            left[row.key] = str(why)
    return said, left


def payload(kind: FlagType, value: Value) -> dict[str, str]:
    """Return a value as Unleash carries it: a text, and what it is."""
    if kind is FlagType.STRING:
        return {"type": "string", "value": value}
    name = "json" if kind is FlagType.JSON else "number"
    return {"type": name, "value": orjson.dumps(value).decode()}


@dataclass(slots=True)
class Writer:
    """Writes the flags of one environment."""

    project: str
    segments: Mapping[str, StoredSegment]
    _depth: int = 0
    _parts: int = 0

    def feature(self, row: Stored) -> dict[str, Any]:
        """Return a flag as a feature; Unsaid if it cannot be said."""
        variants, kind = variants_of(row), FlagType(row.type)
        self._depth = self._parts = 0  # whatever became of the flag before
        steps = self._steps(row) if row.enabled else [(ALWAYS, row.off_variant)]
        if kind is FlagType.BOOLEAN:
            strategies = _switched([(ways, bool(variants[name])) for ways, name in steps])
        else:
            strategies = [
                _strategy(row.key, way, _variant(kind, name, variants[name]))
                for ways, name in (steps if row.enabled else ())
                for way in ways
            ]
        if len(strategies) > MOST_STRATEGIES:
            raise Unsaid(f"more than {MOST_STRATEGIES} strategies would be needed")
        return {
            "name": row.key,
            "type": "release",
            "project": self.project,
            "enabled": bool(strategies),
            "stale": False,
            "impressionData": False,
            "strategies": strategies,
            "variants": [],
        }

    def _steps(self, row: Stored) -> list[tuple[Ways, str]]:
        """Return who gets which variant, the first that fits; the last fits everybody."""
        recipe = recipe_of(row)
        targeting = recipe.targeting
        if recipe.allocations:
            raise Unsaid("an experiment cannot be said")
        if targeting.prerequisites:
            raise Unsaid("prerequisites cannot be said")
        steps = [
            (among(target.attribute, target.values), target.variant)
            for _, target in in_order(targeting.targets)
        ]
        steps += [self._step(rule) for rule in targeting.rules]
        last = next((n for n, (ways, _) in enumerate(steps) if ways == ALWAYS), None)
        return [*steps, (ALWAYS, row.default_variant)] if last is None else steps[: last + 1]

    def _step(self, rule: Rule) -> tuple[Ways, str]:
        if not isinstance(rule.serve, str):
            raise Unsaid("Unleash hashes units in another way: a split cannot be said")
        return ALWAYS if rule.when is None else self.ways(rule.when), rule.serve

    def ways(self, condition: Condition) -> Ways:
        """Return a condition; Unsaid if it cannot be said."""
        self._count(1)
        match condition:
            case All(parts):
                return _each(self.ways(part) for part in parts)
            case Some(parts):
                return _bounded([way for part in parts for way in self.ways(part)])
            case InSegment(keys, False):
                return _bounded([way for key in keys for way in self._segment(key)])
            case Clause(op, attribute, operand):
                return _clause(op, attribute, operand)
            case _:
                raise Unsaid(f"{type(condition).__name__.lower()} cannot be said")

    def _count(self, parts: int) -> None:
        self._parts += parts
        if self._parts > MOST_PARTS:
            raise Unsaid(f"more than {MOST_PARTS} conditions would be needed")

    def _segment(self, key: str) -> Ways:
        stored = self.segments.get(key)
        if stored is None or self._depth >= DEEPEST:
            raise Unsaid(f"segment {key!r} is not there, or too deep")
        members = membership_of(stored.document, stored.included, stored.excluded)
        if len(members.included) + len(members.excluded) > MOST_IDS:
            raise Unsaid(f"segment {key!r} lists more than {MOST_IDS} ids")
        self._count((len(members.included) + len(members.excluded)) // 10)
        self._depth += 1
        inside = among(members.attribute, sorted(members.included)) if members.included else []
        inside += self.ways(members.when) if members.when is not None else []
        self._depth -= 1
        outside = [[_constraint(members.attribute, "NOT_IN", sorted(members.excluded))]]
        return _each([outside, inside]) if members.excluded else inside


def among(attribute: Attribute, texts: Sequence[str]) -> Ways:
    """Return that an attribute is one of some texts."""
    return [[_constraint(attribute, "IN", texts)]]


def _clause(op: str, attribute: Attribute, operand: Mapping[str, Any]) -> Ways:
    if operand.get("ignore_case"):
        raise Unsaid("Unleash folds letters in another way")
    if attribute.name == NOW:
        return [[_now(op, operand)]]
    if op in ("eq", "ne"):
        return [[_constraint(attribute, "IN" if op == "eq" else "NOT_IN", [operand["value"]])]]
    if (name := _NAMES.get(op)) is None:
        raise Unsaid(f"{op} cannot be said")
    return [[_constraint(attribute, name, operand["values"])]]


_NAMES = {
    "in": "IN",
    "not_in": "NOT_IN",
    "contains": "STR_CONTAINS",
    "starts": "STR_STARTS_WITH",
    "ends": "STR_ENDS_WITH",
}


def _constraint(attribute: Attribute, operator: str, values: Sequence[Any]) -> Constraint:
    if attribute.kind != USER or attribute.name.startswith("/") or not _plain(attribute.name):
        raise Unsaid(f"the attribute {attribute.name!r} cannot be read there")
    if not all(isinstance(value, str) and _plain(value) for value in values):
        raise Unsaid("an operand is no plain text")
    return {
        "contextName": "userId" if attribute.name == UNIT else attribute.name,
        "operator": operator,
        "values": list(values),
        "inverted": False,
        "caseInsensitive": False,
    }


def _plain(text: str) -> bool:
    """Tell whether a text has nothing in it that an SDK's own grammar could stumble over."""
    return text.isprintable() and not set(text) & {'"', "\\"}


def _now(op: str, operand: Mapping[str, Any]) -> Constraint:
    seconds = instant(operand.get("value"))
    if op not in ("before", "after") or seconds is None:
        raise Unsaid(f"{op} of the time cannot be said")
    moment = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return {
        "contextName": "currentTime",
        "operator": "DATE_BEFORE" if op == "before" else "DATE_AFTER",
        "value": moment.replace("+00:00", "Z"),
        "values": [],
        "inverted": False,
        "caseInsensitive": False,
    }


def _each(parts: Iterable[Ways]) -> Ways:
    """Return the ways in which all parts hold."""
    found: Ways = ALWAYS
    for part in parts:
        found = _bounded([[*one, *other] for one, other in product(found, part)])
    return found


def _bounded(ways: Ways) -> Ways:
    if len(ways) > MOST_STRATEGIES:
        raise Unsaid(f"more than {MOST_STRATEGIES} strategies would be needed")
    return ways


def _switched(steps: Sequence[tuple[Ways, bool]]) -> list[dict[str, Any]]:
    """Return the strategies of a boolean flag: whoever is served true, before anybody is served false."""
    serving = [ways for ways, on in steps if on]
    if not serving:
        return []
    if any(not on for _, on in steps[: max(n for n, (_, on) in enumerate(steps) if on)]):
        raise Unsaid("a rule that serves false comes before one that serves true")
    return [_strategy("", way) for ways in serving for way in ways]


def _strategy(
    group: str, constraints: list[Constraint], variant: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return a strategy for everybody who fits; flexibleRollout, because the default one carries no variants."""
    if variant is None:
        return {"name": "default", "parameters": {}, "constraints": constraints, "variants": []}
    whole = {"rollout": "100", "stickiness": "random", "groupId": group}
    return {
        "name": "flexibleRollout",
        "parameters": whole,
        "constraints": constraints,
        "variants": [variant],
    }


def _variant(kind: FlagType, name: str, value: Value) -> dict[str, Any]:
    return {
        "name": name,
        "weight": 1000,
        "stickiness": "random",
        "payload": payload(kind, value),
    }
