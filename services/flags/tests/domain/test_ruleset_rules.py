"""Flags with targeting, in a whole ruleset: the order of what decides, and what stays served whatever goes wrong."""

from dataclasses import replace
from uuid import UUID

import pytest

from flags.domain.compile import StoredSegment
from flags.domain.explain import Explainer
from flags.domain.jsonlogic import document
from flags.domain.neighbourhood import around
from flags.domain.operators import OPERATORS
from flags.domain.operators.text import LONGEST_MATCHED
from flags.domain.place import Place
from flags.domain.ruleset import Stored, compile_all
from flags.domain.unleash import features

PLACE = Place(UUID(int=9), "default", "production")
HALF = {"weights": [{"variant": "on", "weight": 50_000}, {"variant": "off", "weight": 50_000}]}
SWISS = {"op": "eq", "attribute": "country", "value": "CH"}
NOW = 1_767_225_600.0


def flag(key="f", targeting=None, **more):
    usual = Stored(
        key=key,
        type="boolean",
        variants={"on": True, "off": False},
        enabled=True,
        default_variant="off",
        off_variant="off",
        client_side=False,
        targeting=targeting,
    )
    return replace(usual, **more)


def segment(key, when=None, included=(), excluded=(), **more):
    document = {**more, **({"when": when} if when else {})}
    return StoredSegment(key=key, document=document, included=included, excluded=excluded)


def served(flags, context, key="f", segments=()):
    """Ask, and see that the explanation says the same."""
    ruleset, refused = compile_all(PLACE, 1, flags, segments=segments)
    answer = ruleset.ask(ruleset.flags[key], context, NOW)
    explainer = Explainer({f.key: f for f in flags}, {s.key: s for s in segments}, ruleset, refused)
    told = explainer.explain(key, context, NOW).answer
    assert said(told) == said(answer)
    return said(answer)


def said(answer):
    return (answer.value, answer.variant, answer.reason.value, answer.trouble)


def test_targets_come_before_rules_and_rules_in_order_before_the_default():
    targeting = {
        "targets": [{"variant": "on", "values": ["ana", "bob"]}],
        "rules": [
            {"when": SWISS, "variant": "off"},
            {"when": {"op": "present", "attribute": "country"}, "variant": "on"},
        ],
    }
    flags = [flag(targeting=targeting, variants={"on": True, "off": False})]
    on, off = (True, "on", "TARGETING_MATCH", None), (False, "off", "TARGETING_MATCH", None)
    assert served(flags, {"targetingKey": "ana", "country": "CH"}) == on
    assert served(flags, {"targetingKey": "eve", "country": "CH"}) == off
    assert served(flags, {"targetingKey": "eve", "country": "FR"}) == on
    assert served(flags, {}) == (False, "off", "DEFAULT", None)


def test_a_disabled_flag_serves_its_off_variant_whatever_its_rules_say():
    disabled = flag(targeting={"rules": [{"variant": "on"}]}, enabled=False)
    assert served([disabled], {}) == (False, "off", "DISABLED", None)


def test_a_target_may_be_of_another_kind_and_the_first_mention_counts():
    targets = [
        {"variant": "on", "values": ["acme"], "kind": "organization"},
        {"variant": "off", "values": ["acme"], "kind": "organization"},
    ]
    context = {"targetingKey": "ana", "organization": {"key": "acme"}}
    assert served([flag(targeting={"targets": targets})], context)[1] == "on"
    assert served([flag(targeting={"targets": targets})], {"targetingKey": "acme"})[1] == "off"


def test_a_split_goes_by_the_first_attribute_of_its_chain_that_is_there():
    split = HALF | {"by": ["deviceId", "/alias", "targetingKey"]}
    flags = [flag(targeting={"rules": [{"split": split}]})]
    by_unit = {u: served(flags, {"targetingKey": u}) for u in ("u1", "u2", "u3", "u4", "u5")}
    assert {answer[1] for answer in by_unit.values()} == {"on", "off"}
    for unit, answer in by_unit.items():
        assert served(flags, {"deviceId": unit, "targetingKey": "other"}) == answer
        assert served(flags, {"alias": unit, "deviceId": "", "targetingKey": "other"}) == answer
        assert answer[2] == "SPLIT"


@pytest.mark.parametrize(
    "nobody",
    [
        {},
        {"targetingKey": None},
        {"targetingKey": ""},
        {"targetingKey": ["x"]},
        {"targetingKey": True},
    ],
)
def test_a_split_without_a_unit_is_an_error_with_the_word_for_it(nobody):
    flags = [flag(targeting={"rules": [{"split": HALF}]})]
    assert served(flags, nobody) == (None, "", "ERROR", "TARGETING_KEY_MISSING")


