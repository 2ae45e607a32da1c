"""The ruleset: the flags of one environment in the form that answers, compiled once per revision.

Compiling refuses what cannot be served, so that answering cannot fail: a flag whose stored form makes no sense (written
by hand, by a bug, by a newer version) keeps its last good form, or answers ERROR, and its neighbours are served.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from chassis.errors import Fault
from flags.domain.answers import Answer, Answers, Reason, Trouble, failed
from flags.domain.bucketing import BUCKETS, NEWEST
from flags.domain.compile import Asked, Compiler, Notes, StoredSegment
from flags.domain.context import Context, plain
from flags.domain.decide import Decide, Recipe, decision
from flags.domain.graph import rings
from flags.domain.place import Place
from flags.domain.reading import targeting_of
from flags.domain.reuse import Made, Reuse, form_of, reuse
from flags.domain.rules import EVERYBODY_ALIKE
from flags.domain.values import FlagType, Value, as_served
from flags.domain.variants import must_fit

# What a closure could raise for a context, and compiling for a stored form, that nobody thought of.
_SURPRISES = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    RecursionError,
)
_NOTHING_TO_ASK = Asked(0.0)
_SURPRISED = failed(Trouble.GENERAL, "the flag cannot be evaluated for this context")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A flag as it lies in the store: nothing in it has been checked."""

    key: str
    type: str
    variants: object
    enabled: bool
    default_variant: str
    off_variant: str
    client_side: bool
    targeting: object = None
    salt: str = ""
    bucketing: int = NEWEST
    allocations: tuple[object, ...] | list[object] = ()


_FORM = tuple(one.name for one in fields(Stored))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A flag that can be asked. `answer` is set if it is the same for everybody; else `decide` finds it.

    `answers` are all that it can ever give; `needs` the flags that have to be asked before; `timed` tells that the
    answer may change by itself as time goes by; `reached` are the segments that it is made of.
    """

    key: str
    client_side: bool
    answer: Answer | None
    decide: Decide | None = None
    answers: tuple[Answer, ...] = ()
    needs: frozenset[str] = frozenset()
    timed: bool = False
    reached: frozenset[str] = frozenset()
    surprise: Answer = _SURPRISED

    @property
    def broken(self) -> bool:
        """Tell whether the flag can only say that it cannot be served."""
        return self.answer is not None and self.answer.reason is Reason.ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """Everything one environment serves at one revision; `made` is what the next one can be made of."""

    place: Place
    revision: int
    flags: Mapping[str, Compiled] = field(default_factory=dict[str, Compiled])
    made: Made | None = field(default=None, repr=False, compare=False)

    def visible(self, *, client_side: bool) -> Iterable[Compiled]:
        """Return what a key may see: a client-side key only the flags that are marked for clients."""
        return (flag for flag in self.flags.values() if flag.client_side or not client_side)

    def seen_as(self, key: str, *, client_side: bool) -> Compiled | None:
        """Return a flag by its key; None if there is none that such a key may see."""
        flag = self.flags.get(key)
        return flag if flag and (flag.client_side or not client_side) else None

    def ask(self, flag: Compiled, context: Context, now: float) -> Answer:
        """Return what a flag serves to a context (any JSON object), at `now` seconds since 1970. Never raises."""
        if flag.answer is not None:
            return flag.answer
        if flag.needs or len(flag.reached) > 1:
            # Segments ask for others, and these for others again: each is found out once, or it would never end.
            asked = Asked(now, members={})
        else:
            asked = Asked(now) if flag.timed else _NOTHING_TO_ASK
        return self.serve(flag, plain(context) if "kind" in context else context, asked)

    def serve(self, flag: Compiled, context: Context, asked: Asked) -> Answer:
        """Return what a flag serves to a plain context; flags that are asked with one `asked` share what they need."""
        if flag.needs and not asked.memo.keys() >= flag.needs:
            self._settle(flag, context, asked)
        if flag.decide is None:
            return flag.answer or flag.surprise
        try:
            return flag.decide(context, asked)
        except _SURPRISES:
            return flag.surprise

    def _settle(self, flag: Compiled, context: Context, asked: Asked) -> None:
        """Ask every flag that this one needs, deepest first, each once: there is no limit to the depth."""
        memo, stack = asked.memo, list(flag.needs)
        while stack:
            needed = self.flags.get(stack[-1])
            if needed is None or needed.key in memo:
                stack.pop()
                continue
            before = [key for key in needed.needs if key not in memo and key in self.flags]
            if before:
                stack += before
            else:
                memo[needed.key] = self.serve(needed, context, asked)
                stack.pop()


def compiled(stored: Stored, compiler: Compiler | None = None) -> Compiled:
    """Return the flag in the form that answers. ValueError if what is stored cannot be served."""
    variants = variants_of(stored)
    answers = Answers(variants, stored.key)
    served = stored.default_variant if stored.enabled else stored.off_variant
    for name in (served, stored.off_variant):
        if name not in variants:
            raise ValueError(f"there is no variant {name!r}")
    recipe = recipe_of(stored)
    if not stored.enabled or not (recipe.targeting or recipe.allocations):
        reason = Reason.STATIC if stored.enabled else Reason.DISABLED
        return _static(stored, answers.of(served, reason))
    notes = Notes()
    surprise = answers.trouble(Trouble.GENERAL, _SURPRISED.details)
    decide = decision(recipe, answers, compiler or Compiler(), notes)
    return Compiled(
        key=stored.key,
        client_side=stored.client_side,
        answer=None,
        decide=decide,
        answers=answers.all(),
        needs=frozenset(notes.needs),
        timed=notes.timed,
        reached=frozenset(notes.reached),
        surprise=surprise,
    )


def _static(stored: Stored, answer: Answer) -> Compiled:
    return Compiled(
        key=stored.key, client_side=stored.client_side, answer=answer, answers=(answer,)
    )


def variants_of(stored: Stored) -> Mapping[str, Value]:
    """Return a stored flag's variants as they are served. ValueError if they are not of its type."""
    if not isinstance(stored.variants, dict):
        raise ValueError("the variants are not an object")
    variants: dict[str, Value] = stored.variants  # type: ignore[reportUnknownMemberType]
    kind = FlagType(stored.type)
    try:
        must_fit(kind, variants)
    except Fault as fault:
        raise ValueError(fault.detail) from fault
    return {name: as_served(kind, value) for name, value in variants.items()}


