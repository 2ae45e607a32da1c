"""A project out and in again is the same project; what cannot be brought about is refused with a pointer."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from chassis.errors import Fault
from flags.api.exchange import as_yaml
from flags.domain.errors import BadDocument
from flags.domain.exchange import planned
from flags.domain.flag import Flag
from flags.domain.place import founded
from flags.domain.whole import Contents, Listed, Maker, written

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROJECT = founded(UUID(int=1), "default", "D", [UUID(int=n) for n in (2, 3, 4)], NOW)
EMPTY = Contents(project=PROJECT, flags=(), segments=())
SWISS = {"op": "eq", "attribute": "country", "value": "CH"}
IN_BETA = {"op": "in_segment", "segments": ["beta"]}


def maker():
    numbers = count(100)
    return Maker(owner="ana", now=NOW, new_id=lambda: UUID(int=next(numbers)))


def flag(key="f", **said):
    switch = {"status": "enabled", "default_variant": "on", "off_variant": "off"}
    whole = {
        "key": key,
        "name": key,
        "description": "",
        "type": "boolean",
        "variants": {"on": True, "off": False},
        "tags": [],
        "lifecycle": "active",
        "client_side": False,
        "environments": {"production": switch},
    }
    return {**whole, **said}


def segment(key="beta", **said):
    whole = {"key": key, "name": key, "description": "", "attribute": "targetingKey"}
    return {**whole, "kind": "user", "included": [], "excluded": [], **said}


def document(flags=(), segments=(), environments=()):
    return {"flags": [*flags], "segments": [*segments], "environments": [*environments]}


def brought(contents, said, *, prune=False):
    """Return what a project contains after a document was brought about."""
    plan = planned(contents, said, maker(), prune=prune)
    flags = {f.key: f for f in contents.flags}
    segments = {s.segment.key: s for s in contents.segments}
    for step in plan.steps:
        if isinstance(step.after, Flag):
            flags[step.key] = step.after
        elif isinstance(step.after, Listed):
            segments[step.key] = step.after
        elif step.action == "delete":
            (flags if step.kind == "flag" else segments).pop(step.key)
    whole = Contents(
        project=plan.project,
        flags=[flags[key] for key in sorted(flags)],
        segments=[segments[key] for key in sorted(segments)],
    )
    return plan, whole


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
KEYS = st.sampled_from(["a", "b", "shop/c", "d"])
RULES = st.lists(
    st.sampled_from(
        [
            {"when": SWISS, "variant": "on"},
            {"id": "r", "variant": "off"},
            {"split": {"weights": [{"variant": "on", "weight": 100_000}], "by": ["x"]}},
            {"when": IN_BETA, "variant": "on"},
        ]
    ),
    max_size=3,
    unique_by=repr,
)
SWITCHES = st.builds(
    lambda on, rules: {
        "status": "enabled" if on else "disabled",
        "default_variant": "off",
        "off_variant": "on",
        **({"rules": rules} if rules else {}),
    },
    st.booleans(),
    RULES,
)
FLAGS = st.builds(
    lambda key, name, tags, life, switches, salt: flag(
        key,
        name=name,
        tags=tags,
        lifecycle=life,
        environments=switches,
        salt=salt,
        bucketing=1,
    ),
    KEYS,
    TEXTS,
    st.lists(TEXTS, max_size=2, unique=True),
    st.sampled_from(["draft", "active", "stale", "archived"]),
    st.fixed_dictionaries({"production": SWITCHES, "development": SWITCHES}),
    st.sampled_from(["s1", "s2"]),
)
SEGMENTS = st.builds(
    lambda ids, when: segment(included=sorted(ids), **({"when": SWISS} if when else {})),
    st.sets(TEXTS.filter(bool), max_size=3),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(FLAGS, max_size=4, unique_by=lambda f: f["key"]), SEGMENTS)
def test_what_was_brought_about_is_written_as_it_was_said_and_differs_in_nothing(flags, beta):
    said = document(sorted(flags, key=lambda f: f["key"]), [beta])
    _, there = brought(EMPTY, said)
    out = written(there)
    assert (out["flags"], out["segments"]) == (said["flags"], said["segments"])
    assert brought(there, out)[0].steps == []
    assert yaml.safe_load(as_yaml(out)) == out
    _, elsewhere = brought(EMPTY, out)
    assert written(elsewhere) == out


def test_an_edit_says_where_it_differs_and_leaves_what_is_not_named():
    _, there = brought(EMPTY, document([flag(), flag("g")]))
    plan, after = brought(there, document([flag(name="New", tags=["x"])]))
    [step] = plan.steps
    assert (step.kind, step.key, step.action) == ("flag", "f", "update")
    assert {d.pointer for d in step.differences} == {"/name", "/tags"}
    assert [(f.key, f.version) for f in after.flags] == [("f", 2), ("g", 1)]
    assert after.flags[0].switch("development") == there.flags[0].switch("development")


def test_what_is_not_named_goes_only_if_that_is_asked_for():
    _, there = brought(EMPTY, document([flag(), flag("g")], [segment()]))
    plan, after = brought(there, document([flag()]), prune=True)
    assert [(s.key, s.action) for s in plan.steps] == [("g", "delete"), ("beta", "delete")]
    assert [f.key for f in after.flags] == ["f"]


def test_flags_may_name_each_other_in_any_order():
    wants = {"prerequisites": [{"flag": "z", "variants": ["on"]}]}
    first = flag(
        "a", environments={"production": {**flag()["environments"]["production"], **wants}}
    )
    plan, _ = brought(EMPTY, document([first, flag("z")]))
    assert len(plan.steps) == 2


def test_an_environment_that_is_missing_is_made_with_a_switch_in_every_flag():
    _, there = brought(EMPTY, document([flag("g")]))
    stage = {"key": "stage", "name": "Stage", "approvals": 1}
    switches = {"stage": flag()["environments"]["production"]}
    plan, after = brought(there, document([flag(environments=switches)], (), [stage]))
    assert [s.kind for s in plan.steps] == ["environment", "flag"]
    assert after.flags[0].switch("stage").enabled
    assert not after.flags[0].switch("production").enabled


SWITCH = flag()["environments"]["production"]


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        (document([flag(), flag()]), "/flags/1/key"),
        (document([], [segment(), segment()]), "/segments/1/key"),
        (document([flag(type="string")]), "/flags/0"),
        (document([flag(environments={"nope": SWITCH})]), "/flags/0/environments/nope"),
        (
            document([flag(environments={"production": {**SWITCH, "default_variant": "x"}})]),
            "/flags/0/environments/production/default_variant",
        ),
        (
            document(
                [
                    flag(
                        environments={
                            "production": {**SWITCH, "rules": [{"when": IN_BETA, "variant": "on"}]}
                        }
                    )
                ]
            ),
            "/flags/0/environments/production/rules/0/when",
        ),
        (document([], [segment(when={"op": "?"})]), "/segments/0/when"),
        (document([], [segment(when=IN_BETA)]), "/segments/0/when"),
    ],
)
def test_what_cannot_be_brought_about_is_refused_with_a_pointer(said, pointer):
    with pytest.raises(Fault) as refusal:
        brought(EMPTY, said)
    assert refusal.value.errors[0].pointer.startswith(pointer)


@pytest.mark.parametrize(
    "change",
    [{"type": "string", "variants": {"on": "a", "off": "b"}}, {"salt": "x"}, {"bucketing": 2}],
)
def test_what_is_fixed_when_a_flag_is_made_cannot_be_changed(change):
    _, there = brought(EMPTY, document([flag()]))
    with pytest.raises(BadDocument, match="cannot be changed"):
        brought(there, document([flag(**change)]))


def test_what_others_ask_for_does_not_go():
    _, there = brought(EMPTY, document([flag()], [segment()]))
    using = {**SWITCH, "rules": [{"when": IN_BETA, "variant": "on"}]}
    _, there = brought(there, document([flag(environments={"production": using})], [segment()]))
    with pytest.raises(BadDocument, match="could not be served"):
        brought(there, document([flag(environments={"production": using})]), prune=True)


def test_an_archived_flag_changes_only_with_its_lifecycle():
    _, there = brought(EMPTY, document([flag(lifecycle="archived")]))
    with pytest.raises(Fault, match="archived"):
        brought(there, document([flag(lifecycle="archived", name="x")]))
    assert brought(there, document([flag(name="x")]))[1].flags[0].name == "x"
    assert replace(there.flags[0]).lifecycle == "archived"
