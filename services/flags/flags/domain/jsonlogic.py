"""Rules as JsonLogic with flagd's operators, for providers that evaluate in their own process (flagd.sync.v1).

What can be said there exactly is said; a flag of which any part cannot be said is left out, so that a provider answers
FLAG_NOT_FOUND and a program its own default: never another variant than the other doors would serve. Where it depends
on the context whether JsonLogic would agree with us, the rules begin with a guard: it names a variant that does not
exist (`UNSAID`), which every provider reports as an error.

JsonLogic compares loosely and each implementation a little differently, so nothing here leans on that:

    a text      cat(v) === v
    a number    +v === v, and cat(v) spells neither true nor false (in Python True === 1)
    a boolean   v === true, and cat(v) spells it
    absent      v === null

Said: eq ne in not_in contains starts ends (case-sensitive; scalars), num_* between (numbers; a text that may spell one
is guarded), semver_* semver_range (versions as semver.org writes them), present absent, type_of (string number boolean
null), before after of `$now` and a whole second, all any not, segments with up to 10,000 ids, flags and prerequisites,
targets, splits (flagd's `fractional` has our bucketing: murmur3 of salt + unit, scaled by multiplication).
Not said: ignore_case, matches, modulo, other dates, time_between, in_cidr, empty, array_*, size, elem_match, lists and
objects as operands, attributes with a dot in their name, a list as a flag's value.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flags.domain.compile import StoredSegment
from flags.domain.context import KINDS, NOW, UNIT, USER, Attribute
from flags.domain.decide import Recipe
from flags.domain.operators.dates import instant
from flags.domain.operators.versions import span, spelled, version
from flags.domain.reading import membership_of
from flags.domain.rules import (
    All,
    Clause,
    Condition,
    Evaluates,
    InSegment,
    Not,
    Rule,
    Some,
    Split,
    Target,
)
from flags.domain.ruleset import Stored, recipe_of, variants_of

Logic = Any  # a JSON document
UNSAID = "!unsaid"  # the name of no variant
NO_UNIT = "!TARGETING_KEY_MISSING"
MOST_IDS = 10_000
DEEPEST = 10
_SPECIAL = frozenset(
    {"length", "constructor", "toString", "valueOf", "hasOwnProperty", "prototype", "__proto__"}
)
_STRANGE = re.compile(r"[.$]|^\d+$")
_FALSE: Logic = {"!": [True]}


class Unsaid(Exception):
    """JsonLogic has no exact words for this."""


def document(
    rows: Sequence[Stored], segments: Sequence[StoredSegment], metadata: Mapping[str, str]
) -> tuple[dict[str, Any], Mapping[str, str]]:
    """Return flagd's document of an environment, and why each flag (by key) that is not in it was left out."""
    every = {row.key: row for row in rows}
    groups = {segment.key: segment for segment in segments}
    flags: dict[str, Any] = {}
    left: dict[str, str] = {}
    for key, row in every.items():
        try:
            flags[key] = Writer(every, groups).flag(row)
        except (Unsaid, ValueError, RecursionError) as why:
            left[key] = str(why)
    said = {**metadata, **({"switchyardLeftOut": ",".join(sorted(left))} if left else {})}
    return {"flags": flags, "metadata": said}, left