def test_the_salt_decides_whether_two_splits_put_a_unit_into_the_same_place():
    alike = [
        flag("a", {"rules": [{"split": HALF | {"salt": "s"}}]}),
        flag("b", {"rules": [{"split": HALF | {"salt": "s"}}]}),
    ]
    other = flag("c", {"rules": [{"split": HALF}]})
    units = [f"user-{n}" for n in range(50)]
    a, b, c = (
        [served([*alike, other], {"targetingKey": u}, key)[1] for u in units] for key in "abc"
    )
    assert a == b != c


def test_a_prerequisite_that_is_not_met_serves_the_off_variant():
    def tree(variant):
        first = flag("first", {"rules": [{"when": SWISS, "variant": "on"}]})
        needing = {
            "prerequisites": [{"flag": "first", "variants": [variant]}],
            "rules": [{"variant": "on"}],
        }
        return [flag(targeting=needing), first]

    assert served(tree("on"), {"country": "CH"}) == (True, "on", "TARGETING_MATCH", None)
    assert served(tree("on"), {"country": "FR"}) == (False, "off", "DISABLED", None)
    assert served(tree("off"), {"country": "FR"})[1] == "on"
    assert served(tree("on")[:1], {"country": "CH"}) == (False, "off", "DISABLED", None)


def test_prerequisites_may_be_thousands_deep():
    def needing(n):
        before = {"flag": f"f{n - 1}", "variants": ["on"]}
        return {"prerequisites": [before], "rules": [{"variant": "on"}]}

    flags = [flag("f0", {"rules": [{"when": SWISS, "variant": "on"}]})]
    flags += [flag(f"f{n}", needing(n)) for n in range(1, 3000)]
    ruleset, _ = compile_all(PLACE, 1, flags)
    for country, variant in (("CH", "on"), ("FR", "off")):
        assert ruleset.ask(ruleset.flags["f2999"], {"country": country}, NOW).variant == variant


def test_a_clause_may_ask_what_another_flag_serves():
    asking = flag(
        targeting={
            "rules": [
                {"when": {"op": "flag", "flag": "other", "variants": ["on"]}, "variant": "on"}
            ]
        }
    )
    other = flag("other", {"rules": [{"when": SWISS, "variant": "on"}]})
    assert served([asking, other], {"country": "CH"})[1] == "on"
    assert served([asking, other], {})[1] == "off"
    assert served([asking], {})[1] == "off"


def test_flags_in_a_ring_answer_an_error_and_their_neighbours_are_served():
    ring = [
        flag(k, {"prerequisites": [{"flag": o, "variants": ["on"]}]}) for k, o in ("ab", "bc", "ca")
    ]
    outside = flag("d", {"prerequisites": [{"flag": "a", "variants": ["on"]}]})
    ruleset, refused = compile_all(PLACE, 1, [*ring, outside, flag("e")])
    assert sorted(refused) == ["a", "b", "c"]
    assert [said(ruleset.ask(ruleset.flags[k], {}, NOW))[2:] for k in "ade"] == [
        ("ERROR", "PARSE_ERROR"),
        ("DISABLED", None),
        ("STATIC", None),
    ]


def test_segments_list_people_exclude_people_and_have_conditions():
    beta = segment("beta", SWISS, included=["ana", "bob"], excluded=["bob", "eve"])
    rule = {"when": {"op": "in_segment", "segments": ["beta"]}, "variant": "on"}
    inside = {"ana": "on", "bob": "off", "eve": "off", "zoe": "on"}
    for name, variant in inside.items():
        context = {"targetingKey": name, "country": "CH"}
        assert served([flag(targeting={"rules": [rule]})], context, segments=[beta])[1] == variant
    out = {"when": {"op": "not_in_segment", "segments": ["beta"]}, "variant": "on"}
    assert (
        served([flag(targeting={"rules": [out]})], {"targetingKey": "x"}, segments=[beta])[1]
        == "on"
    )


def wanting(when, experiment=1):
    """What an experiment wants of a flag, of those for whom `when` holds."""
    arms = [{"key": k, "weight": w, "serves": k} for k, w in (("on", 100_000), ("off", 0))]
    return {
        "experiment_id": str(UUID(int=experiment)),
        "experiment": f"e{experiment}",
        "phase": 1,
        "unit": "targetingKey",
        "salt": "s",
        "arms": arms,
        **({"when": when} if when else {}),
    }


