"""Written is checked: every kind of trouble, with a pointer to it."""

import pytest

from flags.domain.analyse import (
    MOST_FINDINGS,
    Neighbour,
    Neighbours,
    analyse,
    analyse_segment,
)
from flags.domain.uses import Uses

ON_OFF = ("on", "off")
SWISS = {"op": "eq", "attribute": "country", "value": "CH"}
KNOWN = Neighbours(
    flags={
        "other": Neighbour(ON_OFF),
        "loops": Neighbour(ON_OFF, Uses(frozenset({"f"}))),
        "via": Neighbour(ON_OFF, Uses(segments=frozenset({"asks-f"}))),
    },
    segments={
        "beta": Uses(),
        "asks-f": Uses(frozenset({"f"})),
        "nested": Uses(segments=frozenset({"mine"})),
    },
)


def found(document, severity="error"):
    findings = analyse("f", ON_OFF, document, KNOWN)
    return [(f.pointer, f.code) for f in findings if f.severity == severity]


def rules(*whens):
    return {"rules": [{"when": when, "variant": "on"} for when in whens]}


def test_sound_targeting_has_nothing_to_be_said_about():
    document = {
        "prerequisites": [{"flag": "other", "variants": ["on"]}],
        "targets": [{"variant": "on", "values": ["ana"]}, {"variant": "off", "values": ["bob"]}],
        "rules": [
            {
                "id": "a",
                "when": {"all": [SWISS, {"op": "in_segment", "segments": ["beta"]}]},
                "variant": "on",
            },
            {
                "id": "b",
                "split": {
                    "weights": [
                        {"variant": "on", "weight": 1},
                        {"variant": "off", "weight": 99_999},
                    ]
                },
            },
        ],
    }
    assert analyse("f", ON_OFF, document, KNOWN) == []
    assert analyse("f", ON_OFF, {}, KNOWN) == []


CLAUSES = [
    ({"op": "matches", "attribute": "a", "values": ["ok", "(?=x)"]}, "/values/1", "regex"),
    (
        {"op": "matches", "attribute": "a", "values": ["((a{1,100}){1,100}){1,100}"]},
        "/values/0",
        "regex",
    ),
    ({"op": "matches", "attribute": "a", "values": ["x" * 1001]}, "/values/0", "invalid"),
    ({"op": "before", "attribute": "a", "value": "2026-02-30"}, "/value", "date"),
    ({"op": "after", "attribute": "a", "value": "yesterday"}, "/value", "date"),
    ({"op": "on", "attribute": "a", "value": "-1d", "zone": "Mars/Base"}, "/zone", "zone"),
    ({"op": "on", "attribute": "a", "value": "-1d", "zone": "../etc/passwd"}, "/zone", "zone"),
    ({"op": "time_between", "start": "24:00", "end": "01:00"}, "/start", "time"),
    (
        {"op": "time_between", "start": "23:00", "end": "01:00", "days": ["lundi"]},
        "/days",
        "invalid",
    ),
    ({"op": "semver_ge", "attribute": "a", "value": "1.x"}, "/value", "semver"),
    ({"op": "semver_range", "attribute": "a", "values": [">=1"]}, "/values/0", "semver"),
    ({"op": "in_cidr", "attribute": "a", "values": ["10.0.0.0/33"]}, "/values/0", "cidr"),
    ({"op": "num_gt", "attribute": "a", "value": "7"}, "/value", "invalid"),
    ({"op": "num_gt", "attribute": "a", "value": True}, "/value", "invalid"),
    ({"op": "between", "attribute": "a", "min": 2, "max": 1}, "/max", "empty_range"),
    ({"op": "modulo", "attribute": "a", "divisor": 0, "remainder": 0}, "/divisor", "invalid"),
    ({"op": "modulo", "attribute": "a", "divisor": 3, "remainder": 3}, "/remainder", "invalid"),
    ({"op": "in", "attribute": "a", "values": []}, "/values", "length"),
    ({"op": "in", "attribute": "a", "values": [{}]}, "/values/0", "invalid"),
    ({"op": "in", "attribute": "a", "values": ["x"], "ignore_case": 1}, "/ignore_case", "invalid"),
    ({"op": "eq", "attribute": "a"}, "/value", "missing"),
    ({"op": "eq", "attribute": "a", "value": 1, "vlaue": 1}, "/vlaue", "unknown"),
    ({"op": "eq", "attribute": "a" * 257, "value": 1}, "/attribute", "invalid"),
    ({"op": "eq", "attribute": "a", "value": 1, "kind": "planet"}, "/kind", "invalid"),
    ({"op": "eq", "value": 1}, "/attribute", "invalid"),
    ({"op": "type_of", "attribute": "a", "values": ["text"]}, "/values", "invalid"),
    ({"op": "size", "attribute": "a"}, "/min", "missing"),
    ({"op": "elem_match", "attribute": "a"}, "/where", "missing"),
    ({"op": "matches", "attribute": "a", "values": ["(a{1,50}){1,10}"] * 10}, "/values", "regex"),
    ({"op": "size", "attribute": "a", "min": 2, "max": 1}, "/max", "empty_range"),
    ({"op": "telepathy", "attribute": "a"}, "/op", "unknown_operator"),
    ({"attribute": "a"}, "/op", "missing"),
    ({"all": []}, "/all", "length"),
    ({"all": [SWISS], "any": [SWISS]}, "/any", "unknown"),
    ({"elem_match": 1, "op": "elem_match", "attribute": "a"}, "/elem_match", "unknown"),
    (
        {"op": "elem_match", "attribute": "a", "where": {"op": "in_segment", "segments": ["beta"]}},
        "/where",
        "invalid",
    ),
    ("CH", "", "invalid"),
]