@dataclass(slots=True)
class Writer:
    """Writes one flag. `guards` are the contexts about which JsonLogic and we might disagree."""

    rows: Mapping[str, Stored]
    segments: Mapping[str, StoredSegment]
    guards: dict[str, Logic] = field(default_factory=dict[str, Logic])
    _above: list[str] = field(default_factory=list[str])

    def flag(self, row: Stored) -> dict[str, Any]:
        """Return flagd's form of a flag; Unsaid if there is none."""
        variants = variants_of(row)
        if any(isinstance(value, list) for value in variants.values()):
            raise Unsaid("a list is no value of a flag there")
        default, logic = self._decision(row)
        said = {"state": "ENABLED", "variants": variants, "defaultVariant": default}
        return said if logic is None else {**said, "targeting": self._guarded(logic)}

    def _guarded(self, logic: Logic) -> Logic:
        kinds = [kind for kind in (*KINDS, "multi") if kind != USER]
        guards = [{"in": [{"var": "kind"}, kinds]}, *self.guards.values()]
        return {"if": [_any(guards), UNSAID, logic]}

    def _decision(self, row: Stored) -> tuple[str, Logic | None]:
        """Return the default variant, and what decides before it (null where nothing does)."""
        recipe = recipe_of(row)
        if not row.enabled:
            return row.off_variant, None
        if recipe.allocations:
            raise Unsaid("an experiment draws its units in a way that cannot be said")
        if not recipe.targeting:
            return row.default_variant, None
        return row.default_variant, self._chain(recipe)

    def _chain(self, recipe: Recipe) -> Logic:
        targeting, steps = recipe.targeting, list[Logic]()
        met = [self._served(p.flag, p.variants) for p in targeting.prerequisites]
        if met:
            steps += [_not(_all(met)), recipe.off]
        for target in _grouped(targeting.targets):
            steps += [_among(var(target.attribute), target.values), target.variant]
        for rule in targeting.rules:
            steps += [self._when(rule), self._serve(rule, recipe)]
            if rule.when is None:
                return {"if": steps}
        return {"if": [*steps, None]}

    def _when(self, rule: Rule) -> Logic:
        return True if rule.when is None else self.condition(rule.when)

    def _serve(self, rule: Rule, recipe: Recipe) -> Logic:
        return rule.serve if isinstance(rule.serve, str) else self._split(rule.serve, recipe)

    def _split(self, split: Split, recipe: Recipe) -> Logic:
        if recipe.bucketing != 1:
            raise Unsaid(f"bucketing version {recipe.bucketing} is not that of flagd")
        salt, chain = split.salt or recipe.salt, list[Logic]()
        weights = [[variant, weight] for variant, weight in split.weights if weight]
        for attribute in split.by:
            unit = var(attribute)
            self._guard(is_number(unit))  # to us it is a unit too
            there = _all([is_text(unit), {"!==": [unit, ""]}])
            chain += [there, {"fractional": [{"cat": [salt, unit]}, *weights]}]
        return {"if": [*chain, NO_UNIT]}

    def _guard(self, logic: Logic) -> None:
        self.guards[repr(logic)] = logic

    # --- conditions -------------------------------------------------------------------------------------------------

    def condition(self, condition: Condition) -> Logic:
        """Return a condition; Unsaid if it cannot be said."""
        match condition:
            case All(parts):
                return _all([self.condition(part) for part in parts])
            case Some(parts):
                return _any([self.condition(part) for part in parts])
            case Not(part):
                return _not(self.condition(part))
            case InSegment(keys, negated):
                found = _any([self._segment(key) for key in keys])
                return _not(found) if negated else found
            case Evaluates(flag, variants):
                return self._served(flag, variants)
            case Clause(op, attribute, operand):
                return self._clause(op, attribute, operand)
            case _:
                raise Unsaid("elem_match cannot be said")

    def _clause(self, op: str, attribute: Attribute, operand: Mapping[str, Any]) -> Logic:
        if attribute.name == NOW:
            return _now(op, operand)
        if operand.get("ignore_case"):
            raise Unsaid("ignore_case cannot be said")
        if op in _NUMERIC:
            unit = var(attribute)
            self._guard(is_text(unit))  # it may spell a number
            return _NUMERIC[op](unit, operand)
        if (write := _WRITE.get(op)) is None:
            raise Unsaid(f"{op} cannot be said")
        return write(var(attribute), operand)

    def _segment(self, key: str) -> Logic:
        self._enter(f"segment {key}")
        stored = self.segments.get(key)
        if stored is None:
            raise Unsaid(f"there is no segment {key!r}")
        members = membership_of(stored.document, stored.included, stored.excluded)
        if len(members.included) + len(members.excluded) > MOST_IDS:
            raise Unsaid(f"segment {key!r} lists more than {MOST_IDS} ids")
        unit = var(members.attribute)
        inside = [_among(unit, sorted(members.included))] if members.included else []
        if members.when is not None:
            inside.append(self.condition(members.when))
        self._above.pop()
        found = _any(inside) if inside else _FALSE
        if not members.excluded:
            return found
        return _all([_not(_among(unit, sorted(members.excluded))), found])

    def _served(self, key: str, variants: Sequence[str]) -> Logic:
        """Return whether another flag serves one of these variants: its rules, put in here."""
        row = self.rows.get(key)
        if row is None:
            return _FALSE
        self._enter(f"flag {key}")
        variants_of(row)
        default, logic = self._decision(row)
        self._above.pop()
        if logic is None:
            return True if default in variants else _FALSE
        steps = logic["if"]
        closed = [*steps[:-1], default] if steps[-1] is None else steps
        return {"in": [{"if": closed}, list(variants)]}

    def _enter(self, name: str) -> None:
        if name in self._above:
            raise Unsaid(f"{name} depends on itself")
        if len(self._above) >= DEEPEST:
            raise Unsaid(f"flags and segments are nested deeper than {DEEPEST} levels")
        self._above.append(name)


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
    return _all([{"===": [{"+": [unit]}, unit]}, _not(spelled)])


def _all(parts: Sequence[Logic]) -> Logic:
    return parts[0] if len(parts) == 1 else {"and": list(parts)}


def _any(parts: Sequence[Logic]) -> Logic:
    return parts[0] if len(parts) == 1 else {"or": list(parts)}


def _not(part: Logic) -> Logic:
    return {"!": [part]}


