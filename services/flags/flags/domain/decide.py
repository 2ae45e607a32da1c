"""One flag into the closure that decides: prerequisites, targets, experiments, rules in order, then the default."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from flags.domain.allocation import Assigner, assigner
from flags.domain.answers import Answer, Answers, Reason, Trouble
from flags.domain.bucketing import BUCKETS, bounds
from flags.domain.compile import Asked, Compiler, Holds, Notes
from flags.domain.context import USER, Attribute, Context, Read, reader, unit
from flags.domain.rules import Rule, Split, Target, Targeting, in_order
from flags.domain.wrong import Wrong

Decide = Callable[[Context, Asked], Answer]
# How a unit is named, its bucket found and the share that this lies in: name, bucket, salt, ends, shares, no unit.
Share = tuple[
    Callable[[Context], str | None],
    Callable[[str, str], int],
    str,
    tuple[int, ...],
    tuple[Answer, ...],
    Answer,
]
Step = tuple[Holds | None, Answer, Share | None]
NO_UNIT = "no attribute that the split goes by is in the context; send a targetingKey"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What one flag is made of in one environment, read but not yet compiled."""

    targeting: Targeting
    default: str
    off: str
    salt: str
    bucketing: int
    allocations: tuple[object, ...] = ()


def decision(recipe: Recipe, answers: Answers, compiler: Compiler, notes: Notes) -> Decide:
    """Return the closure of an enabled flag. Wrong if it names a variant or a segment that is not there."""
    targeting = recipe.targeting
    unmet = [(p.flag, frozenset(p.variants)) for p in targeting.prerequisites]
    notes.needs.update(flag for flag, _ in unmet)
    targets = _tables(targeting.targets, answers)
    default = _answer(answers, "/default_variant", recipe.default, Reason.DEFAULT)
    steps = tuple(
        _step(at, rule, recipe, answers, compiler, notes) for at, rule in _numbered(targeting)
    )
    decide = _in_order(steps, default)
    if found := assigners(recipe, answers, compiler, notes):
        decide = _after_experiments(found, decide)
    if targets:
        decide = _after_targets(targets, decide)
    if unmet:
        off = _answer(answers, "/off_variant", recipe.off, Reason.DISABLED)
        decide = _after_prerequisites(unmet, off, decide)
    return decide


def assigners(
    recipe: Recipe, answers: Answers, compiler: Compiler, notes: Notes
) -> tuple[Assigner, ...]:
    """Return what experiments want of a flag, in the form that answers."""
    return tuple(
        assigner(said, recipe.bucketing, answers, compiler, notes) for said in recipe.allocations
    )


def _numbered(targeting: Targeting) -> Iterable[tuple[str, Rule]]:
    return ((f"/rules/{index}", rule) for index, rule in enumerate(targeting.rules))


def _answer(answers: Answers, pointer: str, variant: str, reason: Reason) -> Answer:
    try:
        return answers.of(variant, reason)
    except KeyError:
        raise Wrong(pointer, f"there is no variant {variant!r}", "unknown_variant") from None


def _step(
    at: str, rule: Rule, recipe: Recipe, answers: Answers, compiler: Compiler, notes: Notes
) -> Step:
    try:
        holds = None if rule.when is None else compiler.condition(rule.when, notes)
    except Wrong as wrong:
        raise wrong.below(f"{at}/when") from None
    if isinstance(rule.serve, Split):
        share = _share(rule.serve, recipe, answers, f"{at}/split")
        return holds, share[-1], share
    return holds, _answer(answers, f"{at}/variant", rule.serve, Reason.TARGETING_MATCH), None


def _share(split: Split, recipe: Recipe, answers: Answers, at: str) -> Share:
    shares = tuple(
        _answer(answers, f"{at}/weights/{index}/variant", variant, Reason.SPLIT)
        for index, (variant, _) in enumerate(split.weights)
    )
    return (
        _unit_of(split.by),
        BUCKETS[recipe.bucketing],
        split.salt or recipe.salt,
        _ends(tuple(weight for _, weight in split.weights)),
        shares,
        answers.trouble(Trouble.TARGETING_KEY_MISSING, NO_UNIT),
    )


@lru_cache(4096)
def _ends(weights: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(bounds(weights))


@lru_cache(4096)
def _unit_of(by: tuple[Attribute, ...]) -> Callable[[Context], str | None]:
    if len(by) == 1 and by[0].kind == USER and not by[0].name.startswith("/"):
        name = by[0].name

        def read(context: Context) -> str | None:
            found = context.get(name)
            return found if found.__class__ is str and found else unit(found)

        return read
    reads = [reader(attribute) for attribute in by]
    return lambda context: next((u for read in reads if (u := unit(read(context)))), None)


def _in_order(steps: Sequence[Step], default: Answer) -> Decide:
    # One closure per flag that reaches all it needs by tuples: in a bulk of thousands of flags what costs is fetching
    # them from memory, not the instructions.
    def decide(context: Context, asked: Asked) -> Answer:
        for holds, answer, share in steps:
            if holds is None or holds(context, asked):
                if share is None:
                    return answer
                name, bucket, salt, ends, shares, missing = share
                found = name(context)
                return missing if found is None else shares[bisect_right(ends, bucket(salt, found))]
        return default

    return decide


def _tables(targets: Sequence[Target], answers: Answers) -> list[tuple[Read, dict[str, Answer]]]:
    """Return a table per attribute; who is named twice gets what is named first."""
    tables: dict[Attribute, dict[str, Answer]] = {}
    for index, target in in_order(targets):
        at = f"/targets/{index}/variant"
        answer = _answer(answers, at, target.variant, Reason.TARGETING_MATCH)
        table = tables.setdefault(target.attribute, {})
        for value in target.values:
            table.setdefault(value, answer)
    return [(reader(attribute), table) for attribute, table in tables.items()]


def _after_targets(tables: list[tuple[Read, dict[str, Answer]]], otherwise: Decide) -> Decide:
    def decide(context: Context, asked: Asked) -> Answer:
        for read, table in tables:
            value = read(context)
            if value.__class__ is str and (found := table.get(value)) is not None:
                return found
        return otherwise(context, asked)

    return decide


def _after_experiments(found: tuple[Assigner, ...], otherwise: Decide) -> Decide:
    def decide(context: Context, asked: Asked) -> Answer:
        for experiment in found:
            answer = experiment.answer(context, asked)
            if answer is not None:
                return answer
        return otherwise(context, asked)

    return decide


def _after_prerequisites(
    unmet: list[tuple[str, frozenset[str]]], off: Answer, otherwise: Decide
) -> Decide:
    def decide(context: Context, asked: Asked) -> Answer:
        for flag, wanted in unmet:
            served = asked.memo.get(flag)
            if served is None or served.serves not in wanted:
                return off
        return otherwise(context, asked)

    return decide
