"""A whole project as one document: what it consists of, how it is written out, and what it takes to become another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from flags.domain.allocation import Kept
from flags.domain.flag import Flag, document
from flags.domain.place import Environment, Project
from flags.domain.revision import Difference
from flags.domain.segment import Members, Segment

FORMAT = "switchyard.flags/1"
Document = Mapping[str, Any]
Action = Literal["create", "update", "delete"]


@dataclass(frozen=True, slots=True)
class Listed:
    """A segment with its lists."""

    segment: Segment
    members: Members


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Everything in a project, and what experiments want of its flags."""

    project: Project
    flags: Sequence[Flag]
    segments: Sequence[Listed]
    experiments: Sequence[Kept] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing that differs: what is to be done to it, where it differs, and how it is before and after."""

    kind: Literal["environment", "segment", "flag"]
    key: str
    action: Action
    differences: Sequence[Difference] = ()
    before: Flag | Listed | None = None
    after: Flag | Listed | Environment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What it takes for a project to be as a document says. `project` has the environments that are to be made."""

    project: Project
    steps: Sequence[Step] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Whose everything is that has to be made, when, and where ids come from."""

    owner: str
    now: datetime
    new_id: Callable[[], UUID] = field(repr=False)


def written(contents: Contents) -> dict[str, Any]:
    """Return a project as a document."""
    return {
        "format": FORMAT,
        "environments": [environment_document(e) for e in contents.project.environments],
        "segments": [segment_document(listed) for listed in contents.segments],
        "flags": [flag_document(flag) for flag in contents.flags],
    }


def environment_document(environment: Environment) -> dict[str, Any]:
    """Return an environment as the document says it."""
    names = ("key", "name", "approvals")
    return {name: getattr(environment, name) for name in names}


def segment_document(listed: Listed) -> dict[str, Any]:
    """Return a segment as the document says it, with its lists."""
    segment = listed.segment
    return {
        "key": segment.key,
        "name": segment.name,
        "description": segment.description,
        **segment.document,
        "included": sorted(listed.members.included),
        "excluded": sorted(listed.members.excluded),
    }


def flag_document(flag: Flag) -> dict[str, Any]:
    """Return a flag as the document says it, with all that it does anywhere."""
    said = document(flag)
    return {**said, "salt": flag.salt, "bucketing": flag.bucketing}
