"""Written is checked: what is wrong with the targeting of a flag, or with a segment, before anybody is served by it.

An error is refused; a warning is told. Each has a JSON pointer into the document that was written.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import orjson

from flags.domain.contradictions import contradictions, unreachable
from flags.domain.graph import rings
from flags.domain.reading import membership_of, targeting_of
from flags.domain.rules import (
    MOST_RULES,
    Condition,
    Evaluates,
    InSegment,
    Membership,
    Split,
    Targeting,
    inside,
)
from flags.domain.uses import NOTHING, Uses, used_by, used_in
from flags.domain.wrong import Wrong, listed

LARGEST_DOCUMENT = 1_000_000  # bytes of one flag's targeting in one environment
MOST_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, or looks wrong, in a document."""

    severity: Literal["error", "warning"]
    pointer: str
    message: str
    code: str = "invalid"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another flag, as far as rules look at it."""

    variants: Collection[str]
    uses: Uses = NOTHING


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The other flags and the segments of the environment, by key."""

    flags: Mapping[str, Neighbour] = field(default_factory=dict[str, Neighbour])
    segments: Mapping[str, Uses] = field(default_factory=dict[str, Uses])


def analyse(
    key: str, variants: Collection[str], document: object, neighbours: Neighbours
) -> list[Finding]:
    """Return what is to be said about the targeting of the flag `key`, errors first."""
    if too_large := _too_large(document):
        return [too_large]
    readable, found = _read(document)
    own = Neighbour(variants, used_by(readable))
    known = Neighbours({**neighbours.flags, key: own}, neighbours.segments)
    found += _variants(readable, variants)
    found += _conditions(readable, known)
    found += _prerequisites(readable, known)
    found += _in_a_ring(f"flag {key}", known, "")
    found += _smells(readable)
    return sorted(found, key=lambda f: f.severity)[:MOST_FINDINGS]


def doubts(document: object) -> list[Finding]:
    """Return what looks like a mistake in a flag's targeting, as far as it shows without any neighbour."""
    try:
        targeting = targeting_of(document)
    except Wrong as wrong:
        return [Finding("error", wrong.pointer, wrong.message, wrong.code)]
    found = [*_smells(targeting)]
    for index, rule in enumerate(targeting.rules):
        if rule.when is not None:
            at = f"/rules/{index}/when"
            found += [
                Finding("warning", at, why, "contradiction") for why in contradictions(rule.when)
            ]
    return found[:MOST_FINDINGS]


def analyse_segment(key: str, document: object, neighbours: Neighbours) -> list[Finding]:
    """Return what is to be said about who is in the segment `key`."""
    if too_large := _too_large(document):
        return [too_large]
    try:
        members = membership_of(document)
    except Wrong as wrong:
        return [Finding("error", wrong.pointer, wrong.message, wrong.code)]
    uses = segment_uses(members)
    known = Neighbours(neighbours.flags, {**neighbours.segments, key: uses})
    found = list(_condition(members.when, "/when", known)) if members.when else []
    found += _in_a_ring(f"segment {key}", known, "/when")
    return sorted(found, key=lambda f: f.severity)[:MOST_FINDINGS]


def segment_uses(members: Membership) -> Uses:
    """Return what a segment uses."""
    return used_in([members.when] if members.when is not None else [])


def _too_large(document: object) -> Finding | None:
    try:
        size = len(orjson.dumps(document))
    except (TypeError, ValueError, RecursionError):
        return Finding("error", "", "is no JSON that can be kept", "json")
    if size <= LARGEST_DOCUMENT:
        return None
    said = f"is {size} bytes; at most {LARGEST_DOCUMENT} are kept: move long lists to segments"
    return Finding("error", "", said, "length")


def _read(document: object) -> tuple[Targeting, list[Finding]]:
    """Return what of a document can be read, and an error for each part that cannot."""
    try:
        return targeting_of(document), []
    except Wrong as wrong:
        whole = Finding("error", wrong.pointer, wrong.message, wrong.code)
    if not isinstance(document, dict):
        return Targeting(), [whole]
    found: dict[str, Finding] = {whole.pointer: whole}
    for field_ in ("prerequisites", "targets", "rules"):
        for index, part in enumerate(listed(document.get(field_))[:MOST_RULES]):  # type: ignore[reportUnknownMemberType]
            if len(found) < MOST_FINDINGS and (wrong := _trouble(field_, part)):
                pointer = wrong.pointer.replace(f"/{field_}/0", f"/{field_}/{index}", 1)
                found[pointer] = Finding("error", pointer, wrong.message, wrong.code)
    return Targeting(), list(found.values())


