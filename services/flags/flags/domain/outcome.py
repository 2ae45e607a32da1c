"""Whether what comes of an import can be served: all that it leaves is looked at, wherever the trouble shows."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from chassis.errors import FieldError
from flags.domain.allocation import Kept
from flags.domain.analyse import Finding, Neighbour, Neighbours, analyse, analyse_segment
from flags.domain.errors import BadDocument, SegmentInUse
from flags.domain.flag import Flag
from flags.domain.neighbourhood import uses_of, uses_of_experiments, uses_of_segment
from flags.domain.place import Environment, Project
from flags.domain.segment import Segment
from flags.domain.uses import NOTHING, Uses
from flags.domain.whole import Contents, Document, Listed, Step


def must_be_servable(
    project: Project,
    contents: Contents,
    flags: Sequence[Flag],
    steps: Sequence[Step],
    said: Document,
) -> None:
    """Refuse what could not be served once all is done, wherever it shows: flags may name each other in any order."""
    after = {flag.key: flag for flag in flags}
    groups = {listed.segment.key: listed.segment for listed in contents.segments}
    for step in steps:
        if isinstance(step.after, Flag):
            after[step.key] = step.after
        elif isinstance(step.after, Listed):
            groups[step.key] = step.after.segment
        elif step.action == "delete":
            (after if step.kind == "flag" else groups).pop(step.key, None)
    _check_experiments(contents.experiments, groups)
    at = {one["key"]: f"/flags/{index}" for index, one in enumerate(said["flags"])}
    uses = {key: uses_of_segment(segment.document) for key, segment in groups.items()}
    for environment in project.environments:
        wanted = _wanted(contents.experiments, environment)
        near = Neighbours(
            {
                key: _neighbour(flag, environment.key, wanted.get(flag.id, NOTHING))
                for key, flag in after.items()
            },
            uses,
        )
        for key, flag in after.items():
            where = f"{at.get(key, '')}/environments/{environment.key}"
            _refuse(_found(flag, environment.key, near), where, key)
        _check_segments(groups, near, said)


def _check_experiments(experiments: Sequence[Kept], groups: Mapping[str, Segment]) -> None:
    """Refuse to take a segment away from an experiment that is running: it would assign nobody any more."""
    for kept in experiments:
        for key in sorted(uses_of_experiments([kept.document]).segments - groups.keys()):
            name = (kept.document or {}).get("experiment")
            raise SegmentInUse(
                f"segment {key!r} is asked for by experiment {name!r}: change that first"
            )


def _wanted(experiments: Sequence[Kept], environment: Environment) -> Mapping[UUID | None, Uses]:
    """Return what the targeting of experiments uses in an environment, by the ids of their flags."""
    found: dict[UUID | None, Uses] = {}
    for kept in experiments:
        if kept.environment_id == environment.id:
            uses = uses_of_experiments([kept.document])
            found[kept.flag_id] = found.get(kept.flag_id, NOTHING) | uses
    return found


def _check_segments(groups: Mapping[str, Segment], near: Neighbours, said: Document) -> None:
    at = {one["key"]: f"/segments/{index}" for index, one in enumerate(said["segments"])}
    for key, segment in groups.items():
        known = near if near.segments[key] != NOTHING else Neighbours()
        _refuse(analyse_segment(key, segment.document, known), at.get(key, ""), key)


def _found(flag: Flag, environment: str, near: Neighbours) -> Sequence[Finding]:
    """Return what is wrong with a flag. Most ask for nothing else, and then nobody else needs to be looked at."""
    targeting = flag.switch(environment).targeting
    if not targeting:
        return ()
    known = near if near.flags[flag.key].uses != NOTHING else Neighbours()
    return analyse(flag.key, flag.variants.keys(), targeting, known)


def _neighbour(flag: Flag, environment: str, wanted: Uses) -> Neighbour:
    targeting = flag.switch(environment).targeting
    return Neighbour(flag.variants.keys(), uses_of(targeting or None) | wanted)


def _refuse(findings: Sequence[Finding], at: str, key: str) -> None:
    errors = [found for found in findings if found.severity == "error"]
    if errors:
        first = errors[0]
        raise BadDocument(
            f"{key!r} could not be served: {at}{first.pointer}: {first.message}",
            errors=tuple(FieldError(at + e.pointer, e.message, e.code) for e in errors),
        )