def _among(unit: Logic, texts: Sequence[str]) -> Logic:
    return {"in": [unit, list(texts)]}


def _grouped(targets: Sequence[Target]) -> list[Target]:
    """Return targets in the order in which they decide: attribute by attribute."""
    order = {target.attribute: None for target in targets}
    return [target for attribute in order for target in targets if target.attribute == attribute]


def _equals(unit: Logic, value: Any) -> Logic:  # noqa: ANN401 - JSON is anything
    if isinstance(value, bool):
        spelled = {"in": [{"cat": [unit]}, [str(value), str(value).lower()]]}
        return _all([{"===": [unit, value]}, spelled])
    if isinstance(value, int | float):
        return _all([is_number(unit), {"<=": [unit, value]}, {">=": [unit, value]}])
    if value is None or isinstance(value, str):
        return {"===": [unit, value]}
    raise Unsaid("a list or an object as operand cannot be said")


def _among_any(unit: Logic, values: Sequence[Any]) -> Logic:
    texts = [value for value in values if isinstance(value, str)]
    parts = [_among(unit, texts)] if texts else []
    return _any(parts + [_equals(unit, value) for value in values if not isinstance(value, str)])


def _parted(write: Callable[[Logic, str], Logic]) -> "Write":
    def said(unit: Logic, operand: Mapping[str, Any]) -> Logic:
        return _all([is_text(unit), _any([write(unit, part) for part in operand["values"]])])

    return said


def _compared(sign: str) -> "Write":
    def said(unit: Logic, operand: Mapping[str, Any]) -> Logic:
        return _all([is_number(unit), {sign: [unit, operand["value"]]}])

    return said


def _version(sign: str) -> "Write":
    def said(unit: Logic, operand: Mapping[str, Any]) -> Logic:
        wanted = version(operand["value"])
        if wanted is None:
            raise Unsaid("an operand is no version")
        return _all([is_text(unit), {"sem_ver": [unit, sign, spelled(wanted)]}])

    return said


def _ranges(unit: Logic, operand: Mapping[str, Any]) -> Logic:
    parts: list[Logic] = []
    for text in operand["values"]:
        low, high = span(text)
        ends = [{"sem_ver": [unit, ">=", low]}]
        parts.append(_all([*ends, {"sem_ver": [unit, "<", high]}] if high else ends))
    return _all([is_text(unit), _any(parts)])


def _typed(unit: Logic, operand: Mapping[str, Any]) -> Logic:
    known = {
        "string": is_text(unit),
        "number": is_number(unit),
        "boolean": _any([_equals(unit, True), _equals(unit, False)]),
        "null": {"===": [unit, None]},
    }
    if strange := set(operand["values"]) - known.keys():
        raise Unsaid(f"the type {min(strange)} cannot be said")
    return _any([known[name] for name in operand["values"]])


def _now(op: str, operand: Mapping[str, Any]) -> Logic:
    """Return whether it is before or after a whole second: flagd's clock counts no smaller part of one."""
    seconds = instant(operand.get("value"))
    if op not in ("before", "after") or seconds is None or seconds != int(seconds):
        raise Unsaid(f"{op} of the time cannot be said")
    return {"<" if op == "before" else ">=": [{"var": "$flagd.timestamp"}, int(seconds)]}


Write = Callable[[Logic, Mapping[str, Any]], Logic]
_WRITE: Mapping[str, Write] = {
    "eq": lambda unit, said: _equals(unit, said["value"]),
    "ne": lambda unit, said: _not(_equals(unit, said["value"])),
    "in": lambda unit, said: _among_any(unit, said["values"]),
    "not_in": lambda unit, said: _not(_among_any(unit, said["values"])),
    "contains": _parted(lambda unit, part: {"in": [part, unit]}),
    "starts": _parted(lambda unit, part: {"starts_with": [unit, part]}),
    "ends": _parted(lambda unit, part: {"ends_with": [unit, part]}),
    "present": lambda unit, _: {"!==": [unit, None]},
    "absent": lambda unit, _: {"===": [unit, None]},
    "type_of": _typed,
    "semver_eq": _version("="),
    "semver_ne": lambda unit, said: _not(_version("=")(unit, said)),
    "semver_lt": _version("<"),
    "semver_le": _version("<="),
    "semver_gt": _version(">"),
    "semver_ge": _version(">="),
    "semver_range": _ranges,
}
_NUMERIC: Mapping[str, Write] = {
    "num_eq": lambda unit, said: _equals(unit, said["value"]),
    "num_ne": lambda unit, said: _not(_equals(unit, said["value"])),
    "num_lt": _compared("<"),
    "num_le": _compared("<="),
    "num_gt": _compared(">"),
    "num_ge": _compared(">="),
    "between": lambda unit, said: _all(
        [is_number(unit), {">=": [unit, said["min"]]}, {"<=": [unit, said["max"]]}]
    ),
}
