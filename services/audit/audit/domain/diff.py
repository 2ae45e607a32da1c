"""What changed between two JSON documents, as a JSON Patch (RFC 6902)."""

from collections.abc import Sequence
from typing import Any, cast

Json = Any
Operation = dict[str, Json]


def diff(before: Json, after: Json) -> list[Operation]:
    """Return the operations that turn `before` into `after`: add, remove and replace, in the order to apply them."""
    return _changes("", before, after)


def _changes(path: str, before: Json, after: Json) -> list[Operation]:
    if isinstance(before, dict) and isinstance(after, dict):
        return _in_object(path, cast("dict[str, Json]", before), cast("dict[str, Json]", after))
    if isinstance(before, list) and isinstance(after, list):
        return _in_array(path, cast("list[Json]", before), cast("list[Json]", after))
    same = isinstance(before, bool) == isinstance(after, bool) and before == after
    return [] if same else [{"op": "replace", "path": path, "value": after}]


def _in_object(path: str, before: dict[str, Json], after: dict[str, Json]) -> list[Operation]:
    made: list[Operation] = []
    for name in sorted(before.keys() | after.keys()):
        at = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
        if name not in after:
            made.append({"op": "remove", "path": at})
        elif name not in before:
            made.append({"op": "add", "path": at, "value": after[name]})
        else:
            made += _changes(at, before[name], after[name])
    return made


def _in_array(path: str, before: Sequence[Json], after: Sequence[Json]) -> list[Operation]:
    """Leave what both begin and end with; change what lies between place by place, then add or remove the rest."""
    head = _same_for(before, after)
    tail = _same_for(before[head:][::-1], after[head:][::-1])
    old, new = before[head : len(before) - tail], after[head : len(after) - tail]
    made: list[Operation] = []
    for place, (was, becomes) in enumerate(zip(old, new, strict=False), head):
        made += _changes(f"{path}/{place}", was, becomes)
    both = min(len(old), len(new))
    for place in range(head + len(old) - 1, head + both - 1, -1):
        made.append({"op": "remove", "path": f"{path}/{place}"})
    for place, value in enumerate(new[both:], head + both):
        made.append({"op": "add", "path": f"{path}/{place}", "value": value})
    return made


def _same_for(before: Sequence[Json], after: Sequence[Json]) -> int:
    """Return how many items are the same from the start."""
    pairs = zip(before, after, strict=False)
    return next(
        (place for place, (was, becomes) in enumerate(pairs) if _changes("", was, becomes)),
        min(len(before), len(after)),
    )