@pytest.mark.parametrize(("clause", "pointer", "code"), CLAUSES, ids=repr)
def test_a_clause_that_cannot_be_asked_is_an_error_at_its_place(clause, pointer, code):
    assert found(rules(clause)) == [(f"/rules/0/when{pointer}", code)]
    nested = {"all": [SWISS, {"not": {"any": [SWISS, clause]}}]}
    assert found(rules(SWISS, nested)) == [(f"/rules/1/when/all/1/not/any/1{pointer}", code)]


DOCUMENTS = [
    ({"rules": [{"variant": "of"}]}, [("/rules/0/variant", "unknown_variant")]),
    ({"rules": [{}]}, [("/rules/0/variant", "missing")]),
    ({"targets": [{"variant": "x", "values": ["a"]}]}, [("/targets/0/variant", "unknown_variant")]),
    ({"targets": [{"variant": "on", "values": [7]}]}, [("/targets/0/values/0", "invalid")]),
    (rules({"op": "in_segment", "segments": ["beta", "gone"]}), [("/rules/0/when", "dangling")]),
    (rules({"op": "flag", "flag": "gone", "variants": ["on"]}), [("/rules/0/when", "dangling")]),
    (
        rules({"op": "flag", "flag": "other", "variants": ["x"]}),
        [("/rules/0/when", "unknown_variant")],
    ),
    ({"prerequisites": [{"flag": "gone", "variants": ["on"]}]}, [("/prerequisites/0", "dangling")]),
    ({"prerequisites": [{"flag": "f", "variants": ["on"]}]}, [("", "cycle")]),
    ({"prerequisites": [{"flag": "loops", "variants": ["on"]}]}, [("", "cycle")]),
    ({"prerequisites": [{"flag": "via", "variants": ["on"]}]}, [("", "cycle")]),
    (rules({"op": "in_segment", "segments": ["asks-f"]}), [("", "cycle")]),
    (rules({"op": "flag", "flag": "loops", "variants": ["on"]}), [("", "cycle")]),
    (
        {"rules": [{"split": {"weights": [{"variant": "on", "weight": 1}]}}]},
        [("/rules/0/split/weights", "weights")],
    ),
    (
        {"rules": [{"split": {"weights": [{"variant": "on", "weight": 0.5}]}}]},
        [("/rules/0/split/weights/0/weight", "invalid")],
    ),
    (
        {"rules": [{"id": "a", "variant": "on", "when": SWISS}, {"id": "a", "variant": "on"}]},
        [("/rules/1/id", "repeated")],
    ),
    ({"rulez": []}, [("/rulez", "unknown")]),
    ([], [("", "invalid")]),
]


@pytest.mark.parametrize(("document", "expected"), DOCUMENTS, ids=repr)
def test_targeting_that_cannot_be_served_is_refused_with_a_pointer(document, expected):
    assert found(document) == expected


def test_several_errors_are_told_at_once_and_not_without_end():
    bad = {"op": "num_gt", "attribute": "a", "value": "x"}
    assert [p for p, _ in found(rules(bad, SWISS, bad))] == [
        "/rules/0/when/value",
        "/rules/2/when/value",
    ]
    assert len(found(rules(*[bad] * 500))) == MOST_FINDINGS


