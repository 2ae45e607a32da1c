"""What is taken over from the ruleset before is what would be made anew, and nothing that changed is taken over."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flags.api.rendered import rendered
from flags.domain.compile import StoredSegment
from flags.domain.place import Place
from flags.domain.reuse import SPARE, form_of
from flags.domain.ruleset import Stored, compile_all

PLACE = Place(UUID(int=9), "default", "production")
SWISS = {"op": "eq", "attribute": "country", "value": "CH"}
CONTEXTS = [
    {"targetingKey": unit, "country": country}
    for unit in ("ana", "bob", "c")
    for country in ("CH", "DE", "1")
]


def flag(key, when=None, **more):
    usual = Stored(
        key=key,
        type="boolean",
        variants={"on": True, "off": False},
        enabled=True,
        default_variant="off",
        off_variant="off",
        client_side=False,
        targeting=when and {"rules": [{"when": when, "variant": "on"}]},
    )
    return replace(usual, **more)


def segment(key, when=SWISS, included=()):
    return StoredSegment(key=key, document={"when": when}, included=list(included))


def inside(key):
    return {"op": "in_segment", "segments": [key]}


def asks(key):
    return {"op": "flag", "flag": key, "variants": ["on"]}


def made(rows, segments=(), before=None):
    return compile_all(PLACE, 1, rows, before, segments)


def test_only_what_changed_is_compiled_again():
    groups = [segment("outer", inside("inner")), segment("inner"), segment("other")]
    rows = [
        flag("plain"),
        flag("swiss", SWISS),
        flag("outer", inside("outer")),
        flag("other", inside("other")),
        flag("asks", asks("outer")),
    ]
    first, _ = made(rows, groups)

    def taken_over(rows, groups):
        then, refused = made(rows, groups, first)
        assert refused == {}
        return {key for key, one in then.flags.items() if one is first.flags.get(key)}

    assert taken_over(rows, groups) == {"plain", "swiss", "outer", "other", "asks"}
    changed = [replace(rows[1], enabled=False), *rows[2:], rows[0], flag("new")]
    assert taken_over(changed, groups) == {"plain", "outer", "other", "asks"}
    listed = [groups[0], segment("inner", included=["ana"]), groups[2]]
    assert taken_over(rows, listed) == {"plain", "swiss", "other", "asks"}
    assert taken_over(rows, [*groups, segment("more")]) == first.flags.keys()


def test_what_is_taken_over_asks_the_flag_that_is_there_now():
    first, _ = made([flag("f", SWISS), flag("g", asks("f"))])
    then, _ = made([flag("f", enabled=False), flag("g", asks("f"))], (), first)
    assert then.flags["g"] is first.flags["g"]
    swiss = {"country": "CH"}
    assert [r.ask(r.flags["g"], swiss, 0.0).variant for r in (first, then)] == ["on", "off"]


def test_a_ring_that_comes_and_goes_is_seen_each_time():
    straight, ring = (
        [flag("f", SWISS), flag("g", asks("f"))],
        [
            flag("f", asks("g")),
            flag("g", asks("f")),
        ],
    )
    first, _ = made(straight)
    second, refused = made(ring, (), first)
    assert (sorted(refused), second.flags["g"].broken) == (["f", "g"], True)
    third, refused = made(straight, (), second)
    assert (refused, third.flags["g"].broken) == ({}, False)


def test_a_flag_whose_segment_comes_back_is_served_again():
    rows, groups = [flag("f", inside("s"))], [segment("s")]
    first, _ = made(rows, groups)
    second, refused = made(rows, (), first)
    assert (list(refused), second.flags["f"] is first.flags["f"]) == (["f"], True)
    third, refused = made(rows, [segment("s", included=["ana"])], second)
    assert refused == {}
    assert third.ask(third.flags["f"], {"targetingKey": "ana"}, 0.0).variant == "on"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (1, True),
        (1, 1.0),
        (0, False),
        ("1", 1),
        (None, False),
        ([1], [True]),
        ({"a": 1}, {"a": 1.0}),
    ],
)
def test_what_is_equal_to_python_alone_has_another_form(before, after):
    assert form_of(before) != form_of(after)
    assert form_of(before) == form_of(eval(repr(before)))


def test_what_is_no_plain_data_has_no_form():
    assert form_of({"a": object()}) is None


def test_a_value_of_another_type_is_served_as_it_is_written_now():
    one = replace(flag("f"), type="json", variants={"on": {"n": 1}, "off": {"n": 1}})
    first, _ = made([one])
    then, _ = made([replace(one, variants={"on": {"n": True}, "off": {"n": True}})], (), first)
    assert then.flags["f"].answer.value["n"] is True


def test_closures_of_what_is_no_more_are_not_kept_for_ever():
    def of(n):
        return [flag("f", {"op": "eq", "attribute": "plan", "value": f"{n}"}), flag("g", SWISS)]

    ruleset, _ = made(of(0))
    most = 0
    for n in range(1, SPARE + 50):
        ruleset, _ = made(of(n), (), ruleset)
        most = max(most, ruleset.made.compiler.size)
    assert SPARE < most <= SPARE + 10
    assert ruleset.made.compiler.size < 100


def allocation(number, when=None, **more):
    arms = [{"key": k, "weight": 50_000, "serves": v} for k, v in (("a", "on"), ("b", "off"))]
    document = {
        "experiment_id": str(UUID(int=number)),
        "experiment": f"e{number}",
        "phase": 1,
        "unit": "targetingKey",
        "salt": "s",
        "arms": arms,
    }
    return {**document, **({"when": when} if when else {}), **more}


KEYS, GROUP_KEYS = ("f", "g", "h"), ("s", "t", "u")
# Of each, a few that differ little, and some that cannot be served: edits meet each other often.
WHENS = st.sampled_from(
    [None, SWISS, *map(inside, (*GROUP_KEYS, "gone")), *map(asks, KEYS), {"op": "no"}]
) | st.builds(lambda key: {"all": [SWISS, {"not": inside(key)}]}, st.sampled_from(GROUP_KEYS))
WANTED = st.lists(
    st.builds(
        allocation,
        st.integers(1, 2),
        st.sampled_from([None, inside("s"), inside("t"), inside("gone")]),
        phase=st.integers(1, 2),
    ),
    max_size=2,
).map(tuple)
FLAGS = st.builds(
    lambda key, when, needs, **more: flag(
        key,
        targeting={
            "rules": [{"when": when, "variant": "on"}] if when else [],
            "prerequisites": [{"flag": needs, "variants": ["on"]}] if needs else [],
        },
        **more,
    ),
    st.sampled_from(KEYS),
    WHENS,
    st.sampled_from([None, None, *KEYS]),
    enabled=st.sampled_from([True, True, False]),
    client_side=st.booleans(),
    salt=st.sampled_from(["", "x"]),
    default_variant=st.sampled_from(["off", "off", "on", "none"]),
    allocations=WANTED,
)
GROUPS = st.builds(
    segment,
    st.sampled_from(GROUP_KEYS),
    st.sampled_from([SWISS, *map(inside, (*GROUP_KEYS, "gone")), asks("g")]),
    st.lists(st.sampled_from(["ana", "bob"]), max_size=2),
)
EDITS = st.lists(
    st.one_of(FLAGS, FLAGS, GROUPS, st.sampled_from((*KEYS, *GROUP_KEYS))), min_size=3, max_size=12
)


# Where each list of edits begins: flags in segments that are in others.
FIRST = [
    flag("f", inside("s")),
    flag("g", asks("f"), allocations=(allocation(1, inside("t")),)),
    segment("s", inside("t")),
    segment("t", inside("u")),
    segment("u", included=["ana"]),
]


def edited(kept, edit):
    """Return what is stored after an edit: a flag or segment is put, and what has a key is taken away."""
    key = edit if isinstance(edit, str) else edit.key
    rest = {k: one for k, one in kept.items() if k != key}
    return rest if isinstance(edit, str) else {**rest, key: edit}


def told(ruleset, key):
    one = ruleset.flags[key]
    return one.client_side, one.needs, one.timed, one.reached


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EDITS)
def test_after_any_edits_a_ruleset_is_what_compiling_everything_gives(edits):
    """What is refused keeps its last good form, which only the one that was there before can have."""
    kept, ruleset, pages = {one.key: one for one in FIRST}, None, None
    for edit in [FIRST[0], *edits]:
        kept = edited(kept, edit)
        rows = [kept[key] for key in KEYS if key in kept]
        groups = [kept[key] for key in GROUP_KEYS if key in kept]
        ruleset, refused = made(rows, groups, ruleset)
        anew, troubles = made(rows, groups)
        assert (refused.keys(), ruleset.flags.keys()) == (troubles.keys(), anew.flags.keys())
        pages = rendered(ruleset, client_side=False, before=pages)
        fresh = rendered(anew, client_side=False)
        doubtful = affected_by(anew, refused)
        for key in ruleset.flags.keys() - doubtful:
            assert told(ruleset, key) == told(anew, key)
            for context in CONTEXTS:
                got, wanted = (one.ask(one.flags[key], context, 0.0) for one in (ruleset, anew))
                assert pages.replies[got] == fresh.replies[wanted]


def affected_by(ruleset, refused):
    """Return the flags that were refused, and those that ask for one of them, through others too."""
    found = set(refused)
    while more := {k for k, one in ruleset.flags.items() if one.needs & found} - found:
        found |= more
    return found
