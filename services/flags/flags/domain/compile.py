"""Conditions and segments into closures, made once per revision so that an evaluation only calls them.

A closure is asked with a plain context (see `context`) and `Asked`: the time, and what other flags serve to the same
context. While compiling, `Notes` collects which flags and whether the time will be asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from flags.domain.context import NOW, Attribute, Context, reader
from flags.domain.operators import OPERATORS
from flags.domain.operators.operator import Test, Timed
from flags.domain.reading import membership_of
from flags.domain.rules import (
    USER,
    All,
    Clause,
    Condition,
    Elements,
    Evaluates,
    InSegment,
    Membership,
    Not,
    Some,
)
from flags.domain.wrong import Wrong

DEEPEST_SEGMENT = 50


class Served(Protocol):
    """What a flag serves, as far as other flags look at it."""

    @property
    def serves(self) -> str:
        """The name of the flag's variant."""
        ...


@dataclass(slots=True)
class Asked:
    """What closures are asked with beside the context: seconds since 1970, and what needed flags serve.

    `members` remembers in which segments the context is; None where a flag is asked that can ask for one at most.
    """

    now: float
    memo: dict[str, Any] = field(default_factory=dict[str, Any])
    members: dict[str, bool] | None = None


Holds = Callable[[Context, Asked], bool]
Join = Callable[[Sequence[Holds]], Holds]


@dataclass(slots=True)
class Notes:
    """What a closure will ask for, and the segments that it is made of, those inside others among them."""

    needs: set[str] = field(default_factory=set[str])
    timed: bool = False
    reached: set[str] = field(default_factory=set[str])

    def take(self, other: "Notes") -> None:
        """Add what a part of the closure will ask for."""
        self.needs |= other.needs
        self.timed |= other.timed
        self.reached |= other.reached


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSegment:
    """A segment as it lies in the store: nothing in it has been checked."""

    key: str
    document: object
    included: object = ()
    excluded: object = ()


@dataclass(slots=True)
class Compiler:
    """Compiles conditions against the segments of one environment, each of which is compiled when first met."""

    segments: Mapping[str, StoredSegment] = field(default_factory=dict[str, StoredSegment])
    _known: dict[str, tuple[Holds, Notes, int] | Wrong] = field(
        default_factory=dict[str, tuple[Holds, Notes, int] | Wrong]
    )
    _depth: int = 0
    # What is written alike in several flags is one closure: there is less to keep, and less to fetch when asked.
    _clauses: dict[tuple[str, Attribute, str], tuple[Holds, bool]] = field(
        default_factory=dict[tuple[str, Attribute, str], tuple[Holds, bool]]
    )
    _junctions: dict[tuple[object, ...], Holds] = field(
        default_factory=dict[tuple[object, ...], Holds]
    )

    @property
    def size(self) -> int:
        """How many closures are shared out among flags."""
        return len(self._clauses) + len(self._junctions)

    def continued(
        self, segments: Mapping[str, StoredSegment], changed: frozenset[str]
    ) -> "Compiler":
        """Return a compiler for segments of which only these changed: what it shares out is what this one did."""
        known: dict[str, tuple[Holds, Notes, int] | Wrong] = {
            key: found
            for key, found in self._known.items()
            if not isinstance(found, Wrong)
            and key not in changed
            and not found[1].reached & changed
        }
        return Compiler(segments, known, _clauses=self._clauses, _junctions=self._junctions)

    def condition(self, condition: Condition, notes: Notes) -> Holds:
        """Return the closure of a condition. Wrong if a segment it needs is not there or cannot be used."""
        match condition:
            case Clause(op, attribute, operand):
                return self._clause(op, attribute, dict(operand), notes)
            case All(parts):
                return self._joined(_all, [self.condition(part, notes) for part in parts])
            case Some(parts):
                return self._joined(_some, [self.condition(part, notes) for part in parts])
            case Not(part):
                return _not(self.condition(part, notes))
            case Elements(attribute, where):
                return _elements(reader(attribute), self.condition(where, notes))
            case InSegment(keys, negated):
                found = _some([self._segment(key, notes) for key in keys])
                return _not(found) if negated else found
            case Evaluates(flag, variants):
                notes.needs.add(flag)
                return _evaluates(flag, frozenset(variants))

    def _clause(
        self, op: str, attribute: Attribute, operand: dict[str, Any], notes: Notes
    ) -> Holds:
        key = (op, attribute, repr(operand))
        if key not in self._clauses:
            own = Notes()
            self._clauses[key] = _clause(op, attribute, operand, own), own.timed
        holds, timed = self._clauses[key]
        notes.timed |= timed
        return holds

    def _joined(self, join: Join, parts: Sequence[Holds]) -> Holds:
        key = (join, *parts)
        if key not in self._junctions:
            self._junctions[key] = join(parts)
        return self._junctions[key]

    def _segment(self, key: str, notes: Notes) -> Holds:
        found = self._known.get(key)
        if found is None:
            self._known[key] = Wrong("", f"segment {key!r} is inside itself", "cycle")
            found = self._known[key] = self._tried(key)
        if isinstance(found, Wrong):
            raise found
        notes.take(found[1])
        notes.reached.add(key)
        self._depth = max(self._depth, found[2])
        return found[0]

    def _tried(self, key: str) -> tuple[Holds, Notes, int] | Wrong:
        stored = self.segments.get(key)
        if stored is None:
            return Wrong("", f"there is no segment {key!r}", "dangling")
        outside, self._depth = self._depth, 0
        notes = Notes()
        try:
            members = membership_of(stored.document, stored.included, stored.excluded)
            rule = None if members.when is None else self.condition(members.when, notes)
        except Wrong as wrong:
            return Wrong("", f"segment {key!r} cannot be used: {wrong.message}", wrong.code)
        finally:
            inside, self._depth = self._depth + 1, outside
        if inside > DEEPEST_SEGMENT:
            return Wrong(
                "", f"segment {key!r} is nested deeper than {DEEPEST_SEGMENT} levels", "depth"
            )
        return _remembered(key, membership(members, rule)), notes, inside