def recipe_of(stored: Stored) -> Recipe:
    """Return what a stored flag is made of. ValueError if it cannot be served."""
    if stored.bucketing not in BUCKETS:
        raise ValueError(f"bucketing version {stored.bucketing} is not known here")
    said = stored.targeting
    return Recipe(
        targeting=EVERYBODY_ALIKE if said is None else targeting_of(said),
        default=stored.default_variant,
        off=stored.off_variant,
        salt=stored.salt or stored.key,
        bucketing=stored.bucketing,
        allocations=tuple(stored.allocations),
    )


def compile_all(
    place: Place,
    revision: int,
    rows: Iterable[Stored],
    before: Ruleset | None = None,
    segments: Iterable[StoredSegment] = (),
) -> tuple[Ruleset, Mapping[str, str]]:
    """Return the ruleset of a revision, and what is wrong with each flag (by key) that had to be refused.

    What is as it was in the ruleset before is taken over from there.
    """
    known = {stored.key: stored for stored in rows}
    making = _Making(known, before, reuse(before.made if before else None, segments))
    for stored in known.values():
        making.flag(stored)
    making.open_rings()
    made = making.taken.made()
    return Ruleset(place=place, revision=revision, flags=making.flags, made=made), making.refused


@dataclass(slots=True)
class _Making:
    """A ruleset on its way."""

    known: Mapping[str, Stored]
    before: Ruleset | None
    taken: Reuse
    flags: dict[str, Compiled] = field(default_factory=dict[str, Compiled])
    refused: dict[str, str] = field(default_factory=dict[str, str])

    def flag(self, stored: Stored) -> None:
        """Take a flag over, or compile it, or find something else that can be served for it."""
        key, form = stored.key, form_of([getattr(stored, name) for name in _FORM])
        old = self.before.flags.get(key) if self.before else None
        try:
            same = old is not None and self.taken.holds(key, form, old.reached)
            self.flags[key] = old if old and same else compiled(stored, self.taken.compiler)
            if form is not None:
                self.taken.forms[key] = form
        except _SURPRISES as trouble:
            spared = _without_experiments(stored, self.taken.compiler)
            self._refuse(key, spared or old or _broken(stored), str(trouble))

    def open_rings(self) -> None:
        """Have no flag need itself: without the experiment whose targeting closes the ring, or else not served."""
        for key, why in _in_rings(self.flags):
            spared = _without_experiments(self.known[key], self.taken.compiler)
            if spared and spared.needs != self.flags[key].needs:
                self._refuse(key, spared, why)
        for key, why in _in_rings(self.flags):
            self._refuse(key, _broken(self.known[key]), why)

    def _refuse(self, key: str, instead: Compiled, why: str) -> None:
        self.flags[key], self.refused[key] = instead, why
        self.taken.forms.pop(key, None)


def _in_rings(flags: Mapping[str, Compiled]) -> list[tuple[str, str]]:
    """Return the flags that need themselves, each with a sentence that says so."""
    said = "the flags {} depend on each other in a ring"
    found = rings({flag.key: flag.needs for flag in flags.values() if flag.needs})
    return [(key, said.format(", ".join(ring[:5]))) for ring in found for key in ring]


def _without_experiments(stored: Stored, compiler: Compiler) -> Compiled | None:
    """Return a flag whose experiments, not itself, are what cannot be served; None if that is not it."""
    if not stored.allocations:
        return None
    try:
        return compiled(replace(stored, allocations=()), compiler)
    except _SURPRISES:
        return None


def _broken(stored: Stored) -> Compiled:
    said = f"the stored form of flag {stored.key!r} cannot be served"
    answer = failed(Trouble.PARSE_ERROR, said, stored.key)
    return Compiled(
        key=stored.key, client_side=stored.client_side, answer=answer, answers=(answer,)
    )
