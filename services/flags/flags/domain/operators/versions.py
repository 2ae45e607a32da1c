"""Semantic versions (semver.org 2.0): semver_eq _ne _lt _le _gt _ge, and semver_range with ~ ^ *.

A leading `v` and missing minor or patch numbers are taken as people mean them: v1.2 is 1.2.0. Build metadata does not
count. Ranges are npm's: ~1.2.3 is [1.2.3, 1.3.0), ^1.2.3 is [1.2.3, 2.0.0), ^0.2.3 is [0.2.3, 0.3.0), 1.2.* is
[1.2.0, 1.3.0), * is every version; a range never reaches into the pre-releases of its upper end.
"""

import operator as compare
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flags.domain.operators.operator import Operator, Said, Test, named, negated, texts
from flags.domain.wrong import Wrong

Version = tuple[int, int, int, tuple[Any, ...]]

_NUMBER = r"(0|[1-9][0-9]{0,17})"
_IDENTIFIERS = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION = re.compile(
    rf"[vV]?{_NUMBER}(?:\.{_NUMBER})?(?:\.{_NUMBER})?(?:-({_IDENTIFIERS}))?(?:\+{_IDENTIFIERS})?",
    re.ASCII,
)
_WILD = re.compile(rf"[vV]?{_NUMBER}(?:\.{_NUMBER})?\.[*xX]", re.ASCII)
_RELEASE = (1,)  # sorts behind every pre-release, which begins with 0
_BEFORE_ALL = (0,)
LONGEST = 256
_LARGEST = 10**18


@lru_cache(8192)
def _parsed(text: str) -> Version | None:
    found = _VERSION.fullmatch(text)
    if not found:
        return None
    major, minor, patch, before = found.groups()
    if before is None:
        return int(major), int(minor or 0), int(patch or 0), _RELEASE
    if any(len(part) > 1 and part.isdigit() and part[0] == "0" for part in before.split(".")):
        return None
    parts = tuple(_identifier(part) for part in before.split("."))
    return int(major), int(minor or 0), int(patch or 0), (0, *parts)


def _identifier(part: str) -> tuple[int, int, str]:
    return (0, int(part), "") if part.isdigit() else (1, 0, part)


def version(value: Any) -> Version | None:  # noqa: ANN401 - JSON is anything
    """Return the version that a text spells, in a form that sorts; None if it is none."""
    if value.__class__ is not str or len(value) > LONGEST:
        return None
    return _parsed(value)


def _comparing(holds: Callable[[Version, Version], bool]) -> Operator:
    def prepare(said: Said) -> Test:
        wanted = version(said.get("value"))
        if wanted is None:
            raise Wrong(
                "/value", "must be a semantic version, such as 1.4.0 or 2.0.0-rc.1", "semver"
            )

        def test(value: object) -> bool:
            found = version(value)
            return found is not None and holds(found, wanted)

        return test

    return Operator(prepare=prepare, fields=frozenset({"value"}))


def _ranged(said: Said) -> Test:
    ranges = [_range(index, text) for index, text in enumerate(texts(said, 1000))]

    def test(value: object) -> bool:
        found = version(value)
        return found is not None and any(low <= found < high for low, high in ranges)

    return test


def _range(index: int, text: str) -> tuple[Version, Version]:
    if text == "*":
        return (0, 0, 0, _BEFORE_ALL), (10**19, 0, 0, _BEFORE_ALL)
    if found := _WILD.fullmatch(text):
        return _wild(int(found[1]), None if found[2] is None else int(found[2]))
    low = version(text[1:]) if text[:1] in ("~", "^") else None
    if low is None:
        raise Wrong(f"/values/{index}", "must be a range, such as ~1.2.3, ^1.2, 1.* or *", "semver")
    return low, (_caret if text[0] == "^" else _tilde)(low, text)


def span(text: str) -> tuple[str, str | None]:
    """Return a range as the versions that it begins with and ends before; None where it has no end."""
    low, high = _range(0, text)
    return spelled(low), None if high[0] > _LARGEST else spelled(high)


def spelled(found: Version) -> str:
    """Return a version as semver.org writes it; what comes before all of its pre-releases is `-0`."""
    core, before = ".".join(map(str, found[:3])), found[3]
    if before == _RELEASE:
        return core
    parts = [str(part[1]) if part[0] == 0 else part[2] for part in before[1:]]
    return f"{core}-{'.'.join(parts) or '0'}"


def _wild(major: int, minor: int | None) -> tuple[Version, Version]:
    if minor is None:
        return (major, 0, 0, _RELEASE), (major + 1, 0, 0, _BEFORE_ALL)
    return (major, minor, 0, _RELEASE), (major, minor + 1, 0, _BEFORE_ALL)


def _tilde(low: Version, text: str) -> Version:
    if "." not in text:  # ~1 is 1.*
        return low[0] + 1, 0, 0, _BEFORE_ALL
    return low[0], low[1] + 1, 0, _BEFORE_ALL


def _caret(low: Version, text: str) -> Version:
    major, minor, patch, _ = low
    core = text.partition("-")[0].partition("+")[0]
    if major or core.count(".") == 0:
        return major + 1, 0, 0, _BEFORE_ALL
    if minor or core.count(".") == 1:
        return 0, minor + 1, 0, _BEFORE_ALL
    return 0, 0, patch + 1, _BEFORE_ALL


VERSIONS = named(
    semver_eq=_comparing(compare.eq),
    semver_ne=negated(_comparing(compare.eq)),
    semver_lt=_comparing(compare.lt),
    semver_le=_comparing(compare.le),
    semver_gt=_comparing(compare.gt),
    semver_ge=_comparing(compare.ge),
    semver_range=Operator(prepare=_ranged, fields=frozenset({"values"})),
)