def test_an_experiment_that_closes_a_ring_is_left_out_and_its_flag_is_served():
    """Written before such a ring was refused, or past it."""
    asks = {"op": "in_segment", "segments": ["s"]}
    back = [segment("s", {"op": "flag", "flag": "g", "variants": ["on"]})]
    needs = {"prerequisites": [{"flag": "f", "variants": ["off"]}]}
    rows = [
        flag("f", allocations=(wanting(asks),)),
        flag("g", needs, allocations=(wanting(None, 2),)),
    ]
    ruleset, refused = compile_all(PLACE, 1, rows, segments=back)
    got = [ruleset.ask(ruleset.flags[key], {"targetingKey": "u"}, NOW) for key in "fg"]
    assert [(a.variant, a.reason.value) for a in got] == [("off", "STATIC"), ("on", "SPLIT")]
    assert list(refused) == ["f"]
    assert served(rows, {"targetingKey": "u"}, "g", back)[1] == "on"


def test_targets_decide_attribute_by_attribute_and_the_explanation_says_so():
    targeting = {
        "targets": [
            {"variant": "off", "values": ["x"]},
            {"variant": "on", "values": ["acme"], "kind": "organization"},
            {"variant": "off", "values": ["y"]},
        ]
    }
    acme = {"kind": "multi", "user": {"key": "y"}, "organization": {"key": "acme"}}
    assert served([flag("f", targeting)], acme)[1] == "off"
    ruleset, _ = compile_all(PLACE, 1, [flag("f", targeting)])
    explainer = Explainer({"f": flag("f", targeting)}, {}, ruleset, {})
    assert explainer.explain("f", acme, NOW).steps[-1]["pointer"] == "/targets/2"


def test_segments_nest_and_a_ring_of_them_spoils_only_who_uses_it():
    nested = segment("outer", {"not": {"op": "in_segment", "segments": ["inner"]}})
    ring = [segment(k, {"op": "in_segment", "segments": [o]}) for k, o in ("xy", "yx")]

    def using(k, s):
        when = {"op": "in_segment", "segments": [s]}
        return flag(k, {"rules": [{"when": when, "variant": "on"}]})

    flags = [using("good", "outer"), using("bad", "x"), using("gone", "nowhere")]
    segments = [nested, segment("inner", SWISS), *ring]
    assert served(flags, {"country": "FR"}, "good", segments)[1] == "on"
    assert served(flags, {"country": "CH"}, "good", segments)[1] == "off"
    for key in ("bad", "gone"):
        assert served(flags, {}, key, segments)[2:] == ("ERROR", "PARSE_ERROR")


def test_a_segment_of_a_hundred_thousand_ids_is_one_look_up():
    ids = [f"user-{n}" for n in range(100_000)]
    rule = {"when": {"op": "in_segment", "segments": ["all"]}, "variant": "on"}
    flags, segments = [flag(targeting={"rules": [rule]})], [segment("all", included=ids)]
    ruleset, _ = compile_all(PLACE, 1, flags, segments=segments)
    for unit, variant in (("user-99999", "on"), ("user-100000", "off")):
        assert ruleset.ask(ruleset.flags["f"], {"targetingKey": unit}, NOW).variant == variant


NONSENSE = [
    {"rules": [{"variant": "gone"}]},
    {"rules": [{"when": {"op": "telepathy", "attribute": "a"}, "variant": "on"}]},
    {"rules": [{"when": {"op": "matches", "attribute": "a", "values": ["("]}, "variant": "on"}]},
    {"rules": [{"split": {"weights": [{"variant": "on", "weight": 99_999}]}}]},
    {"rules": [{"split": HALF, "variant": "on"}]},
    {"rules": {"when": 1}},
    {"targets": [{"variant": "on", "values": [1]}]},
    {"what": []},
    [],
    "rules",
    7,
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=repr)
def test_a_poisoned_row_answers_an_error_and_keeps_its_last_good_form_if_it_had_one(nonsense):
    good = flag("p", {"rules": [{"variant": "on"}]})
    before, _ = compile_all(PLACE, 1, [good, flag("n")])
    rows = [replace(good, targeting=nonsense), flag("n")]
    fresh, refused = compile_all(PLACE, 2, rows)
    assert list(refused) == ["p"]
    assert said(fresh.ask(fresh.flags["p"], {}, NOW))[2:] == ("ERROR", "PARSE_ERROR")
    assert fresh.ask(fresh.flags["n"], {}, NOW).variant == "off"
    after, _ = compile_all(PLACE, 2, rows, before)
    assert after.ask(after.flags["p"], {}, NOW).variant == "on"
    assert served(rows, {}, "p")[2] == "ERROR"


def test_an_unknown_bucketing_version_is_refused_rather_than_guessed():
    newer = flag(targeting={"rules": [{"split": HALF}]}, bucketing=2)
    assert served([newer], {"targetingKey": "u"})[2] == "ERROR"


def test_a_context_ten_levels_deep_is_read_to_its_bottom():
    context = {"v": "x"}
    for _ in range(10):
        context = {"v": context}
    clause = {"op": "eq", "attribute": "/v" * 11, "value": "x"}
    assert (
        served([flag(targeting={"rules": [{"when": clause, "variant": "on"}]})], context)[1] == "on"
    )