def membership(members: Membership, rule: Holds | None) -> Holds:
    """Return the closure that tells whether somebody is in a segment."""
    read, included, excluded = reader(members.attribute), members.included, members.excluded

    def holds(context: Context, asked: Asked) -> bool:
        unit = read(context)
        if unit.__class__ is str:
            if unit in excluded:
                return False
            if unit in included:
                return True
        return rule is not None and rule(context, asked)

    return holds


def _remembered(key: str, inside: Holds) -> Holds:
    def holds(context: Context, asked: Asked) -> bool:
        members = asked.members
        if members is None:
            return inside(context, asked)
        found = members.get(key)
        if found is None:
            found = members[key] = inside(context, asked)
        return found

    return holds


def _clause(op: str, attribute: Attribute, operand: dict[str, Any], notes: Notes) -> Holds:
    operator = OPERATORS[op]
    if operator.timed is not None:
        notes.timed |= (op != "time_between" and _is_relative(operand)) or attribute.name == NOW
        return _timed(attribute, operator.timed(operand))
    test = operator.prepare(operand)
    if attribute.name == NOW:
        notes.timed = True
        return lambda _, asked: test(asked.now * 1000)
    if attribute.kind == USER and not attribute.name.startswith("/"):
        return _named(attribute.name, test)
    read = reader(attribute)
    return lambda context, _: test(read(context))


def _is_relative(operand: Mapping[str, Any]) -> bool:
    return str(operand.get("value", ""))[:1] in ("-", "+")


def _named(name: str, test: Test) -> Holds:
    return lambda context, _: test(context.get(name))


def _timed(attribute: Attribute, test: Timed) -> Holds:
    if attribute.name == NOW:
        return lambda _, asked: test(asked.now * 1000, asked.now)
    read = reader(attribute)
    return lambda context, asked: test(read(context), asked.now)


def _all(parts: Sequence[Holds]) -> Holds:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        return lambda context, asked: first(context, asked) and second(context, asked)

    def holds(context: Context, asked: Asked) -> bool:
        for part in parts:  # noqa: SIM110 - a generator would cost as much again
            if not part(context, asked):
                return False
        return True

    return holds


def _some(parts: Sequence[Holds]) -> Holds:
    if len(parts) == 1:
        return parts[0]
    if len(parts) == 2:
        first, second = parts
        return lambda context, asked: first(context, asked) or second(context, asked)

    def holds(context: Context, asked: Asked) -> bool:
        for part in parts:  # noqa: SIM110
            if part(context, asked):
                return True
        return False

    return holds


def _not(part: Holds) -> Holds:
    return lambda context, asked: not part(context, asked)


def _elements(read: Callable[[Context], Any], where: Holds) -> Holds:
    def holds(context: Context, asked: Asked) -> bool:
        found = read(context)
        return found.__class__ is list and any(where(as_context(one), asked) for one in found)

    return holds


def as_context(element: object) -> Context:
    """Return an element of a list as a context of its own: what is no object is the attribute `value`."""
    return element if isinstance(element, dict) else {"value": element}  # type: ignore[reportUnknownVariableType]


def _evaluates(flag: str, variants: frozenset[str]) -> Holds:
    def holds(_: Context, asked: Asked) -> bool:
        served: Served | None = asked.memo.get(flag)
        return served is not None and served.serves in variants

    return holds
