"""A document compared with the project that is there, and what it takes for this to become as it says.

A document says everything about the flags and segments that are in it, and about each environment that a flag names;
what it does not name stays, unless everything else is to go. Environments are made where they are missing, and never
changed. Salt and bucketing version go along, so that units keep their variants in another installation; they are fixed
when a flag is made.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from chassis.errors import Fault, FieldError
from flags.domain.errors import BadDocument
from flags.domain.flag import TARGETING, Change, Draft, Flag, Lifecycle, Switch, made
from flags.domain.outcome import must_be_servable
from flags.domain.place import Environment, Project, first_revision
from flags.domain.reading import membership_of
from flags.domain.revision import differences
from flags.domain.segment import Members, Segment
from flags.domain.values import FlagType
from flags.domain.whole import (
    Contents,
    Document,
    Listed,
    Maker,
    Plan,
    Step,
    flag_document,
    segment_document,
)
from flags.domain.wrong import Wrong


def planned(contents: Contents, said: Document, maker: Maker, *, prune: bool) -> Plan:
    """Return what differs between a project and a document.

    BadDocument, or whatever refuses the same edit elsewhere, with pointers into the document.
    """
    _must_be_unique(said)
    environments = [*_environments(contents.project, said, maker)]
    project = replace(
        contents.project, environments=(*contents.project.environments, *environments)
    )
    flags = [_in_all(flag, project) for flag in contents.flags]
    steps = [
        *(Step(kind="environment", key=e.key, action="create", after=e) for e in environments),
        *_segments(contents, said, maker),
        *_flags(project, flags, said, maker),
    ]
    if prune:
        steps += _rest(contents, said)
    must_be_servable(project, contents, flags, steps, said)
    return Plan(project=project, steps=steps)


def _must_be_unique(said: Document) -> None:
    for kind in ("environments", "segments", "flags"):
        seen = set[str]()
        for index, one in enumerate(said[kind]):
            if one["key"] in seen:
                at = f"/{kind}/{index}/key"
                raise _bad(at, f"{one['key']!r} is there twice", "repeated")
            seen.add(one["key"])


def _bad(pointer: str, message: str, code: str = "invalid") -> BadDocument:
    return BadDocument(f"{pointer}: {message}", errors=(FieldError(pointer, message, code),))


def _environments(project: Project, said: Document, maker: Maker) -> Iterator[Environment]:
    known = {environment.key for environment in project.environments}
    for one in said["environments"]:
        if one["key"] not in known:
            first = first_revision(maker.now)
            yield Environment(id=maker.new_id(), revision=first, created_at=maker.now, **one)


def _in_all(flag: Flag, project: Project) -> Flag:
    """Return a flag with a switch in every environment: in a new one it is disabled, and serves as in the first."""
    like = flag.switch(project.environments[0].key)
    new = Switch(default_variant=like.default_variant, off_variant=like.off_variant)
    keys = [environment.key for environment in project.environments]
    return replace(flag, switches={key: flag.switches.get(key, new) for key in keys})


# --- segments -----------------------------------------------------------------------------------------------------


def _segments(contents: Contents, said: Document, maker: Maker) -> Iterator[Step]:
    known = {listed.segment.key: listed for listed in contents.segments}
    for index, one in enumerate(said["segments"]):
        before = known.get(one["key"])
        after = _listed(before, one, contents.project, maker, index)
        old, new = before and segment_document(before), segment_document(after)
        if old != new:
            yield Step(
                kind="segment",
                key=one["key"],
                action="create" if before is None else "update",
                differences=[*differences(old or {}, new)],
                before=before,
                after=after,
            )


def _listed(
    before: Listed | None, one: Document, project: Project, maker: Maker, index: int
) -> Listed:
    lists = {name: frozenset(one[name]) for name in ("included", "excluded")}
    fields = {name: one[name] for name in ("name", "description", "attribute", "kind")}
    fields |= {"when": one.get("when"), **{name: len(ids) for name, ids in lists.items()}}
    _must_read(one, f"/segments/{index}")
    members = Members(**lists)
    if before is not None:
        changed = before.segment.changed(fields, maker.now)
        if changed is before.segment and members != before.members:
            changed = replace(changed, version=changed.version + 1, updated_at=maker.now)
        return Listed(changed, members)
    new = Segment(
        id=maker.new_id(),
        tenant=project.tenant,
        project_id=project.id,
        key=one["key"],
        created_at=maker.now,
        updated_at=maker.now,
        **fields,
    )
    return Listed(new, members)


def _must_read(one: Document, at: str) -> None:
    said = {name: one[name] for name in ("attribute", "kind", "when") if one.get(name) is not None}
    try:
        membership_of(said, one["included"], one["excluded"])
    except Wrong as wrong:
        raise _bad(at + wrong.pointer, wrong.message, wrong.code) from None


# --- flags --------------------------------------------------------------------------------------------------------


def _flags(project: Project, flags: Sequence[Flag], said: Document, maker: Maker) -> Iterator[Step]:
    known = {flag.key: flag for flag in flags}
    for index, one in enumerate(said["flags"]):
        before = known.get(one["key"])
        try:
            after = _made(project, one, maker) if before is None else _changed(before, one, maker)
        except Fault as fault:
            raise _within(fault, f"/flags/{index}") from None
        if after is not before:
            old = {} if before is None else flag_document(before)
            yield Step(
                kind="flag",
                key=one["key"],
                action="create" if before is None else "update",
                differences=[*differences(old, flag_document(after))],
                before=before,
                after=after,
            )


def _within(fault: Fault, at: str) -> Fault:
    """Return a fault of one flag as a fault of the document."""
    errors = tuple(FieldError(at + e.pointer, e.message, e.code) for e in fault.errors)
    errors = errors or (FieldError(at, fault.detail, fault.code),)
    return type(fault)(f"{at}: {fault.detail}", code=fault.code, errors=errors)


def _made(project: Project, one: Document, maker: Maker) -> Flag:
    names = ("key", "name", "description", "variants", "client_side")
    draft = Draft(
        **{name: one[name] for name in names},
        type=FlagType(one["type"]),
        tags=tuple(one["tags"]),
        lifecycle=Lifecycle(one["lifecycle"]),
        schema=one.get("json_schema"),
    )
    new = made(draft, maker.new_id(), project, maker.owner, maker.now)
    new = replace(new, salt=one.get("salt") or new.salt)
    if (bucketing := one.get("bucketing")) is not None:
        new = replace(new, bucketing=bucketing)
    return replace(new, switches=_switches(new, one, made=True))


def _changed(before: Flag, one: Document, maker: Maker) -> Flag:
    fixed = {"type": before.type.value, "salt": before.salt, "bucketing": before.bucketing}
    for name, value in fixed.items():
        if one.get(name) not in (None, value):
            raise _bad(f"/{name}", f"is {value!r} and cannot be changed", "fixed")
    fields = {name: one[name] for name in ("name", "description", "variants", "client_side")}
    fields |= {"tags": tuple(one["tags"]), "lifecycle": Lifecycle(one["lifecycle"])}
    fields["schema"] = one.get("json_schema")
    after = replace(before, switches=_switches(before, one, made=False))
    where = next(iter(before.switches))
    return after.changed(where, maker.now, Change(flag=fields), since=before)


def _switches(flag: Flag, one: Document, *, made: bool) -> dict[str, Switch]:
    switches = dict(flag.switches)
    for key, said in one["environments"].items():
        if key not in switches:
            raise _bad(f"/environments/{key}", "there is no such environment", "unknown")
        old = switches[key]
        for name in ("default_variant", "off_variant"):
            if said[name] not in one["variants"]:
                at = f"/environments/{key}/{name}"
                raise _bad(at, f"there is no variant {said[name]!r}", "unknown_variant")
        new = replace(
            old,
            enabled=said["status"] == "enabled",
            default_variant=said["default_variant"],
            off_variant=said["off_variant"],
            **{name: tuple(said.get(name) or ()) for name in TARGETING},
        )
        switches[key] = new if made or new == old else replace(new, version=old.version + 1)
    return switches


# --- what is not in the document ----------------------------------------------------------------------------------


def _rest(contents: Contents, said: Document) -> list[Step]:
    flags = {one["key"] for one in said["flags"]}
    segments = {one["key"] for one in said["segments"]}
    gone: list[tuple[Literal["flag", "segment"], str, Flag | Listed]] = [
        *(("flag", f.key, f) for f in contents.flags if f.key not in flags),
        *(
            ("segment", s.segment.key, s)
            for s in contents.segments
            if s.segment.key not in segments
        ),
    ]
    return [Step(kind=kind, key=key, action="delete", before=b) for kind, key, b in gone]