def test_what_is_too_much_is_refused():
    deep = SWISS
    for _ in range(21):
        deep = {"not": deep}
    assert found(rules(deep))[0][1] == "depth"
    assert found({"rules": [{"variant": "on"}] * 10_001}) == [("/rules", "length")]
    assert found({"targets": [{"variant": "on", "values": ["u"] * 6000}] * 2})[0] == (
        "/targets",
        "length",
    )
    ten_megabytes = {"op": "in", "attribute": "a", "values": ["x" * 1000] * 10_000}
    assert found(rules(ten_megabytes)) == [("", "length")]
    assert found(rules({"op": "eq", "attribute": "a", "value": float("nan")})) == []


def test_ten_thousand_rules_are_taken():
    many = rules(*({"op": "eq", "attribute": "a", "value": n} for n in range(10_000)))
    assert analyse("f", ON_OFF, many, KNOWN) == []


WARNINGS = [
    (rules(SWISS, SWISS), [("/rules/1", "unreachable")]),
    (
        {"rules": [{"variant": "on"}, {"variant": "off", "when": SWISS}]},
        [("/rules/1", "unreachable")],
    ),
    (
        rules({"all": [SWISS, {"op": "eq", "attribute": "country", "value": "FR"}]}),
        [("/rules/0/when", "contradiction")],
    ),
    (rules({"all": [SWISS, {"not": SWISS}]}), [("/rules/0/when", "contradiction")]),
    (
        rules(
            {
                "all": [
                    {"op": "num_gt", "attribute": "a", "value": 5},
                    {"op": "num_lt", "attribute": "a", "value": 4},
                ]
            }
        ),
        [("/rules/0/when", "contradiction")],
    ),
    (
        rules(
            {
                "all": [
                    {"op": "between", "attribute": "a", "min": 1, "max": 2},
                    {"op": "num_eq", "attribute": "a", "value": 3},
                ]
            }
        ),
        [("/rules/0/when", "contradiction")],
    ),
    (
        rules({"all": [{"op": "absent", "attribute": "a"}, {"op": "present", "attribute": "a"}]}),
        [("/rules/0/when", "contradiction")],
    ),
    (
        rules(
            {
                "all": [
                    {"op": "array_any", "attribute": "a", "values": ["x"]},
                    {"op": "starts", "attribute": "a", "values": ["x"]},
                ]
            }
        ),
        [("/rules/0/when", "contradiction")],
    ),
    (rules({"any": [SWISS, {"op": "eq", "attribute": "country", "value": "FR"}]}), []),
    (
        rules(
            {
                "all": [
                    {"op": "in", "attribute": "a", "values": ["x", "y"]},
                    {"op": "eq", "attribute": "a", "value": "y"},
                ]
            }
        ),
        [],
    ),
    (
        rules(
            {
                "all": [
                    {"op": "absent", "attribute": "a"},
                    {"op": "ne", "attribute": "a", "value": 1},
                ]
            }
        ),
        [],
    ),
    (
        {"targets": [{"variant": "on", "values": ["u"]}, {"variant": "off", "values": ["u"]}]},
        [("/targets/1/values/0", "repeated")],
    ),
    (
        {
            "rules": [
                {
                    "split": {
                        "weights": [
                            {"variant": "on", "weight": 100_000},
                            {"variant": "off", "weight": 0},
                        ]
                    }
                }
            ]
        },
        [("/rules/0/split", "empty_share")],
    ),
]


@pytest.mark.parametrize(("document", "expected"), WARNINGS, ids=repr)
def test_what_looks_like_a_mistake_is_warned_of_and_nothing_else(document, expected):
    assert (found(document, "warning"), found(document)) == (expected, [])


def test_segments_are_checked_alike():
    def said(document):
        return [(f.pointer, f.code) for f in analyse_segment("mine", document, KNOWN)]

    assert said({"when": SWISS}) == []
    assert said({"when": {"op": "in_segment", "segments": ["gone"]}}) == [("/when", "dangling")]
    assert said({"when": {"op": "in_segment", "segments": ["nested"]}}) == [("/when", "cycle")]
    assert said({"when": {"op": "num_lt", "attribute": "a", "value": []}}) == [
        ("/when/value", "invalid")
    ]
    assert said({"attribute": ""}) == [("/attribute", "invalid")]
    assert said("x") == [("", "invalid")]
