"""Explaining: the same semantics as the closures, told clause by clause.

Only the operators are shared with the compiled form; order, junctions, segments, targets and splits are walked here a
second time, and a test holds both against each other. Nothing is skipped inside a rule that was looked at, so one sees
also what else would have had to hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flags.domain.answers import Answer, Answers, Reason, Trouble
from flags.domain.bucketing import BUCKETS, bounds, share_of
from flags.domain.compile import Compiler, Notes, StoredSegment
from flags.domain.context import Context, plain, reader, unit
from flags.domain.decide import NO_UNIT, Recipe, assigners
from flags.domain.rules import Rule, Split, Target, Targeting, in_order
from flags.domain.ruleset import Ruleset, Stored, recipe_of, variants_of
from flags.domain.telling import Teller

Trace = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a flag serves, each step that led there, and the explanations of the flags that it needed, by key."""

    answer: Answer
    steps: list[Trace]
    needed: Mapping[str, "Explanation"] = field(default_factory=dict[str, "Explanation"])


@dataclass(slots=True)
class Explainer:
    """Explains flags of one environment: their stored forms, and the ruleset that was compiled from these."""

    rows: Mapping[str, Stored]
    segments: Mapping[str, StoredSegment]
    ruleset: Ruleset
    refused: Mapping[str, str]

    def explain(self, key: str, context: Context, now: float) -> Explanation:
        """Return why a flag serves what it serves; KeyError if there is no such flag."""
        context, told = plain(context), dict[str, Explanation]()
        for each in self._order(key):
            teller = Teller(self.segments, context, now, {k: told[k].answer.serves for k in told})
            told[each] = self._told(each, teller)
        asked = told.pop(key)
        return Explanation(asked.answer, asked.steps, told)

    def _order(self, key: str) -> list[str]:
        """Return the flag and all that it needs, each behind those that it needs itself."""
        order, stack = dict[str, None](), [key]
        while stack:
            flag = self.ruleset.flags[stack[-1]]
            needs = () if flag.answer else sorted(flag.needs)
            before = [k for k in needs if k not in order and k in self.ruleset.flags]
            if before:
                stack += before
            else:
                order[stack.pop()] = None
        return list(order)

    def _told(self, key: str, teller: Teller) -> Explanation:
        flag = self.ruleset.flags[key]
        if key in self.refused:
            answer = flag.answer or self.ruleset.serve(flag, teller.context, teller.asked())
            return Explanation(answer, [{"step": "refused", "why": self.refused[key]}])
        stored = self.rows[key]
        steps: list[Trace] = [{"step": "status", "enabled": stored.enabled}]
        return Explanation(_Walk(stored, teller, steps).answer(), steps)


@dataclass(slots=True)
class _Walk:
    """One flag, from its status to its default."""

    stored: Stored
    teller: Teller
    steps: list[Trace]

    def answer(self) -> Answer:
        stored, recipe = self.stored, recipe_of(self.stored)
        answers, targeting = Answers(variants_of(stored)), recipe.targeting
        if not stored.enabled:
            return answers.of(stored.off_variant, Reason.DISABLED)
        if not self._met(targeting):
            return answers.of(stored.off_variant, Reason.DISABLED)
        for index, target in in_order(targeting.targets):
            if self._hit(index, target):
                return answers.of(target.variant, Reason.TARGETING_MATCH)
        if found := self._in_experiment(recipe, answers):
            return found
        for index, rule in enumerate(targeting.rules):
            if found := self._served(index, rule, answers):
                return found
        self.steps.append({"step": "default", "variant": stored.default_variant})
        same = not (targeting or recipe.allocations)
        return answers.of(stored.default_variant, Reason.STATIC if same else Reason.DEFAULT)

    def _in_experiment(self, recipe: Recipe, answers: Answers) -> Answer | None:
        compiler, asked = Compiler(self.teller.segments), self.teller.asked()
        for experiment in assigners(recipe, answers, compiler, Notes()):
            self.steps.append(experiment.told(self.teller.context, asked))
            if found := experiment.answer(self.teller.context, asked):
                return found
        return None

    def _met(self, targeting: Targeting) -> bool:
        for index, wanted in enumerate(targeting.prerequisites):
            served = self.teller.served.get(wanted.flag)
            met = served in wanted.variants
            self.steps.append(
                {
                    "step": "prerequisite",
                    "pointer": f"/prerequisites/{index}",
                    "flag": wanted.flag,
                    "wanted": list(wanted.variants),
                    "served": served,
                    "holds": met,
                }
            )
            if not met:
                return False
        return True

    def _hit(self, index: int, target: Target) -> bool:
        value = reader(target.attribute)(self.teller.context)
        hit = isinstance(value, str) and value in target.values
        if hit:
            self.steps.append(
                {
                    "step": "target",
                    "pointer": f"/targets/{index}",
                    "attribute": target.attribute.name,
                    "found": value,
                    "holds": True,
                    "variant": target.variant,
                }
            )
        return hit

    def _served(self, index: int, rule: Rule, answers: Answers) -> Answer | None:
        at = f"/rules/{index}"
        told = None if rule.when is None else self.teller.told(rule.when, f"{at}/when")
        holds = told is None or told["holds"]
        step = {"step": "rule", "pointer": at, "id": rule.id, "name": rule.name, "holds": holds}
        self.steps.append(step | ({"condition": told} if told else {}))
        if not holds:
            return None
        if isinstance(rule.serve, Split):
            return self._split(rule.serve, f"{at}/split", answers)
        return answers.of(rule.serve, Reason.TARGETING_MATCH)

    def _split(self, split: Split, at: str, answers: Answers) -> Answer:
        recipe = recipe_of(self.stored)
        found = [
            (attribute, name)
            for attribute in split.by
            if (name := unit(reader(attribute)(self.teller.context))) is not None
        ]
        if not found:
            self.steps.append({"step": "split", "pointer": at, "unit": None})
            return answers.trouble(Trouble.TARGETING_KEY_MISSING, NO_UNIT)
        attribute, name = found[0]
        salt = split.salt or recipe.salt
        bucket = BUCKETS[recipe.bucketing](salt, name)
        ends = bounds([weight for _, weight in split.weights])
        variant = split.weights[share_of(bucket, ends)][0]
        self.steps.append(
            {
                "step": "split",
                "pointer": at,
                "attribute": attribute.name,
                "unit": name,
                "salt": salt,
                "bucketing": recipe.bucketing,
                "bucket": bucket,
                "shares": [
                    {"variant": share, "from": end - weight, "to": end}
                    for (share, weight), end in zip(split.weights, ends, strict=True)
                ],
                "variant": variant,
            }
        )
        return answers.of(variant, Reason.SPLIT)
