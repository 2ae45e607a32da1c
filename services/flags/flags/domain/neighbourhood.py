"""The part of an environment that one flag can look at: a question about it need not compile all the others."""

from collections.abc import Iterable, Sequence

from flags.domain.allocation import allocation_of
from flags.domain.compile import StoredSegment
from flags.domain.reading import membership_of, targeting_of
from flags.domain.ruleset import Stored
from flags.domain.uses import NOTHING, Uses, used_by, used_in
from flags.domain.wrong import Wrong

Part = tuple[Sequence[Stored], Sequence[StoredSegment]]


def around(key: str, rows: Iterable[Stored], segments: Iterable[StoredSegment]) -> Part:
    """Return a flag with every flag and segment that it reaches, in their order."""
    flags, groups = {row.key: row for row in rows}, {s.key: s for s in segments}
    near_flags, near_groups = dict[str, None](), dict[str, None]()
    todo = [("flag", key)]
    while todo:
        kind, name = todo.pop()
        near, known = (near_flags, flags) if kind == "flag" else (near_groups, groups)
        if name in near or name not in known:
            continue
        near[name] = None
        uses = (
            uses_of(flags[name].targeting) | uses_of_experiments(flags[name].allocations)
            if kind == "flag"
            else uses_of_segment(groups[name].document)
        )
        todo += [("flag", k) for k in uses.flags] + [("segment", k) for k in uses.segments]
    return (
        [row for row in flags.values() if row.key in near_flags],
        [segment for segment in groups.values() if segment.key in near_groups],
    )


def uses_of(targeting: object) -> Uses:
    """Return what a flag's targeting uses; nothing if it cannot be read."""
    try:
        return NOTHING if targeting is None else used_by(targeting_of(targeting))
    except Wrong:
        return NOTHING


def uses_of_experiments(allocations: Iterable[object]) -> Uses:
    """Return what the targeting of experiments uses; nothing of one that cannot be read."""
    found = NOTHING
    for said in allocations:
        found |= _uses_of_experiment(said)
    return found


def _uses_of_experiment(said: object) -> Uses:
    try:
        when = allocation_of(said).when
    except ValueError:
        return NOTHING
    return NOTHING if when is None else used_in([when])


def uses_of_segment(document: object) -> Uses:
    """Return what a segment uses; nothing if it cannot be read."""
    try:
        when = membership_of(document).when
    except Wrong:
        return NOTHING
    return NOTHING if when is None else used_in([when])
