"""Rules as JsonLogic with flagd's operators, for providers that evaluate in their own process (flagd.sync.v1).

What can be said there exactly is said; a flag of which any part cannot be said is left out, so that a provider answers
FLAG_NOT_FOUND and a program its own default: never another variant than the other doors would serve. Where it depends
on the context whether JsonLogic would agree with us, the rules begin with a guard: it names a variant that does not
exist (`UNSAID`), which every provider reports as an error.

Said: eq ne in not_in contains starts ends (case-sensitive; scalars), num_* between (numbers; a text that may spell one
is guarded), semver_* semver_range (versions as semver.org writes them), present absent, type_of (string number boolean
null), before after of `$now` and a whole second, all any not, segments with up to 10,000 ids, flags and prerequisites,
targets, splits: flagd's `fractional` has had our bucketing (murmur3 of salt + unit, scaled by multiplication) and has
had others, before and since. Which one a provider has, it is asked first: `HASHED_OTHERWISE` is a guard too.
Not said: ignore_case, matches, modulo, other dates, time_between, in_cidr, empty, array_*, size, elem_match, lists and
objects as operands, attributes with a dot in their name, a list as a flag's value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flags.domain.bucketing import WHOLE, bucket_v1
from flags.domain.compile import StoredSegment
from flags.domain.context import KINDS, NOW, USER, Attribute
from flags.domain.decide import Recipe
from flags.domain.jsonlogic_words import (
    FALSE,
    NUMERIC,
    WRITE,
    Logic,
    Unsaid,
    among,
    by_now,
    every,
    inverse,
    is_number,
    is_text,
    some,
    var,
)
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
    in_order,
)
from flags.domain.ruleset import Stored, recipe_of, variants_of

UNSAID = "!unsaid"  # the name of no variant
NO_UNIT = "!TARGETING_KEY_MISSING"
_PROBE = "which hash is this?"
_THERE = bucket_v1("", _PROBE)
# The probe lies in its one bucket of 100,000 only where a text is hashed as we do.
HASHED_OTHERWISE: Logic = {
    "!==": [
        {"fractional": [_PROBE, ["no", _THERE], ["yes", 1], ["no", WHOLE - _THERE - 1]]},
        "yes",
    ]
}
MOST_IDS = 10_000
DEEPEST = 10
MOST_PARTS = 10_000  # conditions that are written for one flag; what it asks for is put in wherever it is asked for


def document(
    rows: Sequence[Stored], segments: Sequence[StoredSegment], metadata: Mapping[str, str]
) -> tuple[dict[str, Any], Mapping[str, str]]:
    """Return flagd's document of an environment, and why each flag (by key) that is not in it was left out."""
    known = {row.key: row for row in rows}
    groups = {segment.key: segment for segment in segments}
    flags: dict[str, Any] = {}
    left: dict[str, str] = {}
    for key, row in known.items():
        try:
            flags[key] = Writer(known, groups).flag(row)
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
    _parts: int = 0

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
        return {"if": [some(guards), UNSAID, logic]}

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
            steps += [inverse(every(met)), recipe.off]
        for _, target in in_order(targeting.targets):
            steps += [among(var(target.attribute), target.values), target.variant]
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
        self._guard(HASHED_OTHERWISE)
        salt, chain = split.salt or recipe.salt, list[Logic]()
        weights = [[variant, weight] for variant, weight in split.weights if weight]
        for attribute in split.by:
            unit = var(attribute)
            self._guard(is_number(unit))  # to us it is a unit too
            there = every([is_text(unit), {"!==": [unit, ""]}])
            chain += [there, {"fractional": [{"cat": [salt, unit]}, *weights]}]
        return {"if": [*chain, NO_UNIT]}

    def _guard(self, logic: Logic) -> None:
        self.guards[repr(logic)] = logic

    # --- conditions -------------------------------------------------------------------------------------------------

    def condition(self, condition: Condition) -> Logic:
        """Return a condition; Unsaid if it cannot be said."""
        self._count(1)
        match condition:
            case All(parts):
                return every([self.condition(part) for part in parts])
            case Some(parts):
                return some([self.condition(part) for part in parts])
            case Not(part):
                return inverse(self.condition(part))
            case InSegment(keys, negated):
                found = some([self._segment(key) for key in keys])
                return inverse(found) if negated else found
            case Evaluates(flag, variants):
                return self._served(flag, variants)
            case Clause(op, attribute, operand):
                return self._clause(op, attribute, operand)
            case _:
                raise Unsaid("elem_match cannot be said")

    def _clause(self, op: str, attribute: Attribute, operand: Mapping[str, Any]) -> Logic:
        if attribute.name == NOW:
            return by_now(op, operand)
        if operand.get("ignore_case"):
            raise Unsaid("ignore_case cannot be said")
        if op in NUMERIC:
            unit = var(attribute)
            self._guard(is_text(unit))  # it may spell a number
            return NUMERIC[op](unit, operand)
        if (write := WRITE.get(op)) is None:
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
        self._count((len(members.included) + len(members.excluded)) // 10)
        unit = var(members.attribute)
        inside = [among(unit, sorted(members.included))] if members.included else []
        if members.when is not None:
            inside.append(self.condition(members.when))
        self._above.pop()
        found = some(inside) if inside else FALSE
        if not members.excluded:
            return found
        return every([inverse(among(unit, sorted(members.excluded))), found])

    def _served(self, key: str, variants: Sequence[str]) -> Logic:
        """Return whether another flag serves one of these variants: its rules, put in here."""
        row = self.rows.get(key)
        if row is None:
            return FALSE
        self._enter(f"flag {key}")
        variants_of(row)
        default, logic = self._decision(row)
        self._above.pop()
        if logic is None:
            return True if default in variants else FALSE
        steps = logic["if"]
        closed = [*steps[:-1], default] if steps[-1] is None else steps
        return {"in": [{"if": closed}, list(variants)]}

    def _count(self, parts: int) -> None:
        self._parts += parts
        if self._parts > MOST_PARTS:
            raise Unsaid(f"more than {MOST_PARTS} conditions would be needed")

    def _enter(self, name: str) -> None:
        self._count(1)
        if name in self._above:
            raise Unsaid(f"{name} depends on itself")
        if len(self._above) >= DEEPEST:
            raise Unsaid(f"flags and segments are nested deeper than {DEEPEST} levels")
        self._above.append(name)
