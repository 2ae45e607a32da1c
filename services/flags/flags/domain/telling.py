"""Telling a condition: whether it holds, for which found values, part by part."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flags.domain.answers import Answer, Reason
from flags.domain.compile import Asked, StoredSegment, as_context
from flags.domain.context import NOW, Context, reader
from flags.domain.operators import OPERATORS
from flags.domain.reading import membership_of
from flags.domain.rules import (
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
from flags.domain.wrong import listed

Trace = dict[str, Any]
MOST_SHOWN = 20


@dataclass(slots=True)
class Teller:
    """Tells conditions for one plain context at one time; `served` are the variants of the flags already asked.

    A segment's condition is told where it is first met, and not again: what segments ask for can be twice as much with
    each that is inside another.
    """

    segments: Mapping[str, StoredSegment]
    context: Context
    now: float
    served: Mapping[str, str]
    _met: dict[str, Trace] = field(default_factory=dict[str, Trace])

    def asked(self) -> Asked:
        """Return what a closure is asked with."""
        served = self.served.items()
        return Asked(self.now, {k: Answer(None, variant, Reason.STATIC) for k, variant in served})

    def told(self, condition: Condition, at: str) -> Trace:
        """Return whether a condition holds, and the same of every part; `at` points to it."""
        return {"pointer": at, **self._inner(condition, at)}

    def _inner(self, condition: Condition, at: str) -> Trace:
        match condition:
            case All(parts):
                told = self._each(parts, f"{at}/all")
                return {"all": told, "holds": all(part["holds"] for part in told)}
            case Some(parts):
                told = self._each(parts, f"{at}/any")
                return {"any": told, "holds": any(part["holds"] for part in told)}
            case Not(part):
                inner = self.told(part, f"{at}/not")
                return {"not": inner, "holds": not inner["holds"]}
            case Clause():
                return self._clause(condition)
            case Elements():
                return self._elements(condition, at)
            case InSegment():
                return self._segments(condition)
            case Evaluates(flag, variants):
                served = self.served.get(flag)
                known = {"flag": flag, "wanted": list(variants), "served": served}
                return {"op": "flag", **known, "holds": served in variants}

    def _each(self, parts: tuple[Condition, ...], at: str) -> list[Trace]:
        return [self.told(part, f"{at}/{index}") for index, part in enumerate(parts)]

    def _clause(self, clause: Clause) -> Trace:
        operator, operand = OPERATORS[clause.op], dict(clause.operand)
        now = clause.attribute.name == NOW
        found = self.now * 1000 if now else reader(clause.attribute)(self.context)
        timed = operator.timed
        holds = timed(operand)(found, self.now) if timed else operator.prepare(operand)(found)
        where = {"attribute": clause.attribute.name, "kind": clause.attribute.kind}
        return {
            "op": clause.op,
            **where,
            "operand": _shown(operand),
            "found": found,
            "holds": holds,
        }

    def _elements(self, elements: Elements, at: str) -> Trace:
        found = reader(elements.attribute)(self.context)
        told = [
            replace(self, context=as_context(one)).told(elements.where, f"{at}/where")
            for one in listed(found)
        ]
        holds = any(one["holds"] for one in told)
        name = elements.attribute.name
        return {
            "op": "elem_match",
            "attribute": name,
            "elements": told[:MOST_SHOWN],
            "holds": holds,
        }

    def _segments(self, condition: InSegment) -> Trace:
        told = [self._segment(key) for key in condition.segments]
        inside = any(segment["holds"] for segment in told)
        op = "not_in_segment" if condition.negated else "in_segment"
        return {"op": op, "segments": told, "holds": inside != condition.negated}

    def _segment(self, key: str) -> Trace:
        if key in self._met:
            return {name: it for name, it in self._met[key].items() if name != "condition"}
        self._met[key] = found = self._told_segment(key)
        return found

    def _told_segment(self, key: str) -> Trace:
        stored = self.segments[key]
        members = membership_of(stored.document, stored.included, stored.excluded)
        found = reader(members.attribute)(self.context)
        trace = {"segment": key, "attribute": members.attribute.name, "found": found}
        if (listed := _listed(members, found)) is not None:
            return {**trace, "why": "included" if listed else "excluded", "holds": listed}
        if members.when is None:
            return {**trace, "why": "not listed", "holds": False}
        told = self.told(members.when, f"/segments/{key}/when")
        return {**trace, "why": "condition", "condition": told, "holds": told["holds"]}


def _listed(members: Membership, found: object) -> bool | None:
    if not isinstance(found, str):
        return None
    if found in members.excluded:
        return False
    return True if found in members.included else None


def _shown(operand: Mapping[str, Any]) -> Trace:
    values = operand.get("values")
    if not isinstance(values, list) or len(values) <= MOST_SHOWN:  # type: ignore[reportUnknownArgumentType]
        return dict(operand)
    return {**operand, "values": values[:MOST_SHOWN], "values_in_all": len(values)}  # type: ignore[reportUnknownArgumentType]