def _trouble(field_: str, part: object) -> Wrong | None:
    try:
        targeting_of({field_: [part]})
    except Wrong as wrong:
        return wrong
    return None


def _variants(targeting: Targeting, variants: Collection[str]) -> Iterator[Finding]:
    for pointer, variant in _served(targeting):
        if variant not in variants:
            said = f"there is no variant {variant!r}"
            yield Finding("error", pointer, said, "unknown_variant")


def _served(targeting: Targeting) -> Iterator[tuple[str, str]]:
    for index, target in enumerate(targeting.targets):
        yield f"/targets/{index}/variant", target.variant
    for index, rule in enumerate(targeting.rules):
        if isinstance(rule.serve, Split):
            for share, (variant, _) in enumerate(rule.serve.weights):
                yield f"/rules/{index}/split/weights/{share}/variant", variant
        else:
            yield f"/rules/{index}/variant", rule.serve


def _conditions(targeting: Targeting, known: Neighbours) -> Iterator[Finding]:
    for index, rule in enumerate(targeting.rules):
        if rule.when is not None:
            yield from _condition(rule.when, f"/rules/{index}/when", known)


def _condition(condition: Condition, at: str, known: Neighbours) -> Iterator[Finding]:
    for part in inside(condition):
        if isinstance(part, InSegment):
            for key in part.segments:
                if key not in known.segments:
                    yield Finding("error", at, f"there is no segment {key!r}", "dangling")
        elif isinstance(part, Evaluates):
            yield from _evaluates(part, at, known)
    for why in contradictions(condition):
        yield Finding("warning", at, why, "contradiction")


def _prerequisites(targeting: Targeting, known: Neighbours) -> Iterator[Finding]:
    for index, wanted in enumerate(targeting.prerequisites):
        yield from _evaluates(wanted, f"/prerequisites/{index}", known)


def _evaluates(wanted: Evaluates, at: str, known: Neighbours) -> Iterator[Finding]:
    flag = known.flags.get(wanted.flag)
    if flag is None:
        yield Finding("error", at, f"there is no flag {wanted.flag!r}", "dangling")
        return
    for variant in wanted.variants:
        if variant not in flag.variants:
            said = f"flag {wanted.flag!r} has no variant {variant!r}"
            yield Finding("error", at, said, "unknown_variant")


def _in_a_ring(start: str, known: Neighbours, pointer: str) -> Iterator[Finding]:
    edges = {f"flag {key}": _edges(flag.uses) for key, flag in known.flags.items()}
    edges |= {f"segment {key}": _edges(uses) for key, uses in known.segments.items()}
    for ring in rings(edges):
        if start in ring:
            said = f"depend on each other in a ring: {', '.join(ring[:10])}"
            yield Finding("error", pointer, said, "cycle")


def _edges(uses: Uses) -> list[str]:
    return [*(f"flag {key}" for key in uses.flags), *(f"segment {key}" for key in uses.segments)]


def _smells(targeting: Targeting) -> Iterator[Finding]:
    for index, why in unreachable(targeting.rules):
        yield Finding("warning", f"/rules/{index}", why, "unreachable")
    for check in (_repeated_ids, _repeated_targets, _empty_shares):
        yield from check(targeting)


def _repeated_ids(targeting: Targeting) -> Iterator[Finding]:
    yield from _repeated(
        [(f"/rules/{n}/id", rule.id) for n, rule in enumerate(targeting.rules) if rule.id],
        lambda name: Finding("error", "", f"rule id {name!r} is there twice", "repeated"),
    )


def _repeated_targets(targeting: Targeting) -> Iterator[Finding]:
    yield from _repeated(
        [
            (f"/targets/{n}/values/{m}", f"{target.attribute} {value}")
            for n, target in enumerate(targeting.targets)
            for m, value in enumerate(target.values)
        ],
        lambda _: Finding("warning", "", "is a target already; the first one counts", "repeated"),
    )


def _repeated(named: list[tuple[str, str]], finding: Callable[[str], Finding]) -> Iterator[Finding]:
    seen: set[str] = set()
    for pointer, name in named:
        if name in seen:
            made = finding(name)
            yield Finding(made.severity, pointer, made.message, made.code)
        seen.add(name)


def _empty_shares(targeting: Targeting) -> Iterator[Finding]:
    for index, rule in enumerate(targeting.rules):
        if isinstance(rule.serve, Split) and any(weight == 0 for _, weight in rule.serve.weights):
            said = "a share of 0 serves nobody"
            yield Finding("warning", f"/rules/{index}/split", said, "empty_share")