def test_only_flags_that_ask_for_the_time_are_marked_as_timed():
    rules = lambda when: {"rules": [{"when": when, "variant": "on"}]}  # noqa: E731
    timed = [
        {"op": "time_between", "start": "09:00", "end": "17:00"},
        {"op": "after", "attribute": "seen", "value": "-7d"},
        {"op": "after", "attribute": "$now", "value": "2026-01-01"},
        {"op": "in_segment", "segments": ["recent"]},
    ]
    still = [SWISS, {"op": "after", "attribute": "seen", "value": "2026-01-01"}]
    recent = segment("recent", {"op": "after", "attribute": "seen", "value": "-1d"})
    flags = [flag(f"f{n}", rules(when)) for n, when in enumerate([*timed, *still])]
    ruleset, refused = compile_all(PLACE, 1, flags, segments=[recent])
    assert refused == {}
    assert [f.timed for f in ruleset.flags.values()] == [True] * 4 + [False] * 2


def test_a_question_about_one_flag_needs_only_what_it_reaches():
    asks = {"rules": [{"when": {"op": "in_segment", "segments": ["outer"]}, "variant": "on"}]}
    needs = {
        "prerequisites": [
            {"flag": "first", "variants": ["on"]},
            {"flag": "gone", "variants": ["on"]},
        ]
    }
    inner = segment("inner", {"op": "flag", "flag": "second", "variants": ["on"]})
    outer = segment("outer", {"op": "in_segment", "segments": ["inner"]})
    flags = [flag("far", asks), flag("first", asks), flag("second", 7), flag("f", needs)]
    rows, groups = around("f", flags, [inner, segment("unused"), segment("bad", "x"), outer])
    assert [row.key for row in rows] == ["first", "second", "f"]
    assert [group.key for group in groups] == ["inner", "outer"]


def test_a_pattern_looks_at_no_text_that_is_too_long():
    """What a pattern costs grows with the text, and whoever evaluates says that."""
    test = OPERATORS["matches"].prepare({"values": ["b$"]})
    assert test("a" * (LONGEST_MATCHED - 1) + "b")
    assert not test("a" * LONGEST_MATCHED + "b")


class TestSegmentsThatAskForTheNextOneTwice:
    """Each has what is below it twice: forty-nine of them are 10^14 paths, and must be no more work than forty-nine."""

    SEGMENTS = (
        *(
            segment(f"s{n}", {"any": [{"op": "in_segment", "segments": [f"s{n + 1}"]}] * 2})
            for n in range(48)
        ),
        segment("s48", SWISS),
    )
    INSIDE = flag(
        targeting={"rules": [{"when": {"op": "in_segment", "segments": ["s0"]}, "variant": "on"}]}
    )

    def test_are_each_asked_and_told_once(self):
        assert served([self.INSIDE], {"country": "CH"}, segments=self.SEGMENTS)[1] == "on"
        assert served([self.INSIDE], {"country": "DE"}, segments=self.SEGMENTS)[1] == "off"
        asks = flag("g", {"prerequisites": [{"flag": "f", "variants": ["on"]}]})
        said = served([self.INSIDE, asks], {"country": "DE"}, "g", self.SEGMENTS)
        assert said[2] == "DISABLED"

    def test_are_left_out_where_rules_are_written_out(self):
        few = self.SEGMENTS[-10:]
        first = few[0].key
        wide = [
            replace(one, document={"when": {"any": [one.document["when"]] * 20}})
            for one in few[:-1]
        ]
        row = flag(
            targeting={
                "rules": [{"when": {"op": "in_segment", "segments": [first]}, "variant": "on"}]
            }
        )
        _, left = document([row], [*wide, few[-1]], {})
        assert "conditions would be needed" in left["f"]
        every = [
            replace(one, document={"when": {"all": one.document["when"]["any"] * 4}})
            for one in few[:-1]
        ]
        _, left = features("default", [row], [*every, few[-1]])
        assert "would be needed" in left["f"]


def test_what_unleash_cannot_say_of_one_flag_changes_nothing_for_others():
    """A segment that cannot be said left a level behind, and after ten all segments were too deep."""
    groups = [
        segment("odd", {"op": "type_of", "attribute": "a", "values": ["string"]}),
        segment("swiss", SWISS),
    ]

    def inside(key):
        return {"rules": [{"when": {"op": "in_segment", "segments": [key]}, "variant": "on"}]}

    rows = [*(flag(f"f{n}", inside("odd")) for n in range(12)), flag("last", inside("swiss"))]
    said, left = features("default", rows, groups)
    assert ([one["name"] for one in said], len(left)) == (["last"], 12)
